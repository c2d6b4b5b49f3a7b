"""Is one gate at least as strict as another? Shown on the policy's own lines, with a model that tells them apart.

A gate G is as strict as F if, for each threshold that F lists, G lists lines that put it below whenever they are below
themselves, with requirements that imply F's. What is called looser is so by the rule: there is a model that F holds and
that passes G's line. What cannot be compared is said to be so, and is not called looser.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from interlock.policy._lint.view import Hit, listing
from interlock.policy._lint.ways import assumptions, of_kind
from interlock.policy._scalar import exact
from interlock.policy.model import (
    Amount,
    At,
    AtLeast,
    Attested,
    Combined,
    Mean,
    Measured,
    Ref,
    UnderQuantity,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from fractions import Fraction

    from interlock.policy._lint.view import View
    from interlock.policy._lint.ways import Ways
    from interlock.policy.model import BelowIf, Cell, Demand, Expr, RuleOut, Threshold


class Rank(IntEnum):
    """How a line compares with another. Of several lines the highest counts."""

    MISSING = 0
    LOOSER = 1
    UNCLEAR = 2
    EQUAL = 3
    STRICTER = 4


@dataclass(frozen=True, slots=True)
class Match:
    """How the strict gate's line compares, and a model that shows it."""

    rank: Rank
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    """Something that must be below for a gate to open, unless the requirements of its cell are met."""

    part: Expr
    owner: Threshold
    cell: Cell


