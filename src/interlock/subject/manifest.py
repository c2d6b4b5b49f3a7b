"""The manifest of a subject: every file of its folder, and of its adapter, by SHA-256.

The subject's digest is the SHA-256 of the canonical JSON of that list, names included: a chat template renamed away
behaves differently, so it must be another subject. (OpenSSF model signing hashes the digests alone; docs/adr/0003.)
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import rfc8785

from interlock.errors import EvidenceError, UsageError

_CHUNK = 1 << 20

#: Called with bytes hashed and bytes in all.
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Files as (name, sha256), sorted by name; adapter files stand under `adapter/`."""

    files: tuple[tuple[str, str], ...]

    @property
    def digest(self) -> str:
        """SHA-256 in hex over the canonical JSON of the list."""
        return hashlib.sha256(rfc8785.dumps([list(item) for item in self.files])).hexdigest()

    def changed(self, other: Manifest) -> str | None:
        """The first file that differs from `other`, in words; None if the two agree."""
        mine, theirs = dict(self.files), dict(other.files)
        for name in sorted(mine.keys() | theirs.keys()):
            if mine.get(name) != theirs.get(name):
                got, expected = theirs.get(name, "no such file"), mine.get(name, "no such file")
                return f"`{name}` is {got[:12]}, expected {expected[:12]}"
        return None


def of(folder: Path, *, adapter: Path | None = None, progress: Report | None = None) -> Manifest:
    """The manifest of a transformers folder, with its adapter if it has one.

    Raises:
        UsageError: there is no such folder, or it is not a transformers model (or peft adapter) folder.
        EvidenceError: a weights file is truncated, a link leads out of the folder, or a file changed while being read.
    """
    named = _files(folder, needs="config.json")
    if adapter is not None:
        if any(name.startswith("adapter/") for name in named):
            raise EvidenceError(f"`{folder}` has a folder called `adapter`, which the adapter's own files would hide")
        named |= {f"adapter/{name}": path for name, path in _files(adapter, needs="adapter_config.json").items()}
    total, done = sum(path.stat().st_size for path in named.values()), 0
    files = []
    for name, path in sorted(named.items()):
        if path.suffix == ".safetensors":
            check_safetensors(path)
        files.append((name, _sha256(path)))
        done += path.stat().st_size
        if progress:
            progress(done, total)
    return Manifest(tuple(files))


def _files(folder: Path, *, needs: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"no such model folder: `{folder}`")
    if not (folder / needs).is_file():
        raise UsageError(f"`{folder}` has no {needs}; expected a transformers folder as save_pretrained writes it")
    root = folder.resolve()
    # a link to a folder is no folder here: what lies behind it would be loaded and not hashed
    found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    files = {path.relative_to(folder).as_posix(): path for path in found}
    for name, path in files.items():
        if not name.isprintable():
            raise EvidenceError(f"`{folder}`: the file name {name!a:.80} is not printable text")
        if not path.resolve().is_relative_to(root) or not path.is_file():
            raise EvidenceError(f"`{folder}`: `{name}` is not a plain file inside the folder")
    if not any(path.suffix == ".safetensors" for path in files.values()):
        raise UsageError(f"`{folder}` has no .safetensors weights")
    return files


def check_safetensors(path: Path) -> None:
    """Check that a safetensors file is as long as its header says.

    Raises:
        EvidenceError: the file is truncated, too long, or its header cannot be read.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length <= size - 8 else None
        ends = [int(item["data_offsets"][1]) for name, item in (header or {}).items() if name != "__metadata__"]
    except (struct.error, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise EvidenceError(f"`{path}` is not a safetensors file: its header cannot be read") from error
    if header is None:
        raise EvidenceError(f"`{path}` is truncated: {size} bytes, expected a header of {length} bytes")
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        raise EvidenceError(f"`{path}` is truncated or altered: {size} bytes, expected {expected}")


def _sha256(path: Path) -> str:
    before = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise EvidenceError(f"`{path}` changed while it was being read")
    return digest.hexdigest()
