"""The mutants of a module: mutmut's operators, and those that mutmut has not, on everything but types and texts.

mutmut itself leaves out decorated functions (here the properties, and what remembers bounds), defaults of fields, and
what stands inside `len` and `isinstance`; and no operator of its drops one condition of several.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from inspect import CO_OPTIMIZED
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import libcst as cst
import libcst.matchers as m
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper, PositionProvider
from mutmut.mutation import mutators

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What one node becomes, and the kind of change.
Change = tuple[cst.CSTNode, cst.CSTNode, str]

_SWAPPED = {"any": "all", "all": "any", "min": "max", "max": "min"}
_TYPE = m.Name("Literal") | m.Name("frozenset") | m.Name("tuple")
_DELETED = (cst.AugAssign, cst.Continue, cst.Return, cst.Break)
_NOT_TEXT = {"not ruled out"}  # a state
#: Where a property, a method or a function that remembers its answers has the function itself.
_AROUND = ("fget", "func", "__wrapped__")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module."""

    module: str
    line: int
    kind: str
    was: str
    now: str
    source: str

    @property
    def name(self) -> str:
        """What tells it from all others, on one line."""
        return " ".join(f"{self.module}:{self.line} {self.kind}: {self.was} -> {self.now}".split())


@dataclass(frozen=True, slots=True)
class Body:
    """The changed code of one function of a module, known by its qualified name."""

    module: str
    function: str
    code: CodeType

    def put(self) -> None:
        """Give it to the function, which has been imported."""
        found: Any = sys.modules[f"interlock.decide.{self.module}"]
        for name in self.function.split("."):
            found = vars(found)[name]
        while not isinstance(found, FunctionType):
            found = next(it for of in _AROUND if (it := getattr(found, of, None)) is not None)
        found.__code__ = self.code


def changed_body(mutant: Mutant, path: Path) -> Body | None:
    """What is changed, if that is all within one function of the module or of one of its classes."""
    before, after = (
        compile(text, path, "exec", dont_inherit=True) for text in (path.read_text("utf-8"), mutant.source)
    )
    while not after.co_flags & CO_OPTIMIZED:  # a function's code
        old, new = _within(before), _within(after)
        if _shell(before) != _shell(after):
            return None
        differing = [pair for pair in zip(old, new, strict=True) if _key(pair[0]) != _key(pair[1])]
        if len(differing) != 1:
            return None
        ((before, after),) = differing
    alike = all(getattr(before, name) == getattr(after, name) for name in ("co_qualname", "co_freevars", "co_flags"))
    return Body(mutant.module, after.co_qualname, after) if alike and not after.co_freevars else None


def _within(code: CodeType) -> list[CodeType]:
    return [it for it in code.co_consts if isinstance(it, CodeType)]


def _shell(code: CodeType) -> tuple[object, ...]:
    """What a code object does, whatever the lines it stands on, and what the functions in it do."""
    consts = [it.co_qualname if isinstance(it, CodeType) else (type(it), repr(it)) for it in code.co_consts]
    return (code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_flags, consts)


def _key(code: CodeType) -> tuple[object, ...]:
    return (code.co_argcount, code.co_kwonlyargcount, _shell(code), [_key(it) for it in _within(code)])


def without_line(name: str) -> str:
    """A name as it stays while the lines of the module move."""
    place, _, change = name.partition(" ")
    return f"{place.partition(':')[0]} {change}"


def mutants(path: Path) -> list[Mutant]:
    """Every mutant of a file that Python accepts, by lines."""
    source = path.read_text(encoding="utf-8")
    data, original = source.encode(), ast.dump(ast.parse(source))
    wrapper = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
    spans, places = wrapper.resolve(ByteSpanPositionProvider), wrapper.resolve(PositionProvider)
    show = wrapper.module.code_for_node
    made: dict[str, Mutant] = {}
    for old, new, kind in _changes(wrapper.module):
        if _is_text(old) or _drops_text(old, new):
            continue
        span = spans[old]
        changed = (data[: span.start] + show(new).encode() + data[span.start + span.length :]).decode()
        try:
            same = ast.dump(ast.parse(changed)) == original
        except SyntaxError:
            continue
        if not same:
            mutant = Mutant(path.stem, places[old].start.line, kind, show(old), show(new), changed)
            made.setdefault(changed, mutant)
    return sorted(made.values(), key=lambda it: it.line)


