"""A case file's tree, read field by field: every mistake is noted at its line and column, and reading goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from interlock.errors import SHOWN
from interlock.policy._scalar import expected_one_of, flop, quote, suggest
from interlock.policy._written.yaml import Composer, Mark, Node, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

T = TypeVar("T")
D = TypeVar("D")

#: Where, and what is wrong there.
Problems = list[tuple[Mark, str]]


class ListComposer(Composer):
    """Reads a list at the root as `cases: LIST`; a mapping stays what it is."""

    def _node(self, event: Any, events: Any, *, depth: int) -> Node:  # noqa: ANN401  the parser's events
        node = super()._node(event, events, depth=depth)
        if depth == 1 and isinstance(node.value, list):
            return Node({"cases": node}, node.at, node.at)
        return node


class Entry:
    """One mapping on its way to a value. Each field is asked for once; `end` tells of the fields that nobody knows.

    A field that is missing or wrong is noted, and a stand-in returned: nothing may be made of it before `end` says so.
    """

    __slots__ = ("_asked", "_fields", "found", "node", "sound")

    def __init__(self, node: Node, found: Problems, what: str) -> None:
        self.node, self.found, self.sound = node, found, True
        self._asked: dict[str, None] = {}
        self._fields: Mapping[str, Node] | None = node.value if isinstance(node.value, dict) else None
        if self._fields is None:
            self.wrong(node, f"expected {what} as a mapping, got {quote(plain(node))}")

    def __contains__(self, name: str) -> bool:
        """Whether the field is written."""
        return bool(self._fields and name in self._fields)

    def wrong(self, node: Node, message: str) -> None:
        """Note a problem. That nothing stands where a value belongs was noted when the file was parsed."""
        self.sound = False
        if node.value is not None:
            self.found.append((node.at, message))

    def child(self, name: str) -> Node | None:
        """The node of a field, if it is written."""
        self._asked[name] = None
        return self._fields.get(name) if self._fields else None

    def get(self, name: str, read: Callable[[object], T], default: D) -> T | D:
        """A field that may be left out."""
        node = self.child(name)
        if node is None:
            return default
        try:
            return read(plain(node))
        except ValueError as error:
            self.wrong(node, str(error))
        return default

    def need(self, name: str, read: Callable[[object], T]) -> T:
        """A field that must be there."""
        if self._fields is not None and name not in self._fields:
            self.sound = False
            self.found.append((self.node.key_at, f"expected field `{name}`, got nothing"))
        return cast("T", self.get(name, read, None))

    def each(self, name: str, read: Callable[[object], T]) -> tuple[T, ...]:
        """A field of one or of a list; none where it is left out."""
        values = (self.value(node, read) for node in self.nodes(name))
        return tuple(value for value in values if value is not None)

    def value(self, node: Node, read: Callable[[object], T]) -> T | None:
        """What a node of this mapping says; nothing where it is wrong."""
        try:
            return read(plain(node))
        except ValueError as error:
            self.wrong(node, str(error))
        return None

    def nodes(self, name: str) -> list[Node]:
        """The nodes of a field of one or of a list."""
        node = self.child(name)
        if node is None:
            return []
        return node.value if isinstance(node.value, list) else [node]

    def named(self, name: str) -> dict[str, Node]:
        """The nodes of a field that is a mapping."""
        node = self.child(name)
        if node is None:
            return {}
        if not isinstance(node.value, dict):
            self.wrong(node, f"expected a mapping, got {quote(plain(node))}")
            return {}
        return node.value

    def keyed(self, name: str, what: str, names: Collection[str]) -> dict[str, Node]:
        """The nodes of a field that is a mapping, by keys that must be among `names`."""
        nodes = self.named(name)
        for key in nodes.keys() - set(names):
            self.sound = False
            self.found.append((nodes[key].key_at, f"{what} {quote(key)} is not defined{nearest(key, names)}"))
        return {key: node for key, node in nodes.items() if key in names}

    def end(self) -> bool:
        """Note every field that nobody asked for. Says whether all of it could be read."""
        for name, node in (self._fields or {}).items():
            if name not in self._asked:
                self.sound = False
                hint = expected_one_of(name, self._asked) if len(self.found) < SHOWN else ""
                self.found.append((node.key_at, f"unknown field {quote(name)}{hint}"))
        return self.sound


def known(what: str, names: Mapping[str, T]) -> Callable[[object], T]:
    """A reader of a name that must be one of `names`; gives what it stands for."""

    def read(value: object) -> T:
        if isinstance(value, str) and value in names:
            return names[value]
        raise ValueError(f"{what} {quote(value)} is not defined{nearest(value, names)}")

    return read


def nearest(value: object, names: Collection[str]) -> str:
    """`; did you mean ...?`, or what there is, where that is little."""
    hint = suggest(value, names) if isinstance(value, str) else ""
    if hint or not names or len(names) > 8:
        return hint
    return f"; there is: {', '.join(f'`{name}`' for name in sorted(names))}"


def interval(value: object) -> tuple[int, int]:
    """Compute that is known exactly, or to lie in `[low, high]`."""
    if not isinstance(value, list):
        return flop(value), flop(value)
    if len(value) != 2:
        raise ValueError(f"expected FLOP such as `2e24`, or `[low, high]`, got a list of {len(value)}")
    low, high = flop(value[0]), flop(value[1])
    if low > high:
        raise ValueError(f"expected `[low, high]` with low <= high, got `[{value[0]}, {value[1]}]`")
    return low, high
