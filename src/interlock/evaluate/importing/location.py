"""Bytes of logs, from this machine or from any URL that fsspec reads, never more than `MOST_BYTES` of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

from interlock.errors import EvidenceError, UsageError, missing_extra
from interlock.evaluate._archive import MOST_BYTES


def fetch(location: str) -> bytes:
    """The bytes of the file at a path or URL.

    Raises:
        UsageError: there is no such file, or it cannot be reached.
        EvidenceError: it has more than `MOST_BYTES`.
    """
    try:
        if "://" in location:
            with _fsspec(location) as file:
                content = file.read(MOST_BYTES + 1)
        else:
            with _local(location) as file:
                content = file.read(MOST_BYTES + 1)
    except (UsageError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a file system that is not ours raises
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"cannot read log `{location}`: {reason}") from None
    if len(content) > MOST_BYTES:
        raise EvidenceError(f"log `{location}` has more than {MOST_BYTES} bytes, expected at most that")
    return content


def name(location: str) -> str:
    """The last part of a path or URL, with nothing in it that a file name should not have."""
    last = re.split(r"[/\\]", location.partition("?")[0])[-1]
    return re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".")[-120:] or "log"


def beside(location: str, other: str) -> str:
    """The place of another file in the same folder."""
    return location[: len(location) - len(re.split(r"[/\\]", location)[-1])] + other


def _local(location: str) -> IO[bytes]:
    if not Path(location).is_file():  # a pipe or a device would never end
        raise UsageError(f"cannot read log `{location}`: no such file")
    return Path(location).open("rb")


def _fsspec(location: str) -> IO[bytes]:
    try:
        import fsspec
    except ImportError as error:
        raise missing_extra("inspect", "fsspec") from error
    opened: IO[bytes] = fsspec.open(location, "rb").open()
    return opened
