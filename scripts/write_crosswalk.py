"""Write docs/crosswalk.md from docs/crosswalk/*.yaml: each row of a published text, and the clauses that carry it.

    python scripts/write_crosswalk.py

A row names clauses by their paths (`carried_by`), or says why no program can act on it (`text_only`). A path is one in
the policy that the file is named after, unless the row names another one (`policy`). A test fails while the page is not
what this writes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

from interlock.policy import clauses, shipped
from interlock.policy._written.yaml import find
from interlock.report.tables import escaped

DOCS = Path(__file__).parents[1] / "docs"
FOLDER, PAGE = DOCS / "crosswalk", DOCS / "crosswalk.md"

#: The files that are not of one policy, and what they are about.
OTHERS = {
    "seed": "What this project set out from",
    "not-encoded": "Frameworks and documents that are not encoded as policies",
}

HEAD = """\
# Crosswalk

Each row of the frameworks, laws and documents that Interlock read, and the clauses of the policies that carry it, or
why no program can act on it. This page is written by `python scripts/write_crosswalk.py` from the files in
[crosswalk/](crosswalk); [frameworks.md](frameworks.md) shows the policies side by side.

"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: what it says, and the clauses of `policy` that carry it, or the reason for which none does."""

    row: str
    says: str
    policy: str
    carried_by: tuple[str, ...]
    text_only: str


def read(file: Path) -> list[Entry]:
    """The rows of a file.

    Raises:
        ValueError: a row is not of the form; names the file and the row.
    """
    data = YAML(typ="base", pure=True).load(file.read_text(encoding="utf-8"))
    if not isinstance(data, list) or not data:
        raise ValueError(f"{file.name}: expected a list of rows")
    return [_entry(it, f"{file.name}, row {number}", file.stem) for number, it in enumerate(data, start=1)]


def _entry(it: object, where: str, stem: str) -> Entry:
    known = {"row", "says", "policy", "carried_by", "text_only"}
    if not isinstance(it, dict) or not it.keys() <= known:
        raise ValueError(f"{where}: expected a mapping with some of {', '.join(sorted(known))}")
    texts = {name: it.get(name) for name in ("row", "says")}
    if not all(isinstance(text, str) and text.strip() for text in texts.values()):
        raise ValueError(f"{where}: expected `row` and `says`, each a text")
    carried, reason = it.get("carried_by", []), it.get("text_only", "")
    if not isinstance(carried, list) or not all(isinstance(path, str) for path in carried):
        raise ValueError(f"{where}: expected `carried_by` to be a list of paths")
    if not isinstance(reason, str) or bool(carried) == bool(reason.strip()):
        raise ValueError(f"{where}: expected either clauses in `carried_by`, or a reason in `text_only`")
    policy = it.get("policy", stem)
    if carried and policy not in shipped.names():
        raise ValueError(f"{where}: no policy `{policy}` ships with Interlock")
    return Entry(it["row"], it["says"], policy, tuple(carried), reason)


def missing(entry: Entry) -> list[str]:
    """The paths of a row that are not in its policy's file."""
    root = _read(entry.policy).root if entry.carried_by else None
    return [path for path in entry.carried_by if root and find(root, _steps(path)) is None]


def page() -> str:
    """The page, from the files as they are."""
    return HEAD + "\n".join(_table(file) for file in sorted(FOLDER.glob("*.yaml")))


def _table(file: Path) -> str:
    title = OTHERS.get(file.stem) or clauses.read(shipped.path(file.stem))[0].title
    rows = [f"| {escaped(it.row)} | {escaped(it.says)} | {_carried(it, file.stem)} |" for it in read(file)]
    return "\n".join([f"## {escaped(title)}", "", "| row | what it says | carried by |", "|---|---|---|", *rows, ""])


def _carried(entry: Entry, stem: str) -> str:
    if not entry.carried_by:
        return f"text only: {escaped(entry.text_only)}"
    file = Path(os.path.relpath(shipped.path(entry.policy).resolve(), DOCS)).as_posix()
    whose = f"{escaped(entry.policy)}: " if entry.policy != stem else ""
    lines = _read(entry.policy)
    return whose + ", ".join(f"[{escaped(path)}]({file}#L{lines.line(path)})" for path in entry.carried_by)


@cache
def _read(name: str) -> clauses.Clauses:
    return clauses.read(shipped.path(name))[1]


def _steps(path: str) -> tuple[str | int, ...]:
    return tuple(int(step) if step.isdigit() else step for step in path.split("."))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written to {PAGE}")