def _changes(node: cst.CSTNode) -> Iterator[Change]:
    """All changes of a node and what is below it."""
    if _is_left_alone(node):
        return
    for kind, operator in mutators.mutation_operators:
        if isinstance(node, kind) and not _asks_for_type(node):
            name = operator.__name__.removeprefix("operator_").replace("_", " ")
            yield from ((node, new, name) for new in operator(node))
    yield from _more(node)
    for child in () if _is_text(node) else node.children:
        yield from _changes(child)


def _is_left_alone(node: cst.CSTNode) -> bool:
    """Types, imports, decorators, docstrings and assertions, which are for the type checker here."""
    if isinstance(node, (cst.Annotation, cst.Import, cst.ImportFrom, cst.Decorator, cst.Assert)):
        return True
    if isinstance(node, cst.If):
        return isinstance(node.test, cst.Name) and node.test.value == "TYPE_CHECKING"
    if isinstance(node, cst.Expr):
        return isinstance(node.value, cst.SimpleString)
    if isinstance(node, cst.Assign):
        return bool(m.matches(node.value, m.Subscript(_TYPE) | m.Call(m.Name("TypeVar"))))
    return False


def _asks_for_type(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value in {"len", "isinstance"}


# -- operators beside those of mutmut ----------------------------------------------------------------------------------


def _more(node: cst.CSTNode) -> Iterator[Change]:
    yield from _fewer(node)
    if isinstance(node, cst.BooleanOperation):
        yield node, node.left, "drop condition"
        yield node, node.right, "drop condition"
    elif isinstance(node, (cst.If, cst.While)):
        yield node.test, cst.Name("False"), "condition"
        if isinstance(node, cst.If):
            yield node.test, cst.Name("True"), "condition"
    elif isinstance(node, cst.CompIf):
        yield node.test, cst.Name("True"), "condition"
    elif isinstance(node, cst.Call) and isinstance(node.func, cst.Name):
        if node.func.value in _SWAPPED:
            yield node.func, cst.Name(_SWAPPED[node.func.value]), "swap"
        elif node.func.value == "sorted" and node.args:
            yield (
                node,
                cst.Call(cst.Name("list"), [node.args[0].with_changes(comma=cst.MaybeSentinel.DEFAULT)]),
                "unsorted",
            )
    elif isinstance(node, cst.Integer) and node.evaluated_value > 0:
        yield node, cst.Integer(str(node.evaluated_value - 1)), "number"
    elif isinstance(node, cst.SimpleStatementLine):
        for part in node.body:
            if isinstance(part, _DELETED) or (
                isinstance(part, cst.Expr) and not isinstance(part.value, cst.SimpleString)
            ):
                yield part, cst.Pass(), "delete statement"


def _fewer(node: cst.CSTNode) -> Iterator[Change]:
    """One element less."""
    if isinstance(node, (cst.Tuple, cst.List, cst.Set, cst.Dict)):
        for number in range(len(node.elements)):
            rest = [*node.elements[:number], *node.elements[number + 1 :]]
            if rest or not isinstance(node, cst.Set):
                yield node, node.with_changes(elements=rest, **_in_parentheses(node, rest)), "drop element"
    elif isinstance(node, cst.Slice):
        if node.lower is not None:
            yield node, node.with_changes(lower=None), "drop bound"
        if node.upper is not None:
            yield node, node.with_changes(upper=None), "drop bound"


def _in_parentheses(node: cst.CSTNode, rest: list[cst.BaseElement]) -> dict[str, object]:
    if isinstance(node, cst.Tuple) and not rest and not node.lpar:
        return {"lpar": [cst.LeftParen()], "rpar": [cst.RightParen()]}
    return {}


# -- texts -------------------------------------------------------------------------------------------------------------


def _is_text(node: cst.CSTNode) -> bool:
    """Whether it is a sentence for people: it has a space in it."""
    if isinstance(node, cst.ConcatenatedString):
        return True
    if isinstance(node, cst.FormattedString):
        return any(isinstance(part, cst.FormattedStringText) and " " in part.value for part in node.parts)
    return isinstance(node, cst.SimpleString) and " " in node.raw_value and node.raw_value not in _NOT_TEXT


def _drops_text(old: cst.CSTNode, new: cst.CSTNode) -> bool:
    """Whether all that is changed is that a sentence is not given."""
    if isinstance(old, (cst.Assign, cst.AnnAssign)):
        return old.value is not None and _is_text(old.value)
    if not isinstance(old, cst.Call) or not isinstance(new, cst.Call) or len(old.args) != len(new.args):
        return False
    gone = [it.value for it, now in zip(old.args, new.args, strict=True) if it.value is not now.value]
    return any(_is_text(it) or (isinstance(it, cst.Name) and it.value == "text") for it in gone)