@dataclass(frozen=True, slots=True)
class Gates:
    """Two gates of a policy: `strict` is to be at least as strict as `free`."""

    view: View
    ways: Ways
    strict: str
    free: str

    def compared(self) -> Iterator[tuple[str, Match]]:
        """Each threshold of the free gate, with how the strict gate's lines compare. Nothing, if that never opens."""
        if self._shut():
            return
        lines = [line for name, cell in self._row(self.strict) for line in self._lines(name, cell)]
        for name, cell in self._row(self.free):
            yield name, self._threshold(name, cell, lines)

    def lowered(self, name: str) -> bool:
        """Whether the strict gate has some other line, a lower one, on a measure of the threshold."""
        part = self.view.policy.thresholds[name].reached_when
        levels = {at.measure: self._turned(at) for at in _ats(part)}
        lines = [line for other, cell in self._row(self.strict) for line in self._lines(other, cell)]
        own = [line.part for line in lines if isinstance(line.part, At)]
        return any(at.measure in levels and self._turned(at) < levels[at.measure] for at in own)

    def _turned(self, leaf: At) -> Fraction:
        return self.view.scale(leaf.measure).turned(leaf.level)

    def _row(self, action: str) -> list[tuple[str, Cell]]:
        return [(name, cell) for other, name, cell in self.view.cells if other == action]

    def _shut(self) -> bool:
        row = self._row(self.strict)
        return any(self.ways.required(name, cell) and self.ways.below(name) for name, cell in row)

    def _lines(self, name: str, cell: Cell) -> Iterator[_Line]:
        threshold = self.view.policy.thresholds[name]
        yield _Line(Ref(name), threshold, cell)
        if threshold.judged is None and threshold.reached_when is not None:
            yield from self._parts(threshold.reached_when, threshold, cell)

    def _parts(self, expr: Expr, owner: Threshold, cell: Cell) -> Iterator[_Line]:
        """What must be below for the expression to be: all parts of an `any of`, no single one of others."""
        if isinstance(expr, Ref):
            yield from self._lines(expr.threshold, cell)
        elif not isinstance(expr, AtLeast):
            yield _Line(expr, owner, cell)
        elif expr.count == 1:
            for part in expr.parts:
                yield from self._parts(part, owner, cell)

    # -- one threshold of the free gate

    def _threshold(self, name: str, cell: Cell, lines: list[_Line]) -> Match:
        threshold = self.view.policy.thresholds[name]
        lower = self._rungs(name)
        found = []
        for line in lines:
            if isinstance(line.part, Ref) and line.part.threshold == name:
                found.append(self._with_requirements(Match(Rank.EQUAL), line, name, cell))
            elif isinstance(line.part, Ref) and line.part.threshold in lower:
                found.append(self._with_requirements(Match(Rank.STRICTER), line, name, cell))
            elif isinstance(line.part, Ref) and self._related(threshold, line.part.threshold):
                found.append(Match(Rank.UNCLEAR))
        if threshold.judged is None and threshold.reached_when is not None:
            found.append(self._expr(threshold.reached_when, threshold, cell, lines))
        return max(found, key=lambda match: match.rank, default=Match(Rank.MISSING))

    def _rungs(self, name: str) -> set[str]:
        """The lower levels of a threshold."""
        found, left = set[str](), list(self.view.policy.thresholds[name].above)
        while left:
            rung = left.pop()
            if rung not in found:
                found.add(rung)
                left += self.view.policy.thresholds[rung].above
        return found

    def _related(self, threshold: Threshold, other: str) -> bool:
        """Whether two thresholds are about one thing, and one of them is judged: nobody can compare them."""
        one = self.view.policy.thresholds[other]
        if threshold.judged is None and one.judged is None:
            return False
        subjects = [{*it.measures, *(it.judged.on if it.judged else ())} for it in (threshold, one)]
        return bool(subjects[0] & subjects[1]) or (bool(threshold.domain) and threshold.domain == one.domain)

    def _expr(self, expr: Expr, owner: Threshold, cell: Cell, lines: list[_Line]) -> Match:
        if isinstance(expr, Ref):
            return self._threshold(expr.threshold, cell, lines)
        if isinstance(expr, AtLeast):
            every = sorted((self._expr(part, owner, cell, lines) for part in expr.parts), key=lambda it: -it.rank)
            return _together(every[: len(expr.parts) - expr.count + 1])
        found = []
        for line in lines:
            if isinstance(expr, At) and isinstance(line.part, At):
                match = self._at(expr, owner, line.part, line.owner)
                found.append(self._with_requirements(match, line, owner.name, cell))
            elif isinstance(expr, Amount) and isinstance(line.part, Amount) and line.part.quantity == expr.quantity:
                found.append(self._with_requirements(_amount(expr, line.part), line, owner.name, cell))
        if isinstance(expr, At):
            found.append(self._mean(expr, owner, cell, lines))
        return max(found, key=lambda match: match.rank, default=Match(Rank.MISSING))

    def _mean(self, leaf: At, owner: Threshold, cell: Cell, lines: list[_Line]) -> Match:
        """Lines on each measure of a mean will do for the mean."""
        mean = self.view.policy.measures[leaf.measure]
        if isinstance(mean, Mean) and not any(self.view.scale(part).flipped for part in mean.weights):
            return _together([self._expr(At(part, leaf.level), owner, cell, lines) for part in mean.weights])
        return Match(Rank.MISSING)

    # -- two lines

    def _at(self, leaf: At, owner: Threshold, other: At, by: Threshold) -> Match:
        loose, strict = owner.rule_out, by.rule_out
        if loose is None or strict is None or other.measure != leaf.measure:
            # A mean and one of its measures: neither bounds the other.
            both = set(self.view.plain(other.measure)) & set(self.view.plain(leaf.measure))
            return Match(Rank.UNCLEAR if both else Rank.MISSING)
        if by.name == owner.name:
            return Match(Rank.EQUAL)
        return _together(
            [
                self._levels(leaf, loose, other, strict, by.name),
                _numbers(loose, strict),
                _demands(loose, strict),
                self._assumed(leaf.measure, loose, strict),
                _other_ways(owner.below_if, by.below_if, by.name),
            ]
        )

    def _levels(self, leaf: At, loose: RuleOut, other: At, strict: RuleOut, name: str) -> Match:
        scale = self.view.scale(leaf.measure)
        if loose.buffer.forecast_by or strict.buffer.forecast_by:  # margins that are not written here
            free, tight = scale.turned(leaf.level), scale.turned(other.level)
        else:
            free, tight = self.view.line(leaf, loose), self.view.line(other, strict)
        if tight <= free:
            return Match(Rank.STRICTER if tight < free else Rank.EQUAL)
        between = exact(scale.turned((free + tight) / 2))
        side = "at least" if scale.flipped else "at most"
        return Match(
            Rank.LOOSER,
            f"a model shown to be {side} {between} on `{leaf.measure}` and no better is ruled out for `{name}` alone",
        )

    def _assumed(self, measure: str, loose: RuleOut, strict: RuleOut) -> Match:
        both = [
            {name for part in self.view.plain(measure) for name in assumptions(part, rule)} for rule in (loose, strict)
        ]
        if missing := sorted(both[0] - both[1]):
            return Match(Rank.LOOSER, f"a model for which nobody has shown {listing(missing)}")
        return Match(Rank.EQUAL)

    # -- two cells

    def _with_requirements(self, match: Match, line: _Line, name: str, cell: Cell) -> Match:
        return _together([match, self._requirements(line.cell, cell, name)])

    def _requirements(self, strict: Cell, loose: Cell, name: str) -> Match:
        if self._never(strict):
            return Match(Rank.EQUAL if self._never(loose) else Rank.STRICTER)
        missing = [it for it in loose.requires if not self._implied(it, strict.requires)]
        extra = [it for it in strict.requires if not self._implied(it, loose.requires)]
        if not missing:
            return Match(Rank.STRICTER if extra else Rank.EQUAL)
        why = f"a model for which `{name}` is reached, with {listing(strict.requires)} met and {listing(missing)} not"
        if extra and all(self._deployed(it) for it in missing):
            return Match(Rank.EQUAL)  # a safeguard of the deployment says nothing of weights that are out
        return Match(Rank.UNCLEAR if extra and not self._never(loose) else Rank.LOOSER, why)

    def _never(self, cell: Cell) -> bool:
        return any(of_kind(self.ways.met(name), "explicit") for name in cell.requires)

    def _implied(self, name: str, given: Iterable[str]) -> bool:
        known, left = set[str](), list(given)
        while left:
            one = left.pop()
            known.add(one)
            it = self.view.policy.requirements[one]
            left += it.of if isinstance(it, Combined) and it.count == len(it.of) else ()
        return self._follows(name, known)

    def _follows(self, name: str, known: set[str]) -> bool:
        it = self.view.policy.requirements[name]
        parts = it.of if isinstance(it, Combined) else ()
        return name in known or (
            isinstance(it, Combined) and sum(self._follows(part, known) for part in parts) >= it.count
        )

    def _deployed(self, name: str) -> bool:
        it = self.view.policy.requirements[name]
        if isinstance(it, Measured):
            return any(measure.on == "deployment" for measure in self.view.plain(it.measure))
        return isinstance(it, Attested) and it.about == "deployment"


