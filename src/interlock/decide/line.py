"""Lines: the levels that results must stay under, each drawn by one version of the policy, and what is enough of a
report on a plan. Numbers in comments are those of docs/semantics.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.decide.decision import Scale
from interlock.decide.one_result import tally
from interlock.policy import exact
from interlock.policy.model import At, Mean, Measure, Measured, Threshold, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.decide.facts import Result
    from interlock.decide.view import Section
    from interlock.policy.model import Policy, RuleOut

#: A plain measure and its weight in a mean.
Base = tuple[Measure, Fraction]


@dataclass(frozen=True, slots=True)
class Line:
    """A level that results must stay under, and the version of the policy that drew it (rule 7), for an `owner`: a
    section of the policy, and a name there. `level` is turned, `written` as in the policy; all else is that version's.
    """

    version: int
    owner: tuple[Section, str]
    measure: str
    written: Fraction
    bases: tuple[Base, ...]
    plain: bool
    level: Fraction
    rule: RuleOut

    @property
    def text(self) -> str:
        """The predicate, for people."""
        return f"{self.measure} {'<=' if self.bases[0][0].danger == 'lower' else '>='} {exact(self.written)}"


@dataclass(frozen=True, slots=True)
class Floor:
    """What a version asks of a report on a plan: how much of it, and the `lines` that its task may cross."""

    coverage: Fraction
    lines: tuple[Line, ...]

    def enough(self, result: Result) -> bool:
        """Whether a result hides nothing that the plan announced (rule 19): it is of all samples, or it stopped by its
        rule once no line was crossed.
        """
        if result.scored >= self.coverage * result.protocol.samples:
            return True
        stopped = result.sequential and result.scored >= self.coverage * result.units
        return stopped and bool(self.lines) and all(_under(result, line) for line in self.lines)


def plain(policy: Policy, name: str) -> tuple[Base, ...]:
    """The plain measures that a measure consists of."""
    measure = policy.measures[name]
    if isinstance(measure, Mean):
        return tuple(
            (base, w) for one, w in measure.weights.items() if isinstance(base := policy.measures[one], Measure)
        )
    assert isinstance(measure, Measure)  # noqa: S101  the policy's own check: a predicate is over nothing else
    return ((measure, Fraction(1)),)


def draw(version: int, policy: Policy, owner: tuple[Section, str], at: At, rule: RuleOut) -> Line:
    """The line that a version, of this number, draws at a level of one of its measures."""
    bases = plain(policy, at.measure)
    low = sum((weight * base.low for base, weight in bases), Fraction(0))
    high = sum((weight * base.high for base, weight in bases), Fraction(0))
    whole = Scale(low, high, bases[0][0].danger == "lower")
    is_plain = isinstance(policy.measures[at.measure], Measure)
    return Line(version, owner, at.measure, at.level, bases, is_plain, whole.turn(at.level), rule)


def leaves(held: object) -> Iterator[At]:
    """The levels of measures at which a threshold is reached, or a measured requirement unmet."""
    if isinstance(held, Measured):
        yield At(held.measure, held.level)
    expr = held.reached_when if isinstance(held, Threshold) else None
    yield from (part for part in walk(expr) if isinstance(part, At)) if expr is not None else ()


def _under(result: Result, line: Line) -> bool:
    """Whether a result alone puts a plain measure under a line."""
    found = tally(result, line.bases[0][0]) if line.plain else None
    return found is not None and found.puts_under(line.level, 1 - line.rule.confidence)
