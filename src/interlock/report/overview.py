"""One policy on a screen or two: what it is, who signs, its thresholds, its requirements, its gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.policy import compile as compiled
from interlock.policy._scalar import exact, stamp
from interlock.policy.clauses import standing
from interlock.policy.load import content, key_files
from interlock.policy.matrix import flop
from interlock.policy.model import (
    Amount,
    Approved,
    At,
    Attested,
    Combined,
    Defined,
    Hole,
    Mean,
    Measure,
    Measured,
    Never,
    Ref,
    RuledOut,
)
from interlock.policy.time import spoken
from interlock.report.matrix import NOTHING, gates
from interlock.report.tables import Item, Table, marked, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from interlock.policy.clauses import Clauses
    from interlock.policy.model import Expr, Policy, Requirement, Threshold
    from interlock.report.matrix import Placed
    from interlock.report.tables import Cell


def overview(policy: Policy, clauses: Clauses, it: Placed) -> tuple[Table, ...]:
    """The tables of a policy that has loaded as `it.file` says."""
    return _Overview(policy, clauses, it).tables()


@dataclass(frozen=True, slots=True)
class _Overview:
    policy: Policy
    clauses: Clauses
    it: Placed

    def tables(self) -> tuple[Table, ...]:
        facts = tuple((plain(name), plain(text)) for name, text in self.facts() if text)
        return (
            Table(self.policy.title, ("", ""), facts),
            Table("Roles", ("role", "signs with", "independent of"), tuple(self.roles())),
            Table("Thresholds", ("threshold", "reached when", "is"), tuple(self.thresholds())),
            Table("Requirements", ("requirement", "met by"), tuple(self.requirements())),
            gates(self.it, caption="Gates"),
        )

    def facts(self) -> Iterator[tuple[str, str]]:
        policy = self.policy
        yield "id", policy.id
        yield "version", policy.version + (f", supersedes {policy.supersedes}" if policy.supersedes else "")
        yield "digest", compiled.digest(policy) + self.stand_ins()
        yield "in force", f"from {stamp(policy.effective)}" + (f" to {stamp(policy.expires)}" if policy.expires else "")
        yield "imposed by", policy.imposed_by
        yield "changes", f"approved by {', '.join(policy.amendments.approved_by)}"
        if policy.scope.subjects is not None:
            yield "binds", f"subjects with {self.expr(policy.scope.subjects)}"

    def stand_ins(self) -> str:
        """What the digest is worth while key files are not there."""
        named = key_files(content(self.it.file), name=str(self.it.file))
        absent = sum(not (self.it.file.parent / name).exists() for name in named)
        return f", with stand-ins for {absent} key files that are not there" if absent else ""

    def roles(self) -> Iterator[tuple[Cell, ...]]:
        for role in self.policy.roles.values():
            keys = len(role.keys)
            signs = f"{role.quorum} of {keys} key{'s' if keys != 1 else ''}" if keys else "no keys yet"
            yield self.name(f"roles.{role.name}", role.sources), plain(signs), plain(_or_none(role.independent_of))

    def thresholds(self) -> Iterator[tuple[Cell, ...]]:
        for it in self.policy.thresholds.values():
            yield self.name(f"thresholds.{it.name}", it.sources), plain(*self.reached(it)), plain(self.use(it))

    def reached(self, it: Threshold) -> Iterator[str]:
        if it.hole:
            yield "not defined yet (a hole)"
            return
        if it.reached_when is not None:
            yield self.expr(it.reached_when)
        if it.judged is not None:
            yield f"judged by {it.judged.by} on {', '.join(it.judged.on)}"

    def use(self, it: Threshold) -> str:
        at = [action for action, cells in self.policy.gates.items() if it.name in cells and cells[it.name].requires]
        words = {"watch": "watched", "alert": f"an alert line, before {it.alert_for}"}
        return words.get(it.role) or (f"at {', '.join(at)}" if at else "at no gate by itself")

    def requirements(self) -> Iterator[tuple[Cell, ...]]:
        for it in self.policy.requirements.values():
            if not isinstance(it, Never):
                yield self.name(f"requirements.{it.name}", it.sources), plain(self.met(it))

    def met(self, it: Requirement) -> str:
        """How a requirement is met, in words."""
        match it:
            case Attested() | Approved():
                verb = "attested" if isinstance(it, Attested) else "approved"
                text = f"{it.what}: {verb} by {it.by} about the {it.about}, for {spoken(it.fresh_for)}"
            case Measured():
                text = f"measured: {self.met_at(it)}"
            case Defined():
                text = f"threshold {it.threshold} is defined"
            case RuledOut():
                text = f"threshold {it.threshold} is ruled out"
            case Combined():
                text = f"{_of(it.count, len(it.of))} {', '.join(it.of)}"
            case Hole():
                text = f"nothing yet, a hole: {it.what} (owner {it.owner}, review {stamp(it.review)[:10]})"
            case Never():
                text = "nothing"
        return text

    def expr(self, expr: Expr) -> str:
        """An expression, as a policy writes its parts."""
        match expr:
            case At():
                return f"{expr.measure} {'<=' if self.turned(expr.measure) else '>='} {exact(expr.level)}"
            case Amount():
                whole = expr.level.denominator == 1
                return f"{expr.quantity} >= {flop(expr.level.numerator) if whole else exact(expr.level)}"
            case Ref():
                return expr.threshold
        parts = ", ".join(map(self.expr, expr.parts))
        return f"{_of(expr.count, len(expr.parts))} ({parts})"

    def met_at(self, it: Measured) -> str:
        """A measured requirement: the level, and the harmless side of it."""
        return (
            f"{it.measure} {'>=' if self.turned(it.measure) else '<='} {exact(it.level)}, run by {it.rule_out.run_by}"
        )

    def turned(self, name: str) -> bool:
        """Whether less of a measure is more dangerous."""
        measure = self.policy.measures[name]
        if isinstance(measure, Mean):
            return all(map(self.turned, measure.weights))
        return isinstance(measure, Measure) and measure.danger == "lower"

    def name(self, path: str, sources: Iterable[str]) -> Cell:
        """What a clause is called, marked by what its sources rest on."""
        marks = marked([standing(it)[0] for it in sources])
        return (Item(path.rsplit(".", maxsplit=1)[-1], marks, path, self.it.file, self.clauses.line(path)),)


def _of(count: int, many: int) -> str:
    return {1: "any of", many: "all of"}.get(count, f"at least {count} of")


def _or_none(names: Iterable[str]) -> str:
    return ", ".join(names) or NOTHING
