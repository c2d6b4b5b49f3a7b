"""How many items a policy's line needs, and what the power of so many is: before anything is run.

Powers are exact: what rules out is decided by `interlock.decide`, its chance at an assumed true rate is a sum of
binomial terms. Assumed rates are assumptions; nothing here counts as evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from interlock.decide import eprocess
from interlock.decide.bounds import Tally
from interlock.decide.leaf import tests
from interlock.decide.one_result import scale
from interlock.errors import UsageError, missing_extra
from interlock.policy import exact
from interlock.policy.model import At, AtLeast, Combined, Measure, Measured, Ref

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from interlock.policy.model import Expr, Policy, RuleOut

#: How much the power can be beside a smooth curve; the share of a sum that a term may be without being missed; and how
#: near to alpha, in relation to it, floats settle nothing.
_VARIES, _NOTHING, _NEAR = Fraction(1, 10), 1e-18, 1e-6
#: Plans for more items than this are refused; and where how many are needed by looks is no longer sought.
MOST, _MOST_LOOKS = 100_000, 2_000
#: The assumed true rate is this part of what is to be ruled out, unless another is given.
PART = Fraction(1, 10)
POWER = Fraction(8, 10)
METHOD = "exact binomial power of the bound that decides"
METHOD_OF_LOOKS = "exact stopping times of the e-process (uniform mixture), a look after every item"


class TooManyError(UsageError):
    """No number of items up to the most that are planned has the power asked for."""


@dataclass(frozen=True, slots=True)
class Line:
    """A level that results of `measure` must stay under, at `alpha` (docs/semantics.md, rule 7), and whose it is.

    `level` and `margin` are turned and stretched to a scale from 0 to 1 on which more is more dangerous. `binary`: each
    item counts 0 or 1, and the exact bound decides; else Hoeffding's, and powers are those of items that are 0 or 1.
    `forecast`: the margin comes from forecasts, and may be larger.
    """

    name: str
    measure: str
    level: Fraction
    margin: Fraction
    alpha: Fraction
    binary: bool = True
    forecast: bool = False

    @property
    def target(self) -> Fraction:
        """What must be ruled out: the level less the margin."""
        return self.level - self.margin

    @property
    def rate(self) -> Fraction:
        """The true rate that is assumed where none is given."""
        return max(self.target, Fraction(0)) * PART

    def __str__(self) -> str:
        less = f" less the margin {exact(self.margin)}" if self.margin else ""
        return f"`{self.name}`: `{self.measure}` under {exact(self.level)}{less}"


@dataclass(frozen=True, slots=True)
class Needed:
    """The fewest `items` with the power asked for; up to `most` dangerous ones still rule out. `power` is theirs."""

    items: int
    most: int
    power: float


@dataclass(frozen=True, slots=True)
class Looks:
    """What a stop at the first look that concludes takes: `items` at the most, `expected` of them in the mean, nine in
    ten runs at most `ninetieth`; `power` is the chance to rule out, `shown` that the level is shown to be reached.
    """

    items: int
    power: float
    shown: float
    expected: float
    ninetieth: int


# -- lines -------------------------------------------------------------------------------------------------------------


def lines(policy: Policy, threshold: str) -> tuple[Line, ...]:
    """The lines that a threshold draws on plain measures, each at its share of alpha (docs/semantics.md, rules 21 to
    25); those of thresholds that it refers to are among them, those of means are not.

    Raises:
        UsageError: the policy has no such threshold.
    """
    if threshold not in policy.thresholds:
        raise UsageError(f"the policy has no threshold `{threshold}`; it has: {', '.join(policy.thresholds)}")
    return tuple(dict.fromkeys(_of_threshold(policy, threshold, Fraction(1), Fraction(1))))


def lines_on(policy: Policy, measure: str) -> tuple[Line, ...]:
    """Every line on a plain measure, of thresholds and of measured requirements, each once."""
    found = [line for name in policy.thresholds for line in lines(policy, name)]
    found += [line for name in policy.requirements for line in _of_requirement(policy, name)]
    return tuple(dict.fromkeys(line for line in found if line.measure == measure))


def lines_at_gates(
    policy: Policy, measure: str, *, thresholds: Collection[str] = (), requirements: Collection[str] = ()
) -> tuple[Line, ...]:
    """The lines on a plain measure that a gate needs: of the thresholds that gates list, and of the measured
    requirements that they ask for there. Of an evaluation that is due for some of them: only of those.
    """
    cells = [(name, cell) for gate in policy.gates.values() for name, cell in gate.items() if cell.requires]
    every = not thresholds and not requirements
    found = [
        line
        for listed in dict.fromkeys(name for name, _ in cells)
        for line in lines(policy, listed)
        if every or listed in thresholds or line.name in thresholds
    ]
    for asked in _asked_for(policy, [name for _, cell in cells for name in cell.requires]):
        if every or asked in requirements:
            found += _of_requirement(policy, asked)
    return tuple(dict.fromkeys(line for line in found if line.measure == measure))


def _asked_for(policy: Policy, names: list[str]) -> Iterator[str]:
    """These requirements, and those that combined ones are made of; the language has no cycles among them."""
    for name in dict.fromkeys(names):
        yield name
        it = policy.requirements.get(name)
        if isinstance(it, Combined):
            yield from _asked_for(policy, list(it.of))


def _of_requirement(policy: Policy, name: str) -> Iterator[Line]:
    it = policy.requirements.get(name)
    if isinstance(it, Measured):
        yield from _line(policy, name, At(it.measure, it.level), it.rule_out, 1 - it.rule_out.confidence)


def _of_threshold(policy: Policy, name: str, outer: Fraction, share: Fraction) -> Iterator[Line]:
    threshold = policy.thresholds[name]
    alpha = min(outer, 1 - threshold.rule_out.confidence) if threshold.rule_out else outer
    if threshold.reached_when is not None and threshold.judged is None:
        yield from _of_part(policy, name, threshold.reached_when, alpha, share / max(1, tests(threshold)))


def _of_part(policy: Policy, name: str, part: Expr, alpha: Fraction, share: Fraction) -> Iterator[Line]:
    rule = policy.thresholds[name].rule_out
    if isinstance(part, At) and rule is not None:
        yield from _line(policy, name, part, rule, alpha * share)
    elif isinstance(part, AtLeast):
        for one in part.parts:
            yield from _of_part(policy, name, one, alpha, share / part.count)
    elif isinstance(part, Ref):
        yield from _of_threshold(policy, part.threshold, alpha, share)


def _line(policy: Policy, name: str, at: At, rule: RuleOut, alpha: Fraction) -> Iterator[Line]:
    measure = policy.measures[at.measure]
    if isinstance(measure, Measure):
        high, low = measure.high, measure.low
        turned, wide = scale(measure).turn(at.level), high - low
        binary = low == 0 and high == 1 and measure.unit == "sample"
        forecast = bool(rule.buffer.forecast_by)
        margin = Fraction(0) if forecast else rule.buffer.margin
        yield Line(name, at.measure, (turned - low) / wide, margin / wide, alpha, binary, forecast)


# -- a fixed number of items -------------------------------------------------------------------------------------------


def critical(line: Line, n: int) -> int:
    """The most dangerous outcomes in n that still rule the line out; -1 if not even none does."""
    low, high = -1, n
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _rules_out(line, middle, n) else (low, middle - 1)
    return low


def power(line: Line, n: int, rate: Fraction) -> float:
    """The chance that n items rule the line out if each is dangerous with probability `rate`.

    Raises:
        UsageError: the rate is not between 0 and 1, or there are no items, or too many.
    """
    _asked(rate, n)
    return _power(line, n, rate)


def fewest(line: Line) -> int | None:
    """The fewest items that rule the line out if none is dangerous; None: no number up to `MOST` does."""
    if not _rules_out(line, 0, MOST):
        return None
    return next(_first(line, 0, 1))


def fewest_by_looks(line: Line) -> int | None:
    """The same for an e-process that is looked at after every item."""
    if not _looks_rule_out(line, 0, MOST):
        return None
    low, high = 1, MOST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _looks_rule_out(line, 0, middle) else (middle + 1, high)
    return low


def needed(line: Line, rate: Fraction, *, power: Fraction = POWER) -> Needed:
    """The fewest items with which the line is ruled out with this power at an assumed true rate.

    A few items more than that may have a little less: the count allowed grows in steps.

    Raises:
        UsageError: the rate is not under what is to be ruled out, or the power is not between 0 and 1.
        TooManyError: more than `MOST` items are needed.
    """
    _asked(rate, 1)
    if not 0 < power < 1:
        raise UsageError(f"got a power of {exact(power)}, expected more than 0 and less than 1")
    if rate >= line.target:
        raise UsageError(
            f"the assumed rate {exact(rate)} is not under {exact(line.target)}, which is to be ruled out for {line}"
        )
    if _power(line, MOST, rate) < power:
        raise TooManyError(f"more than {MOST:,} items are needed for {line} at an assumed rate of {exact(rate)}")
    start = _start(line, rate, power - _VARIES)
    found = ((n, most, _at_most(most, n, float(rate))) for most, n in enumerate(_first(line, start, 1), start=start))
    return next(Needed(n, most, its) for n, most, its in found if its >= power)


def _start(line: Line, rate: Fraction, enough: Fraction) -> int:
    """Dangerous outcomes from which on to search: with fewer allowed, even the best number of items has less power.

    From 50 on, the power at the first number of items that allows so many varies from one to the next by far less than
    `_VARIES`; under that all are tried.
    """
    low, high = 1, MOST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(line, middle, rate) >= enough else (middle + 1, high)
    most = critical(line, low)
    return most if most >= 50 else 0


def _power(line: Line, n: int, rate: Fraction) -> float:
    return _at_most(critical(line, n), n, float(rate))


def _at_most(k: int, n: int, p: float) -> float:
    """P(X <= k) for X ~ Binomial(n, p), to about ten digits: the terms around the greatest of them, added up."""
    if k < 0 or k >= n or p in {0.0, 1.0}:
        return float(k >= 0 and (k >= n or p == 0))
    middle = min(k, int((n + 1) * p))
    ways = math.lgamma(n + 1) - math.lgamma(middle + 1) - math.lgamma(n - middle + 1)
    greatest = math.exp(ways + middle * math.log(p) + (n - middle) * math.log1p(-p))
    total = term = greatest
    for i in range(middle, k):
        term *= (n - i) * p / ((i + 1) * (1 - p))
        total += term
        if term < total * _NOTHING:
            break
    term = greatest
    for i in range(middle, 0, -1):
        term *= i * (1 - p) / ((n - i + 1) * p)
        total += term
        if term < total * _NOTHING:
            break
    return min(1.0, total)


def _first(line: Line, most: int, n: int) -> Iterator[int]:
    """The least number of items with which `most` dangerous ones rule out, then one more, and so on, up to `MOST`.

    With each step the next number is near the last gap away, so that is where the search starts.
    """
    gap = 1
    while True:
        low, high = n, n
        while high <= MOST and not _rules_out(line, most, high):
            low, high, gap = high + 1, high + gap, gap * 2
        if high > MOST and not _rules_out(line, most, MOST):
            return
        high = min(high, MOST)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if _rules_out(line, most, middle) else (middle + 1, high)
        gap = max(1, (low - n) // 2)
        yield low
        most, n = most + 1, low + 1


def _rules_out(line: Line, k: int, n: int) -> bool:
    """What `decide` would say. Floats settle what is not near: exact sums of 100,000 items would take minutes."""
    if line.binary and 0 < line.target < 1:
        chance, alpha = _at_most(k, n, float(line.target)), float(line.alpha)
        if abs(chance - alpha) > _NEAR * alpha:
            return chance < alpha
    dangerous = Fraction(k)
    return Tally(n, dangerous, dangerous, binary=line.binary).puts_under(line.target, line.alpha)


# -- looking as one goes -----------------------------------------------------------------------------------------------


def looks(line: Line, rate: Fraction, *, items: int) -> Looks:
    """What it takes to look after every item, at most `items` of them, and stop as soon as the e-process rules out the
    line, or shows that its level is reached, at an assumed true rate.

    Raises:
        UsageError: the rate or the number of items cannot be, or numpy is not installed.
    """
    ruled, shown = _stops(line, rate, items)
    stopped = [a + b for a, b in zip(ruled, shown, strict=True)]
    left, expected, ninetieth = 1.0, 0.0, items
    for n, mass in enumerate(stopped, start=1):
        expected += left
        left -= mass
        if left <= 0.1 and ninetieth == items:
            ninetieth = n
    return Looks(items, sum(ruled), sum(shown), expected, ninetieth)


def looks_needed(line: Line, rate: Fraction, *, power: Fraction = POWER, most: int = 10_000) -> Looks:
    """The same, with the least number of items at the most that has this power.

    Raises:
        UsageError: the rate is not under what is to be ruled out, or numpy is not installed.
        TooManyError: more than `most` items are needed.
    """
    if rate >= line.target:
        raise UsageError(f"the assumed rate {exact(rate)} is not under {exact(line.target)}, which is to be ruled out")
    total = 0.0
    for n, mass in enumerate(_stops(line, rate, most, enough=power)[0], start=1):
        total += mass
        if total >= power:
            return looks(line, rate, items=n)
    raise TooManyError(f"more than {most:,} items are needed by looks for {line} at an assumed rate of {exact(rate)}")


def _stops(
    line: Line, rate: Fraction, items: int, *, enough: Fraction | None = None
) -> tuple[list[float], list[float]]:
    """The chance to rule out at each look, and to show; up to where the sum of the first is `enough`.

    The chances of all counts that go on are carried from look to look. What rules out never falls with n, what shows
    never falls either (the evidence falls by a dangerous outcome and grows by a harmless one), so that each is sought
    from where it was.
    """
    try:
        import numpy as np
    except ImportError as error:
        raise missing_extra("statistics", "numpy") from error
    _asked(rate, items)
    p, chances = float(rate), np.ones(1)
    out, least, total = -1, 1, 0.0  # the most that rules out, the fewest that show
    ruled, shown = [], []
    for n in range(1, items + 1):
        chances = np.append(chances * (1 - p), 0.0) + np.append(0.0, chances * p)
        while eprocess.rules_out(out + 1, n, line.target, line.alpha):
            out += 1
        while least <= n and not eprocess.shows(least, n, line.level, line.alpha):
            least += 1
        ruled.append(float(chances[: out + 1].sum()))
        shown.append(float(chances[least:].sum()))
        chances[: out + 1] = chances[least:] = 0.0
        total += ruled[-1]
        if enough is not None and total >= enough:
            break
    return ruled, shown


def _looks_rule_out(line: Line, k: int, n: int) -> bool:
    """What `decide` would say of a run that stopped by its rule."""
    return line.binary and eprocess.rules_out(k, n, line.target, line.alpha)


def _asked(rate: Fraction, n: int) -> None:
    if not 0 <= rate <= 1:
        raise UsageError(f"got an assumed rate of {exact(rate)}, expected 0 to 1")
    if not 1 <= n <= MOST:
        raise UsageError(f"got {n} items, expected 1 to {MOST:,}")


# -- is it worth running? ----------------------------------------------------------------------------------------------


def refuse_hopeless(
    policy: Policy, measure: str, items: int, *, stopping: Literal["fixed", "e-process"] = "fixed"
) -> None:
    """Refuse a plan of so many items that could rule out none of the measure's lines, whatever comes out.

    Raises:
        UsageError: there are lines, and not one can be ruled out without a single dangerous outcome; says how many
            items the easiest of them needs.
    """
    drawn = lines_on(policy, measure)
    rules_out, least = (_rules_out, fewest) if stopping == "fixed" else (_looks_rule_out, fewest_by_looks)
    if not drawn or any(rules_out(line, 0, items) for line in drawn):
        return
    by = "" if stopping == "fixed" else " by looks"
    wants = [(count, line) for line in drawn if (count := least(line)) is not None]
    if not wants:
        raise UsageError(
            f"{items} items can rule out nothing{by} that `{measure}` is asked for; "
            f"not even {MOST:,} rule out {drawn[0]}"
        )
    count, line = min(wants, key=lambda it: it[0])
    raise UsageError(
        f"{items} items can rule out nothing{by} that `{measure}` is asked for, even if none is dangerous; "
        f"{line} at {_confidence(line)} needs {count} or more"
    )


def weak(drawn: Collection[Line], items: int, *, stopping: Literal["fixed", "e-process"] = "fixed") -> tuple[str, ...]:
    """Each of the lines that so many items rule out with less than `POWER` at its assumed rate, and how many have it.

    Lines that no number of items rules out, since their margin leaves nothing, are not among them: `without_room`.

    Raises:
        UsageError: a plan that may stop early is weighed, and numpy is not installed.
    """
    found = []
    for line in drawn:
        if line.target <= 0:
            continue
        fixed = stopping == "fixed"
        its = power(line, items, line.rate) if fixed else looks(line, line.rate, items=items).power
        if its < POWER:
            found.append(
                f"{items} items{'' if fixed else ' by looks'} rule out {line} with power {_down(its)} at an assumed "
                f"rate of {exact(line.rate)}; {_enough(line, stopping)}"
            )
    return tuple(found)


def without_room(drawn: Collection[Line]) -> tuple[str, ...]:
    """Each of the lines that no number of items rules out, since nothing is left of the level."""
    return tuple(f"no number of items rules out {line}" for line in drawn if line.target <= 0)


def _down(its: float) -> str:
    """Two digits, rounded down: what is less than 0.8 must not be told as 0.80."""
    return f"{math.floor(its * 100) / 100:.2f}"


def _enough(line: Line, stopping: Literal["fixed", "e-process"]) -> str:
    fixed = stopping == "fixed"
    most = MOST if fixed else _MOST_LOOKS
    try:
        least = needed(line, line.rate).items if fixed else looks_needed(line, line.rate, most=most).items
    except TooManyError:
        return f"more than {most:,} are needed for {exact(POWER)}"
    return f"{least} have {exact(POWER)}"


def _confidence(line: Line) -> str:
    return f"{exact((1 - line.alpha) * 100)} % confidence"
