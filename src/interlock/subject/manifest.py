"""The manifest of a subject: every file of its folder, and of its adapter, by name and SHA-256.

Guarantees: a manifest has one spelling; its digest follows every byte and every name; the digest that the OpenSSF
model-signing tools give the same files can be read off it (docs/adr/0014). `of` hashes plain files only, all of them,
and refuses a folder that changes meanwhile, or has weights besides those that are evaluated.
What it leaves to the caller: that whoever loads the model loads this folder and nothing else.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import rfc8785

from interlock.errors import EvidenceError
from interlock.subject import _others

#: Called with bytes hashed and bytes in all, from the thread that asked.
Report = Callable[[int, int], None]

#: How a folder becomes a list, in the words of the model-signing layout. Nothing else is read or written.
SERIALIZATION: dict[str, Any] = {
    "method": "files",
    "hash_type": "sha256",
    "allow_symlinks": False,
    "ignore_paths": [],
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """Files as (name, sha256), in order of the names' parts; adapter files stand under `adapter/`.

    Raises:
        EvidenceError: no file, a name that is not a plain relative path, names out of order or twice, or two names
            that some file systems take for one.
    """

    files: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        _check([name for name, _ in self.files])

    @property
    def digest(self) -> str:
        """SHA-256 in hex of the canonical JSON (RFC 8785) of `to_json`: what a subject is looked up by."""
        return hashlib.sha256(rfc8785.dumps(self.to_json())).hexdigest()

    @property
    def model_signing_digest(self) -> str:
        """SHA-256 in hex over the files' digests, in order: what model-signing tools call the model. Blind to names."""
        return hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in self.files)).hexdigest()

    @property
    def weights(self) -> dict[str, str]:
        """The files of weights among them: SHA-256 by name. Of other formats than safetensors nothing is loaded."""
        return {name: digest for name, digest in self.files if name.endswith(".safetensors")}

    @property
    def training_state(self) -> list[str]:
        """The files among them that a run needs to go on, and a model does not: they may be there, and never leave."""
        return [name for name, _ in self.files if _others.is_training_state(name)]

    def to_json(self) -> dict[str, Any]:
        """The layout of OpenSSF model signing, predicate v1.0: how the folder was read, and a resource a file."""
        resources = [{"name": name, "algorithm": "sha256", "digest": digest} for name, digest in self.files]
        return {"serialization": {**SERIALIZATION}, "resources": resources}

    def changed(self, other: Manifest) -> str | None:
        """The first file that differs from `other`, in words; None if the two agree."""
        mine, theirs = dict(self.files), dict(other.files)
        for name in sorted(mine.keys() | theirs.keys(), key=order):
            if mine.get(name) != theirs.get(name):
                got, expected = theirs.get(name, "no such file"), mine.get(name, "no such file")
                return f"`{name}` is {got[:12]}, expected {expected[:12]}"
        return None


def of(folder: Path, *, adapter: Path | None = None, progress: Report | None = None) -> Manifest:
    """The manifest of a transformers folder, with its adapter if it has one. Hashed on all cores.

    Raises:
        UsageError: there is no such folder, or it is not a transformers model (or peft adapter) folder.
        EvidenceError: weights are truncated or missing, or there are others than those that are evaluated; there is
            something else than plain files, a name that cannot stand in a manifest, or the folder changed while it was
            read.
    """
    from interlock.subject import _folder, _hashing  # threads, which reading a ledger does without

    before = _folder.listing(folder, adapter)
    _folder.check(before, folder, adapter)
    digests = _hashing.sha256_of(before, progress)
    _folder.unchanged(before, _folder.listing(folder, adapter))
    return Manifest(tuple((name, digests[name]) for name in sorted(before, key=order)))


def order(name: str) -> list[str]:
    """What names are sorted by: their parts, as model-signing does."""
    return name.split("/")


def _check(names: list[str]) -> None:
    if not names:
        raise EvidenceError("a manifest without files names no model")
    for name in names:
        if not name.isprintable() or {"", ".", ".."} & set(order(name)):
            raise EvidenceError(f"the file name {name!a:.80} is not a plain relative path of printable text")
    for before, after in pairwise(names):
        if not order(before) < order(after):
            raise EvidenceError(f"a manifest lists each file once and in order, got `{after}` after `{before}`")
    _check_apart(names)


def _check_apart(names: list[str]) -> None:
    """No two names, nor the folders in them, may be one where letter case or Unicode form do not count."""
    seen: dict[str, tuple[str, bool]] = {}
    for name in names:
        for path, is_file in _with_folders(name):
            other, _ = found = seen.setdefault(_folded(path), (path, is_file))
            if found != (path, is_file):
                raise EvidenceError(f"`{other}` and `{path}` are one name on some machines; expected names that differ")


def _with_folders(name: str) -> Iterator[tuple[str, bool]]:
    parts = order(name)
    for count in range(1, len(parts)):
        yield "/".join(parts[:count]), False
    yield name, True


def _folded(path: str) -> str:
    """Equal where two paths differ only by letter case or Unicode form (Unicode 3.13, canonical caseless matching)."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())
