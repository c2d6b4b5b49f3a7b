"""Numbers, dates, names and predicates in words. Every number is exact, and written as the policy has it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.policy._scalar import exact
from interlock.policy.model import Amount, At, AtLeast, ComputeRatio, Mean, Ref
from interlock.policy.time import spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from interlock.policy._explain.book import Book
    from interlock.policy.duty import Clock
    from interlock.policy.model import Action, Demand, Expr, Policy, Refresh, RuleOut
    from interlock.policy.time import Duration

_ACTIONS = {
    "scale": "training further",
    "deploy-internal": "use inside the developer",
    "deploy-api": "release through an API",
    "release-weights": "release of the weights",
}
_ELICITED = {
    "prompted": "by prompting alone",
    "few-shot": "with worked examples in the prompt",
    "scaffolded": "with tools and programs built around the model",
    "fine-tuned": "after training the model on worked examples of the task",
    "rl-fine-tuned": "after training the model by reward for doing the task",
    "understanding-based": "by looking at how the model works inside",
}
_ZEROS = 6


def names(these: Iterable[str], last: str = "and") -> str:
    """Names in backticks: `a`, `b` and `c`."""
    return listed([f"`{name}`" for name in these], last)


def listed(parts: Sequence[str], last: str = "and") -> str:
    """Parts in a row: a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def count(number: int, one: str, many: str = "") -> str:
    """Such as `1 place`, `2 places`."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def text(prose: str) -> str:
    """What a policy says in its own words, to stand inside a sentence."""
    return prose.strip().rstrip(".")


def upper(sentence: str) -> str:
    """With a capital letter in front, unless it begins with a name."""
    return sentence[:1].upper() + sentence[1:]


def percent(share: Fraction) -> str:
    """Such as `95 %`; a share that has no finite number of per cent stays a fraction."""
    return f"{exact(share * 100)} %" if "/" not in exact(share) else exact(share)


def number(value: Fraction) -> str:
    """A number; a long whole one with an exponent, as `2.5e25`."""
    digits = exact(value)
    bare = digits.rstrip("0")
    if not digits.isdigit() or len(digits) - len(bare) < _ZEROS:
        return digits
    return f"{bare[0]}{'.' if len(bare) > 1 else ''}{bare[1:]}e{len(digits) - 1}"


def day(moment: datetime) -> str:
    """A date in UTC, with the time where it is not midnight."""
    clock = "" if (moment.hour, moment.minute, moment.second) == (0, 0, 0) else f", {moment:%H:%M:%S} UTC"
    return f"{moment.day} {moment:%B %Y}{clock}"


def within(clock: Clock) -> str:
    """A deadline's length."""
    return spoken(clock.length) if clock.length else count(clock.business_days, "business day")


# -- who and what ------------------------------------------------------------------------------------------------------


def who(policy: Policy, role: str) -> str:
    """A role, and how many must sign."""
    it = policy.roles[role]
    if not it.keys:
        return f"`{role}` (nobody holds its keys yet)"
    return f"`{role}`" if it.quorum == 1 else f"`{role}` ({it.quorum} of its {len(it.keys)} members together)"


def action(name: str) -> str:
    """An action, with the name that the policy has for it."""
    return f"{_ACTIONS[name]} (`{name}`)" if name in _ACTIONS else f"`{name}`"


def described(it: Action) -> str:
    """What an action of the policy's own is."""
    more = [f"for {text(it.audience)}"] if it.audience else []
    more += [f"size: {text(it.size)}"] if it.size else []
    more += [f"through: {text(it.surface)}"] if it.surface else []
    kind = f"a kind of {action(it.refines)}" if it.refines else "an action that this policy names itself"
    return ", ".join([kind, *more])


# -- predicates --------------------------------------------------------------------------------------------------------


def reached(book: Book, expr: Expr) -> str:
    """When an expression is true, in words."""
    return _told(expr, lambda leaf: _reached(book, leaf))


def ruled_out(book: Book, expr: Expr, rule: RuleOut | None) -> str:
    """What must be shown for an expression to count as not true, in words."""
    return _told(_opposite(expr), lambda leaf: _ruled_out(book, leaf, rule))


def _told(expr: Expr, leaf: Callable[[Expr], str], *, within: bool = False) -> str:
    if not isinstance(expr, AtLeast):
        return leaf(expr)
    word, parts = _parts(expr)
    if len(parts) == 1:
        return _told(parts[0], leaf, within=within)
    said = [_told(part, leaf, within=True) for part in parts]
    joined = listed(said, word) if word else f"at least {expr.count} of these {len(parts)} are so: {'; '.join(said)}"
    return f"({joined})" if within else joined


def _parts(expr: AtLeast) -> tuple[str, list[Expr]]:
    """How the parts are joined, and the parts: those of an `any of` within an `any of` are its own, and so for all."""
    word = _word(expr)
    parts = [
        inner
        for part in expr.parts
        for inner in (_parts(part)[1] if word and isinstance(part, AtLeast) and _word(part) == word else [part])
    ]
    return word, parts


def _word(expr: AtLeast) -> str:
    return "or" if expr.count == 1 else "and" if expr.count == len(expr.parts) else ""


def _opposite(expr: Expr) -> Expr:
    """What must be ruled out: of k of m parts, m - k + 1."""
    if not isinstance(expr, AtLeast):
        return expr
    return AtLeast(len(expr.parts) - expr.count + 1, tuple(_opposite(part) for part in expr.parts))


