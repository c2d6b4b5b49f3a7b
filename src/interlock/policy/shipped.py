"""The policies that ship with Interlock, by name: an example, published frameworks and laws, and templates."""

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
    """The names of all policies that ship with Interlock, in alphabetical order; not of the templates."""
    return _in(_folder())


def published() -> tuple[str, ...]:
    """The same without the example."""
    return tuple(name for name in names() if name != EXAMPLE)


def templates() -> tuple[str, ...]:
    """The names of the templates: policies to start from, with numbers that are made up."""
    return _in(_folder() / "templates")


def path(name: str) -> Path:
    """Where the policy or template of that name is; its cases stand beside it in `NAME.cases.yaml`.

    Raises:
        UsageError: there is none; names those that are spelled nearly so, else all.
    """
    for folder, known in ((_folder(), names()), (_folder() / "templates", templates())):
        if name in known:
            return folder / f"{name}{_ENDING}"
    raise UsageError(f"no policy {quote(name)} ships with Interlock; {_near(name, expected='one of')}")


def resolve(text: str) -> Path:
    """The file that somebody means by `text`: one that is there, else the policy or template of that name.

    Raises:
        UsageError: it is neither; names those that are spelled nearly so, else all.
    """
    known = (*names(), *templates())
    if os.path.exists(text) and not (text in known and Path(text).is_dir()):  # noqa: PTH110  no name is too long for it
        return Path(text)
    if text in known:
        return path(text)
    near = _near(text, expected="a file, or one of")
    raise UsageError(f"no file {quote(text)} is there, and no policy of that name ships with Interlock; {near}")


def _near(name: str, *, expected: str) -> str:
    known = (*names(), *templates())
    near = get_close_matches(name[:100], known, n=3, cutoff=0.5) or [it for it in known if name and name in it]
    listed = ", ".join(f"`{it}`" for it in near or known)
    return f"did you mean {listed}?" if near else f"expected {expected} {listed}"


def _in(folder: Path) -> tuple[str, ...]:
    files = (it.name for it in folder.iterdir() if it.is_file())
    policies = (it for it in files if it.endswith(_ENDING) and not it.endswith(f".cases{_ENDING}"))
    return tuple(sorted(it.removesuffix(_ENDING) for it in policies))


def _folder() -> Path:
    return Path(str(resources.files("interlock"))) / "policies"
