"""Policies as tables: one by its gates and what stands around them, or several side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from interlock.policy.matrix import row as read_row
from interlock.policy.model import STANDARD_ACTIONS
from interlock.report.tables import EMPTY, Item, Table, item, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from interlock.policy.clauses import Clauses
    from interlock.policy.matrix import Gate, Row, Said
    from interlock.policy.model import Policy
    from interlock.report.tables import Cell

#: The parts of a row beside its gates, and what they are called.
ASPECTS = {
    "resume": "resume when",
    "cadence": "cadence",
    "elicitation": "elicitation",
    "buffer": "buffer",
    "audit": "external check",
    "decision": "who decides",
    "exceptions": "exceptions",
}
#: What the first column of a table of policies is called.
POLICY = "policy"
#: What stands where a policy says nothing.
NOTHING = "none"


@dataclass(frozen=True, slots=True)
class Placed:
    """The row of the policy in a file."""

    file: Path
    row: Row


def placed(file: Path, policy: Policy, clauses: Clauses) -> Placed:
    """The row of a policy, and where it stands."""
    return Placed(file, read_row(policy, clauses))


def one(it: Placed) -> tuple[Table, Table]:
    """One policy: threshold x action with the requirements in the cells, and what stands around the gates."""
    around = ((plain(name), _all(getattr(it.row, part), it.file)) for part, name in ASPECTS.items())
    beside = Table("What stands around the gates", ("", "what the policy says"), tuple(around))
    return gates(it, caption=f"{_title(it)}: what each gate asks for"), beside


def gates(it: Placed, *, caption: str) -> Table:
    """Threshold x action. The first row says how each action stands."""
    columns = it.row.gates
    names = dict.fromkeys(cell.threshold for gate in columns for cell in gate.cells)
    rows = [(plain("stands"), *(_stands(gate, it.file) for gate in columns))]
    rows += [(plain(name), *(_at(gate, name, it.file) for gate in columns)) for name in names]
    return Table(caption, ("threshold", *(gate.action for gate in columns)), tuple(rows))


def several(found: Sequence[Placed]) -> tuple[Table, ...]:
    """Policies side by side, a row for each; then the gates of each."""
    further = any(len(it.row.gates) > len(STANDARD_ACTIONS) for it in found)
    head = (POLICY, *STANDARD_ACTIONS, *(["further actions"] if further else []), *ASPECTS.values())
    compared = Table("Side by side", head, tuple(tuple(_cells(it, further=further)) for it in found))
    return (compared, *(gates(it, caption=f"{_title(it)}: what each gate asks for") for it in found))


def _title(it: Placed) -> str:
    return f"{it.row.title} ({it.row.id} {it.row.version})"


def _cells(it: Placed, *, further: bool) -> Iterator[Cell]:
    yield (Item(it.row.title, file=it.file, strong=True), Item(f"{it.row.id} {it.row.version}"))
    standard, others = it.row.gates[: len(STANDARD_ACTIONS)], it.row.gates[len(STANDARD_ACTIONS) :]
    for gate in standard:
        stands, *why = _stands(gate, it.file)
        yield (stands, *([item(cell.says, it.file) for cell in gate.cells] or why))
    if further:
        yield tuple(_named(gate) for gate in others) or plain(NOTHING)
    for part in ASPECTS:
        yield _all(getattr(it.row, part), it.file)


def _named(gate: Gate) -> Item:
    why = ", ".join(it.text for it in gate.why)
    return Item(f"{gate.action}: {gate.stands}{f' ({why})' if why else ''}")


def _stands(gate: Gate, file: Path) -> Cell:
    return (Item(gate.stands, strong=True), *(item(said, file) for said in gate.why))


def _at(gate: Gate, threshold: str, file: Path) -> Cell:
    for it in gate.cells:
        if it.threshold == threshold:
            return _all((*it.requires, *it.weaker), file)
    return plain(EMPTY)


def _all(said: Iterable[Said], file: Path) -> Cell:
    return tuple(item(it, file) for it in said) or plain(NOTHING)


def to_json(it: Placed) -> dict[str, Any]:
    """The row as plain JSON."""
    return {"file": str(it.file), **asdict(it.row)}
