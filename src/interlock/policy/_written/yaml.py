"""YAML text to a tree of texts with positions.

Guarantees: every scalar stays the text that was written (`0.20` is not a float yet), every node knows its line and
column, and only plain YAML gets through: one document, a mapping at its root, no anchors, aliases, merge keys, tags or
directives, no key twice, no empty value, nothing that is not seen, at most 1 MiB and 32 levels deep. Input that breaks
this is reported, never expanded or executed. What the texts mean is left to `_written/forms.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from interlock.errors import Mistake
from interlock.policy._scalar import CONTROL, quote
from interlock.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_BYTES = 1 << 20
MAX_DEPTH = 32

#: Line and column, both from 1.
Mark = tuple[int, int]
#: Keys and indices from the root to a node.
Path = tuple[str | int, ...]

#: The same tree without positions.
Plain = str | list["Plain"] | dict[str, "Plain"] | None

#: The mark that some editors put first into a file.
_BYTE_ORDER = "\ufeff"
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class Node:
    """A value, where it starts, and where the key that names it starts. `None` stands for a value that is not there."""

    value: str | list[Node] | dict[str, Node] | None
    at: Mark
    key_at: Mark


class Refused(Exception):  # noqa: N818  # never leaves this package: it ends the reading of a file
    """The text cannot be read any further."""


@dataclass(slots=True)
class Composer:
    """Reads one text. `problems` fills with what is wrong; reading goes on where that makes sense. `what` is read."""

    what: str = "a policy"
    problems: list[tuple[Mark, str]] = field(default_factory=list)

    def compose(self, content: bytes | str) -> Node:
        """The root mapping.

        Raises:
            Refused: nothing useful can be read; `problems` says why.
        """
        text = self._text(content)
        try:
            return self._document(YAML(typ="safe", pure=True).parse(text))
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            at = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            said = (error.problem or error.context or "cannot be parsed").split("\n", maxsplit=1)[0]
            raise self._refuse(at, f"expected valid YAML: {said}") from error
        except (YAMLError, ValueError, OverflowError, ArithmeticError, LookupError, AssertionError) as error:
            # The scanner lets some of Python's own errors through, such as chr() of a number beyond Unicode.
            raise self._refuse((1, 1), "expected valid YAML: cannot be parsed") from error

    def _refuse(self, at: Mark, message: str) -> Refused:
        self.problems.append((at, message))
        return Refused(message)

    def _text(self, content: bytes | str) -> str:
        raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        if len(raw) > MAX_BYTES:
            raise self._refuse((1, 1), f"expected {self.what} of at most 1 MiB, got a larger file")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            at = _mark_at(raw[: error.start].decode("utf-8"))
            raise self._refuse(at, f"expected UTF-8 text, got byte `0x{raw[error.start]:02x}`") from error
        if bad := CONTROL.search(text, 1 if text.startswith(_BYTE_ORDER) else 0):
            code = f"U+{ord(bad[0]):04X}"
            raise self._refuse(_mark_at(text[: bad.start()]), f"expected plain text, got control character `{code}`")
        return text

    def _document(self, events: Iterator[Event]) -> Node:
        while not isinstance(event := next(events), NodeEvent):
            if isinstance(event, StreamEndEvent):
                raise self._refuse((1, 1), "expected a mapping, got an empty file")
            if isinstance(event, DocumentStartEvent) and (event.version or event.tags):
                self.problems.append(((1, 1), f"directives are not allowed in {self.what}"))
        root = self._node(event, events, depth=1)
        for event in events:
            if isinstance(event, DocumentStartEvent):
                self.problems.append((_mark(event), "expected one document, got another"))
                break
        if not isinstance(root.value, dict):
            raise self._refuse(root.at, f"expected a mapping, got {_kind(root)}")
        return root

    def _node(self, event: Event, events: Iterator[Event], *, depth: int) -> Node:
        at = _mark(event)
        if depth > MAX_DEPTH and isinstance(event, (SequenceStartEvent, MappingStartEvent)):
            raise self._refuse(at, f"expected at most {MAX_DEPTH} levels of nesting, got more")
        if isinstance(event, AliasEvent):
            self.problems.append((at, f"aliases are not allowed in {self.what}, got {quote(f'*{event.anchor}')}"))
            return Node(None, at, at)
        assert isinstance(event, (ScalarEvent, SequenceStartEvent, MappingStartEvent))  # noqa: S101  # no other is left
        if event.anchor is not None:
            self.problems.append((at, f"anchors are not allowed in {self.what}, got {quote(f'&{event.anchor}')}"))
        if event.ctag is not None:
            self.problems.append((at, f"tags are not allowed in {self.what}, got {quote(str(event.ctag))}"))
        if isinstance(event, SequenceStartEvent):
            return Node(self._sequence(events, depth=depth), at, at)
        if isinstance(event, MappingStartEvent):
            return Node(self._mapping(events, depth=depth), at, at)
        return Node(self._scalar(event), at, at)

    def _scalar(self, event: ScalarEvent) -> str | None:
        if not event.style and event.value in _NULLS:
            return None
        if bad := CONTROL.search(event.value):  # written as an escape
            self.problems.append((_mark(event), f"expected plain text, got control character `U+{ord(bad[0]):04X}`"))
        return CONTROL.sub("\ufffd", event.value)

    def _sequence(self, events: Iterator[Event], *, depth: int) -> list[Node]:
        items: list[Node] = []
        while not isinstance(event := next(events), SequenceEndEvent):
            item = self._node(event, events, depth=depth + 1)
            if item.value is None and not isinstance(event, AliasEvent):
                self.problems.append((item.at, "expected a value in the list, got nothing"))
            items.append(item)
        return items

    def _mapping(self, events: Iterator[Event], *, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            key = self._node(event, events, depth=depth + 1)
            follows = next(events)
            node = self._node(follows, events, depth=depth + 1)
            if not isinstance(key.value, str):
                if not isinstance(event, AliasEvent):
                    self.problems.append((key.at, f"expected a name as the key, got {_kind(key)}"))
            elif key.value == "<<":
                self.problems.append((key.at, f"merge keys are not allowed in {self.what}, got `<<`"))
            elif key.value in entries:
                first = entries[key.value].key_at[0]
                self.problems.append((key.at, f"{quote(key.value)} is written twice, first on line {first}"))
            else:
                if node.value is None and not isinstance(follows, AliasEvent):
                    self.problems.append((key.at, f"expected a value for {quote(key.value)}, got nothing"))
                entries[key.value] = Node(node.value, node.at, key.at)
        return entries


def mistakes(found: Iterable[tuple[Mark, str]], *, name: str) -> list[Mistake]:
    """What was found wrong with the file of that name, each once, in its order, on a line of its own: a name that was
    broken over two lines is told with its break spelled out.
    """
    return [Mistake(name, line, column, printable(message)) for (line, column), message in sorted(set(found))]


def plain(node: Node) -> Plain:
    """The tree below `node` as nested dictionaries, lists and texts."""
    if isinstance(node.value, dict):
        return {name: plain(child) for name, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def find(root: Node, path: Path) -> Node | None:
    """The node at `path`, if there is one."""
    node: Node | None = root
    for step in path:
        node = _child(node, step) if node else None
    return node


def nearest(root: Node, path: Path) -> Node:
    """The node at `path`, or the last one on the way there."""
    while (node := find(root, path)) is None:
        path = path[:-1]
    return node


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(step, str):
        return node.value.get(step) if isinstance(node.value, Mapping) else None
    if isinstance(node.value, Sequence) and not isinstance(node.value, str) and step < len(node.value):
        return node.value[step]
    return None


def _kind(node: Node) -> str:
    if isinstance(node.value, str):
        return quote(node.value)
    return "nothing" if node.value is None else "a list" if isinstance(node.value, list) else "a mapping"


def _mark(event: Event) -> Mark:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _mark_at(before: str) -> Mark:
    lines = re.split("\r\n|\r|\n", before)
    return len(lines), len(lines[-1]) + 1
