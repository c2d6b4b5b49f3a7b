"""The policies that ship with Interlock, by name: an example, and published frameworks and laws."""

from __future__ import annotations

import os
from difflib import get_close_matches
from importlib import resources
from pathlib import Path

from interlock.errors import UsageError
from interlock.policy._scalar import quote

#: The one that nobody has published.
EXAMPLE = "example-lab"
_ENDING = ".yaml"


def names() -> tuple[str, ...]:
    """The names of all policies that ship with Interlock, in alphabetical order."""
    files = (it.name for it in _folder().iterdir() if it.is_file())
    policies = (it for it in files if it.endswith(_ENDING) and not it.endswith(f".cases{_ENDING}"))
    return tuple(sorted(it.removesuffix(_ENDING) for it in policies))


def published() -> tuple[str, ...]:
    """The same without the example."""
    return tuple(name for name in names() if name != EXAMPLE)


def path(name: str) -> Path:
    """Where the policy of that name is; its cases stand beside it in `NAME.cases.yaml`."""
    return _folder() / f"{name}{_ENDING}"


def resolve(text: str) -> Path:
    """The file that somebody means by `text`: one that is there, else the policy of that name.

    Raises:
        UsageError: it is neither; names those that are spelled nearly so, else all.
    """
    known = names()
    if os.path.exists(text) and not (text in known and Path(text).is_dir()):  # noqa: PTH110  no name is too long for it
        return Path(text)
    if text in known:
        return path(text)
    near = get_close_matches(text[:100], known, n=3, cutoff=0.5)
    listed = ", ".join(f"`{name}`" for name in near or known)
    hint = f"did you mean {listed}?" if near else f"expected a file, or one of {listed}"
    raise UsageError(f"no file {quote(text)} is there, and no policy of that name ships with Interlock; {hint}")


def _folder() -> Path:
    return Path(str(resources.files("interlock"))) / "policies"
