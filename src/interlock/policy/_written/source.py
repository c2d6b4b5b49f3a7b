"""The bytes of a file that somebody names: read once, so that a pipe will do, and no further than is of use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.errors import UsageError
from interlock.policy._written.yaml import MAX_BYTES

if TYPE_CHECKING:
    from pathlib import Path


def content_of(path: Path, what: str) -> bytes:
    """What the file at `path` holds, read once, and no further than it takes to tell that it is too large.

    Raises:
        UsageError: there is none, or it cannot be read; `what` it was to be.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"expected {what} at `{path}`, got nothing") from None
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise UsageError(f"expected {what} at `{path}`, got what cannot be read: {str(said).lower()}") from None
