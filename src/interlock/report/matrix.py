"""Policies as tables: one by its gates and what stands around them, or several side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from interlock.policy.matrix import row as read_row
from interlock.policy.model import STANDARD_ACTIONS
from interlock.report.tables import Item, Table, item, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from interlock.policy.clauses import Clauses
    from interlock.policy.matrix import Gate, Listed, Row, Said
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
    title = f"{it.row.title} ({it.row.id} {it.row.version})"
    return gates(it, caption=f"{title}: what each gate asks for"), Table(
        f"{title}: what stands around the gates", ("", "what the policy says"), tuple(around)
    )


def gates(it: Placed, *, caption: str) -> Table:
    """Threshold x action. The first row says how each action stands."""
    columns = it.row.gates
    names = dict.fromkeys(cell.threshold for gate in columns for cell in gate.cells)
    rows = [(plain("stands"), *(_stands(gate, it.file) for gate in columns))]
    rows += [(plain(name), *(_at(gate, name, it.file) for gate in columns)) for name in names]
    return Table(caption, ("threshold", *(gate.action for gate in columns)), tuple(rows))


def compared(found: Sequence[Placed]) -> Table:
    """A row for each policy."""
    further = any(len(it.row.gates) > len(STANDARD_ACTIONS) for it in found)
    head = ("policy", *STANDARD_ACTIONS, *(["further actions"] if further else []), *ASPECTS.values())
    return Table("", head, tuple(tuple(_cells(it, further=further)) for it in found))


def _cells(it: Placed, *, further: bool) -> Iterator[Cell]:
    yield (Item(it.row.title, file=it.file, strong=True), Item(f"{it.row.id} {it.row.version}"))
    standard, others = it.row.gates[: len(STANDARD_ACTIONS)], it.row.gates[len(STANDARD_ACTIONS) :]
    for gate in standard:
        yield (*_stands(gate, it.file), *_listed(gate, it.file))
    if further:
        cells = (part for gate in others for part in (_named(gate, it.file), *_listed(gate, it.file)))
        yield tuple(cells) or plain(NOTHING)
    for part in ASPECTS:
        yield _all(getattr(it.row, part), it.file)


def _stands(gate: Gate, file: Path) -> Cell:
    return (Item(gate.stands, strong=True), *(item(said, file) for said in gate.why))


def _named(gate: Gate, file: Path) -> Item:
    why = ", ".join(it.text for it in gate.why)
    return Item(f"{gate.action}: {gate.stands}{f' ({why})' if why else ''}", file=file, strong=True)


def _listed(gate: Gate, file: Path) -> Cell:
    """The thresholds at a gate, each with what is required there."""
    return tuple(item(it.says, file, text=f"{it.threshold}: {_required(it)}") for it in gate.cells)


def _required(it: Listed) -> str:
    return ", ".join(said.text for said in (*it.requires, *it.weaker))


def _at(gate: Gate, threshold: str, file: Path) -> Cell:
    for it in gate.cells:
        if it.threshold == threshold:
            return _all((*it.requires, *it.weaker), file)
    return plain("-")


def _all(said: Iterable[Said], file: Path) -> Cell:
    return tuple(item(it, file) for it in said) or plain(NOTHING)


def to_json(it: Placed) -> dict[str, Any]:
    """The row as plain JSON."""
    return {"file": str(it.file), **asdict(it.row)}
