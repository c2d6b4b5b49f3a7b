"""A folder that is there whole, or not at all.

Guarantees: a folder has its name only when every byte of it is on the disk; a process that is killed, or a disk that
is full, leaves at most a folder with a dot before its name, which the next attempt removes; no folder that stands is
ever replaced.
What it leaves to the caller: that nobody else writes to folders of this name at the same time.
"""

from __future__ import annotations

import os
import shutil
from itertools import count
from typing import TYPE_CHECKING

from interlock.subject import manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def whole(folder: Path, save: Callable[[Path], object]) -> Path:
    """Have `save` fill a folder, and give it the name `folder`; where that is taken, `folder.2` and so on.

    Returns the folder: one that stands already, if it is the same model by its manifest.

    Raises:
        Exception: what `save` raises, or the disk.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        save(partial)
        durable(partial)
        place = _place(folder, partial)
        if not place.exists():
            partial.rename(place)
            # crash point: the folder stands, and is not in the ledger; the same steps give the same folder again
            _sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return place


def durable(folder: Path) -> None:
    """Have every file below a folder, and every name, on the disk."""
    for path in [folder, *folder.rglob("*")]:
        _sync(path)


def _place(folder: Path, made: Path) -> Path:
    """The first name that is free, or is that of the same model."""
    digest = manifest.of(made).digest
    names = (folder if n == 1 else folder.with_name(f"{folder.name}.{n}") for n in count(1))
    return next(name for name in names if not name.exists() or _same(name, digest))


def _same(folder: Path, digest: str) -> bool:
    try:
        return manifest.of(folder).digest == digest
    except Exception:  # noqa: BLE001  what is no model is another one
        return False


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
