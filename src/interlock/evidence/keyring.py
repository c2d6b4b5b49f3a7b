"""A folder of key files, `NAME.key` (private) and `NAME.pub` (public), and the keys that were opened from it.

Which file holds which key is told by the public half beside it, so that nothing is decrypted that is not used; what was
decrypted is checked against it. A private key stays open as long as its keyring, for a passphrase is slow on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from interlock.errors import UsageError
from interlock.evidence import keys
from interlock.evidence.passphrase import Passphrases

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["Found", "Keyring"]


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in a folder under one name. `problems` say what keeps it from being used, each with its remedy."""

    name: str
    public: keys.PublicKey | None
    private: keys.Privacy | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys in `folder`; `passphrases` open the encrypted ones."""

    folder: Path
    passphrases: Passphrases = field(default_factory=Passphrases)
    _open: dict[str, keys.KeyPair] = field(default_factory=dict, repr=False)

    def private_path(self, name: str) -> Path:
        """Where the private key of that name lies.

        Raises:
            UsageError: the name is no plain file name.
        """
        return self.folder / f"{_plain(name)}.key"

    def public_path(self, name: str) -> Path:
        """Where the public key of that name lies.

        Raises:
            UsageError: the name is no plain file name.
        """
        return self.folder / f"{_plain(name)}.pub"

    def pair(self, name: str) -> keys.KeyPair:
        """The pair of that name.

        Raises:
            UsageError: the private file cannot be used or opened, or belongs to another public file.
        """
        if name not in self._open:
            path, public = self.private_path(name), self.public_path(name)
            try:
                pair = keys.load_private(path, self.passphrases.to_open)
            except UsageError:
                self.passphrases.forget(path)
                raise
            if public.exists() and keys.load_public(public) != pair.public:
                raise UsageError(f"`{path}` and `{public}` are not halves of one key; expected a pair")
            self._open[name] = pair
        return self._open[name]

    def public(self, name: str) -> keys.PublicKey:
        """The public half of that name: its file, or worked out from the private one where that file is missing.

        Raises:
            UsageError: neither file is there, or the one that is cannot be used.
        """
        if self.public_path(name).exists():
            return keys.load_public(self.public_path(name))
        if not self.private_path(name).exists():
            known = ", ".join(f"`{it}`" for it in self.names()) or "none"
            raise UsageError(f"no key `{name}` in `{self.folder}`; there is: {known}")
        return self.pair(name).public

    def can_sign(self, name: str) -> bool:
        """Whether the private key of that name is here and needs no passphrase that is not to be had."""
        path = self.private_path(name)
        return path.exists() and (self.passphrases.can_open() or keys.look_at(path).encrypted is not True)

    def signing(self, wanted: Collection[str], *, quorum: int, role: str) -> list[keys.KeyPair]:
        """As many private keys as the quorum of a role asks for, out of those whose ids are `wanted`.

        Raises:
            UsageError: too few are here, or one cannot be opened.
        """
        names: dict[str, str] = {}  # by key id: two files of one key are one key
        for path in sorted(self.folder.glob("*.pub")):
            key_id = keys.load_public(path).key_id
            if key_id in wanted and path.with_suffix(".key").exists():
                names.setdefault(key_id, path.stem)
        if len(names) < quorum:
            bare = [name for name in self.names() if not self.public_path(name).exists()]
            hint = f"; `{bare[0]}.key` has no .pub beside it: interlock keys export {bare[0]}" if bare else ""
            raise UsageError(
                f"`{role}` signs with {quorum} key(s), found {len(names)} of them in `{self.folder}`{hint}"
            )
        return [self.pair(name) for name in list(names.values())[:quorum]]

    def names(self) -> list[str]:
        """The names under which anything lies here, in order."""
        return sorted({path.stem for kind in ("*.key", "*.pub") for path in self.folder.glob(kind)})

    def found(self) -> list[Found]:
        """Everything that lies here, with its problems; opens nothing."""
        return [self._found(name) for name in self.names()]

    def _found(self, name: str) -> Found:
        public, private, problems = None, None, list[str]()
        if not self.public_path(name).exists():
            problems.append(f"`{name}.pub` is missing; make it with: interlock keys export {name}")
        else:
            try:
                public = keys.load_public(self.public_path(name))
            except UsageError as error:
                problems.append(str(error))
        if self.private_path(name).exists():
            private = keys.look_at(self.private_path(name))
            problems += [private.problem] if private.problem else []
            if private.public and public and private.public != public:
                problems.append(f"`{name}.key` and `{name}.pub` are not halves of one key")
        return Found(name, public, private, tuple(problems))


def _plain(name: str) -> str:
    if not name.isprintable() or not name or "/" in name or name.startswith((".", "-")):
        raise UsageError(f"a key's name is a plain file name, got `{name[:80]}`")
    return name