def _ats(expr: Expr | None) -> list[At]:
    if isinstance(expr, AtLeast):
        return [at for part in expr.parts for at in _ats(part)]
    return [expr] if isinstance(expr, At) else []


def _together(found: Iterable[Match]) -> Match:
    """All of them: the worst, if one is worse than equal; else the best."""
    every = sorted(found, key=lambda match: match.rank)
    return every[0] if every[0].rank < Rank.EQUAL else every[-1]


def _amount(loose: Amount, strict: Amount) -> Match:
    if strict.level > loose.level:
        return Match(Rank.LOOSER, f"a model whose `{loose.quantity}` lies between the two levels")
    return Match(Rank.STRICTER if strict.level < loose.level else Rank.EQUAL)


def _numbers(loose: RuleOut, strict: RuleOut) -> Match:
    for name in ("confidence", "coverage"):
        one, other = getattr(loose, name), getattr(strict, name)
        if other < one:
            return Match(Rank.LOOSER, f"a model whose results have a {name} of {exact(other)} and not of {exact(one)}")
    both = (strict.confidence, strict.coverage) == (loose.confidence, loose.coverage)
    return Match(Rank.EQUAL if both else Rank.STRICTER)


def _demands(loose: RuleOut, strict: RuleOut) -> Match:
    for demand in loose.elicitation:
        if not any(_dominates(other, demand) for other in strict.elicitation):
            return Match(Rank.LOOSER, f"a model without the `{demand.elicitation}` result that is asked for there")
    same = all(any(_dominates(one, other) for one in loose.elicitation) for other in strict.elicitation)
    return Match(Rank.EQUAL if same else Rank.STRICTER)


