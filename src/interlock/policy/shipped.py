"""The policies that come with Interlock, by name: published frameworks and laws, an example, and templates."""

from __future__ import annotations

from pathlib import Path

from interlock.errors import UsageError

_FOLDER = Path(__file__).parents[1] / "policies"
_TEMPLATES = _FOLDER / "templates"


def names() -> tuple[str, ...]:
    """The published policies, and `example-lab`; not the templates."""
    return _in(_FOLDER)


def templates() -> tuple[str, ...]:
    """The templates: policies to start from, with numbers that are made up."""
    return _in(_TEMPLATES)


def _in(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(it.stem for it in folder.glob("*.yaml") if not it.name.endswith(".cases.yaml")))


def path(name: str) -> Path:
    """The file of the policy, or template, of that name.

    Raises:
        UsageError: there is none; the message lists names like it, or all.
    """
    for folder in (_FOLDER, _TEMPLATES):
        if name in _in(folder):
            return folder / f"{name}.yaml"
    raise UsageError(f"no policy is called `{name}`; {_near(name)}")


def resolve(text: str) -> Path:
    """The file at that path, or else the policy of that name.

    Raises:
        UsageError: there is neither.
    """
    file = Path(text)
    return file if file.is_file() else path(text)


def _near(name: str) -> str:
    from difflib import get_close_matches

    known = [*names(), *templates()]
    near = get_close_matches(name[:100], known, n=3, cutoff=0.5) or [it for it in known if name and name in it]
    listed = ", ".join(f"`{it}`" for it in near or known)
    return f"did you mean {listed}?" if near else f"there is: {listed}"
