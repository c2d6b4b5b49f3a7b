"""Where the passphrase of a private key comes from: a file, the environment, and then whoever sits at the terminal.

One passphrase that was given beforehand, by file or by variable, is meant for every encrypted key that a command uses.
At a terminal each key is asked for by name. An empty passphrase is never taken for none: a key that is not encrypted is
asked for in so many words (`--no-passphrase`), so that a secret which failed to arrive leaves no key in the clear.
What it leaves to the caller: who may read a passphrase file. The private key beside it is refused unless it is its
owner's only, and secrets that an orchestrator mounts are often readable by more than that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from interlock.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["FILE_VARIABLE", "VARIABLE", "Passphrases"]

VARIABLE, FILE_VARIABLE = "INTERLOCK_PASSPHRASE", "INTERLOCK_PASSPHRASE_FILE"

_MOST = 1023  # OpenSSL takes no more
_WAYS = f"--passphrase-file, {FILE_VARIABLE} or {VARIABLE}"


@dataclass(frozen=True, slots=True)
class Passphrases:
    """A file that was named, then the environment, then `ask`, which shows a prompt and returns what was typed.

    Without `ask` nobody is there to be asked: a program, or a command whose input is not a terminal. A passphrase that
    was typed is kept, however often its key is opened, until `forget`.
    """

    file: Path | None = None
    ask: Callable[[str], str] | None = field(default=None, repr=False)
    _read: dict[str, bytes] = field(default_factory=dict, repr=False)  # a pipe gives what it has once
    _typed: dict[Path, bytes] = field(default_factory=dict, repr=False)

    def to_open(self, path: Path) -> bytes:
        """The passphrase of the encrypted key at `path`.

        Raises:
            UsageError: there is none to be had, it is empty or too long, or its file cannot be read.
        """
        given = self._given()
        if given is not None:
            return given
        if self.ask is None:
            raise UsageError(f"`{path}` is encrypted, and there is no passphrase; give it by {_WAYS}")
        if path not in self._typed:
            self._typed[path] = _checked(self.ask(f"passphrase of {path}").encode(), "what was typed")
        return self._typed[path]

    def forget(self, path: Path) -> None:
        """Ask for the passphrase of the key at `path` again: what was typed does not open it."""
        self._typed.pop(path, None)

    def for_new(self, what: str) -> bytes:
        """The passphrase of a key that is to be made; typed twice at a terminal.

        Raises:
            UsageError: as `to_open`, or what was typed the second time was something else.
        """
        given = self._given()
        if given is not None:
            return given
        if self.ask is None:
            raise UsageError(
                f"{what}: no passphrase to encrypt it with; give one by {_WAYS}, or ask for an unencrypted key "
                "with --no-passphrase"
            )
        typed = _checked(self.ask(f"new passphrase for {what}").encode(), "what was typed")
        if self.ask("the same again").encode() != typed:
            raise UsageError(f"{what}: two different passphrases were typed, expected the same one twice")
        return typed

    def can_open(self) -> bool:
        """Whether there is any passphrase to be had."""
        return self.ask is not None or any([self.file, *map(os.environ.get, (VARIABLE, FILE_VARIABLE))])

    def _given(self) -> bytes | None:
        """What was given beforehand; the file comes before the variable."""
        named = self.file or os.environ.get(FILE_VARIABLE)
        if named is not None:
            if str(named) not in self._read:
                self._read[str(named)] = _from_file(named)
            return self._read[str(named)]
        if VARIABLE in os.environ:
            return _checked(os.fsencode(os.environ[VARIABLE]), f"`{VARIABLE}`")
        return None


def _from_file(path: Path | str) -> bytes:
    """The whole file but for one line end, which editors and `echo` add."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  a pipe such as <(pass show key), too
            data = file.read(_MOST + 3)
    except OSError as error:
        raise UsageError(f"cannot read the passphrase file `{path}` ({error.strerror})") from error
    return _checked(data.removesuffix(b"\n").removesuffix(b"\r"), f"the passphrase file `{path}`")


def _checked(passphrase: bytes, source: str) -> bytes:
    if not passphrase:
        raise UsageError(f"{source} is empty, expected a passphrase; a key without one is made with --no-passphrase")
    if len(passphrase) > _MOST or b"\0" in passphrase:
        raise UsageError(f"{source} is too long or binary, expected a passphrase of at most {_MOST} bytes")
    return passphrase