def _reached(book: Book, leaf: Expr) -> str:
    if isinstance(leaf, At):
        side = "at most" if book.view.scale(leaf.measure).flipped else "at least"
        return f"{measure(book.policy, leaf.measure)} is {side} {number(leaf.level)}"
    if isinstance(leaf, Amount):
        return f"{amount(book.policy, leaf.quantity)} is at least {_level(book.policy, leaf.quantity, leaf.level)}"
    assert isinstance(leaf, Ref)  # noqa: S101  no other kind of leaf
    return f"`{leaf.threshold}` is reached"


def _ruled_out(book: Book, leaf: Expr, rule: RuleOut | None) -> str:
    if isinstance(leaf, At):
        return clear(book, leaf, rule)
    if isinstance(leaf, Amount):
        return under(book.policy, leaf.quantity, leaf.level)
    assert isinstance(leaf, Ref)  # noqa: S101
    return f"`{leaf.threshold}` is ruled out"


def clear(book: Book, leaf: At, rule: RuleOut | None) -> str:
    """That a measure is shown to be clear of a level."""
    flipped = book.view.scale(leaf.measure).flipped
    end, side = ("lower", "over") if flipped else ("upper", "under")
    start = f"the {end} end of the estimate of {measure(book.policy, leaf.measure)} stays {side}"
    if rule is not None and rule.buffer.forecast_by:
        move = "plus" if flipped else "less"
        return f"{start} {number(leaf.level)} {move} the margin that `{rule.buffer.forecast_by}` forecasts"
    if rule is None or not rule.buffer.margin:
        return f"{start} {number(leaf.level)}"
    move, line = ("plus", leaf.level + rule.buffer.margin) if flipped else ("less", leaf.level - rule.buffer.margin)
    return f"{start} {number(line)} (the level {number(leaf.level)} {move} a margin of {number(rule.buffer.margin)})"


def under(policy: Policy, quantity: str, level: Fraction) -> str:
    """That a quantity is certainly less."""
    return f"{amount(policy, quantity)} is certainly less than {_level(policy, quantity, level)}"


def measure(policy: Policy, name: str) -> str:
    """A measure; of a mean, what it is the mean of."""
    it = policy.measures.get(name)
    if not isinstance(it, Mean):
        return f"`{name}`"
    weighted = "weighted mean" if len(set(it.weights.values())) > 1 else "mean"
    return f"the {weighted} of {names(it.weights)} (`{name}`)"


def amount(policy: Policy, quantity: str) -> str:
    """A signed quantity of the model."""
    it = policy.measures.get(quantity)
    if isinstance(it, ComputeRatio):
        return f"its effective compute (`{quantity}`)"
    return "its training compute" if quantity == "training_compute" else "its effective compute"


def _level(policy: Policy, quantity: str, level: Fraction) -> str:
    it = policy.measures.get(quantity)
    return f"{number(level)} times that of `{it.subject}`" if isinstance(it, ComputeRatio) else f"{number(level)} FLOP"


# -- how hard, how often -----------------------------------------------------------------------------------------------


def tried(demand: Demand) -> str:
    """One way to elicit, and how hard."""
    more = []
    if demand.demonstrations:
        more.append(f"at least {count(demand.demonstrations, 'example')}")
    if demand.flop:
        more.append(f"spending at least {number(Fraction(demand.flop))} FLOP")
    if demand.attempts > 1:
        more.append(f"at least {demand.attempts} attempts at each sample")
    if demand.tools:
        more.append("with tools")
    if demand.safety_ablated:
        more.append("with its refusals trained away first")
    if demand.refusals < 1:
        more.append(f"at most {percent(demand.refusals)} of the samples refused")
    return f"{_ELICITED[demand.elicitation]} ({'; '.join([f'`{demand.elicitation}`', *more])})"


def renewed(refresh: Refresh) -> str:
    """When an evaluation is due again, in words."""
    by_compute, by_time = refresh.names_multiple, refresh.names_period
    ends = [_growth(refresh.multiple)] if by_compute else []
    ends += [f"after {spoken(refresh.period)}"] if by_time else []
    ends += [f"at an incident of kind {names(refresh.events, 'or')}"] if refresh.events else []
    ends += [f"whenever a member of `{refresh.discretion}` says so"] if refresh.discretion else []
    return f"{listed(ends, 'or')}, whichever comes first" if len(ends) > 1 else "".join(ends)


def _growth(multiple: Fraction) -> str:
    if multiple == 1:
        return "at any growth in effective compute"
    return f"when effective compute has reached {number(multiple)} times what it was"


def published(notice: Duration | None) -> str:
    """How long before its effect a change is published. A second is how a policy writes that it names no time."""
    if notice is None:
        return "can take effect without having been published before"
    if notice.months == 0 and notice.seconds <= 1:
        return "is published before it takes effect; it names no time between"
    return f"is published {spoken(notice)} before it takes effect"


def not_named(refresh: Refresh) -> str:
    """What a refresh leaves open: `no growth in compute`, `no period`; or nothing."""
    by_compute, by_time = refresh.names_multiple, refresh.names_period
    missing = [] if by_compute else ["no growth in compute"]
    missing += [] if by_time else ["no period"]
    return " and ".join(missing)