def _dominates(one: Demand, other: Demand) -> bool:
    """Whether a result that is what the first demand asks is also what the second does."""
    return (
        one.elicitation == other.elicitation
        and one.demonstrations >= other.demonstrations
        and one.flop >= other.flop
        and one.attempts >= other.attempts
        and one.tools >= other.tools
        and one.safety_ablated >= other.safety_ablated
        and one.refusals <= other.refusals
    )


def _other_ways(loose: tuple[BelowIf, ...], strict: tuple[BelowIf, ...], name: str) -> Match:
    for way in strict:
        if way in loose:
            continue
        if not isinstance(way, UnderQuantity):
            return Match(Rank.UNCLEAR)
        allowed = [it.level for it in loose if isinstance(it, UnderQuantity) and it.quantity == way.quantity]
        if way.level > max(allowed, default=0):
            return Match(
                Rank.LOOSER,
                f"a model whose `{way.quantity}` is just under {float(way.level):.3g} is ruled out for `{name}` alone",
            )
    return Match(Rank.EQUAL if set(strict) == set(loose) else Rank.STRICTER)


# -- the checks


def looser(view: View, ways: Ways, *, strict: str, free: str) -> Iterator[Hit]:
    """Where the strict gate misses a line of the free one, or has a looser one."""
    for name, match in _compared(view, ways, strict, free):
        if match.rank is Rank.MISSING:
            yield Hit(
                f"gates.{strict}",
                f"`{strict}` lists nothing on `{name}`: a model that reaches it, and nothing else, is held at "
                f"`{free}` and let through at `{strict}`; list `{name}` or a lower line",
            )
        elif match.rank is Rank.LOOSER:
            yield Hit(
                f"gates.{strict}",
                f"`{strict}` is looser than `{free}` on `{name}`: {match.why}: `{free}` holds and `{strict}` opens; "
                f"ask at least as much",
            )


def unclear(view: View, ways: Ways, *, strict: str, free: str) -> Iterator[Hit]:
    """Where the strict gate has the same line, or asks for other things."""
    for name, match in _compared(view, ways, strict, free):
        gates = Gates(view, ways, strict, free)
        if match.rank is Rank.UNCLEAR and match.why:
            yield Hit(
                f"gates.{strict}",
                f"`{strict}` asks for other things than `{free}`: {match.why}: `{free}` holds and `{strict}` opens; "
                f"list them there too",
            )
        elif match.rank is Rank.EQUAL and not last(view, name) and not gates.lowered(name):
            yield Hit(
                f"gates.{strict}",
                f"`{strict}` has the same line as `{free}` on `{name}`; give it a lower level, more elicitation, or "
                f"`never`",
            )


def last(view: View, name: str) -> bool:
    """Whether a threshold is at the takeover level, or a hole: there is no lower line to draw."""
    threshold = view.policy.thresholds[name]
    return threshold.takeover_potential or threshold.hole


def _compared(view: View, ways: Ways, strict: str, free: str) -> list[tuple[str, Match]]:
    gated = {action for action, _, _ in view.cells}
    if not {strict, free} <= gated:
        return []
    return list(Gates(view, ways, strict, free).compared())
