"""Changes to YAML text that leave every comment, and the layout of all that they do not touch, as it is.

An `Edits` finds values by their paths, as they stood in the text that it was made from, and notes what is to be put
there; `text()` puts it all in. The caller reads the result again: nothing here knows what the values mean.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str | int, ...]

#: Texts that mean themselves wherever YAML stands, inside of brackets too.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9/.()-]*( [A-Za-z0-9/.()-]+)*")


def scalar(text: str) -> str:
    """A text as YAML: plain where nothing in it has a meaning of its own, else in double quotes."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in {"null", "true", "false", "yes", "no", "on", "off"}
    return text if plain else json.dumps(text, ensure_ascii=False)


@dataclass(slots=True)
class Edits:
    """Changes to one text, which must be YAML without anchors, aliases and tags."""

    original: str
    _root: Node = field(init=False, repr=False)
    _changes: list[tuple[int, int, str]] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self._root = YAML(typ="safe", pure=True).compose(self.original)

    def find(self, *path: str | int) -> Node | None:
        """The value at a path; None where there is none."""
        node: Node | None = self._root
        for step in path:
            node = next((value for key, value in _entries(node) if key == step), None)
        return node

    def keys(self, *path: str | int) -> tuple[str | int, ...]:
        """The keys of the mapping at a path, or the places in the list there; none for anything else."""
        return tuple(key for key, _ in _entries(self.find(*path)))

    def text_at(self, *path: str | int) -> str:
        """The text that the scalar at a path means; empty where there is none."""
        node = self.find(*path)
        return str(node.value) if isinstance(node, ScalarNode) else ""

    def written(self, *path: str | int) -> str:
        """The value at a path as it stands in the text, on one line; empty where there is none."""
        node = self.find(*path)
        return " ".join(self.original[slice(*_span(node))].split()) if node is not None else ""

    def replace(self, new: str, *path: str | int) -> None:
        """Put the text `new`, one line of YAML, in place of the value at a path, which must be there."""
        self._changes.append((*_span(self._there(path)), new))

    def insert(self, entry: str, *path: str | int) -> None:
        """Put `entry`, such as `a: b`, first into the mapping at a path, which must be there and have an entry."""
        node = self._there(path)
        start = node.start_mark.index
        if _flows(node):
            self._changes.append((start + 1, start + 1, f"{entry}, "))
        else:
            self._changes.append((start, start, f"{entry}\n{' ' * node.start_mark.column}"))

    def remove(self, *path: str | int) -> None:
        """Take the entry at a path out of its mapping; the mapping itself, too, where nothing else stands in it. No
        block mapping on the path may be an item of a list.
        """
        outer = self._there(path[:-1])
        place = self.keys(*path[:-1]).index(path[-1])
        if len(outer.value) == 1 and path[:-1]:
            self.remove(*path[:-1])
        elif _flows(outer):
            self._changes.append((*_in_flow(outer, place), ""))
        else:
            self._changes.append((*self._lines(outer, place), ""))

    def head(self, comment: str) -> None:
        """Put comment lines before everything else."""
        self._changes.append((0, 0, "".join(f"# {line}\n" for line in comment.splitlines())))

    def text(self) -> str:
        """The text with all changes. Changes must not overlap; of those at one place the earlier one comes first."""
        text, end = self.original, len(self.original)
        for start, stop, new in sorted(self._changes, key=lambda change: change[:2])[::-1]:
            assert stop <= end, "changes overlap"  # noqa: S101  a fault of the caller's, never of the text
            text, end = text[:start] + new + text[stop:], start
        return text

    def _there(self, path: Path) -> Node:
        node = self.find(*path)
        if node is None:
            raise KeyError(".".join(map(str, path)))
        return node

    def _lines(self, outer: Node, place: int) -> tuple[int, int]:
        """The lines of an entry of a block mapping, without the comments that follow."""
        key, value = outer.value[place]
        end = self.original.find("\n", _span(value)[1])
        return key.start_mark.index - key.start_mark.column, end + 1 if end >= 0 else len(self.original)


def _entries(node: Node | None) -> Iterator[tuple[str | int, Node]]:
    if isinstance(node, MappingNode):
        yield from ((key.value, value) for key, value in node.value)
    elif isinstance(node, SequenceNode):
        yield from enumerate(node.value)


def _flows(node: Node) -> bool:
    """Whether it stands in brackets."""
    return isinstance(node, CollectionNode) and bool(node.flow_style)


def _span(node: Node) -> tuple[int, int]:
    """Where a value begins and ends. A block ends with the last value in it, before the comments that follow."""
    start, end = node.start_mark.index, node.end_mark.index
    if not isinstance(node, CollectionNode) or _flows(node) or not node.value:
        return start, end
    last = node.value[-1]
    return start, _span(last[1] if isinstance(node, MappingNode) else last)[1]


def _in_flow(outer: Node, place: int) -> tuple[int, int]:
    """An entry of a flow mapping, with the comma that goes with it."""
    if place + 1 < len(outer.value):
        return outer.value[place][0].start_mark.index, outer.value[place + 1][0].start_mark.index
    before = _span(outer.value[place - 1][1])[1] if place else outer.value[place][0].start_mark.index
    return before, _span(outer.value[place][1])[1]
