"""How an evaluation must be done before its result counts in favour, and what is measured."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.policy._explain import words
from interlock.policy._explain.words import count, names, percent, text
from interlock.policy._lint.ways import assumptions
from interlock.policy._scalar import exact
from interlock.policy.model import Assumption, ComputeRatio, Mean, Measure
from interlock.policy.time import spoken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from interlock.policy._explain.book import Book, Sentence
    from interlock.policy.model import AnyMeasure, Buffer, RuleOut

_KINDS = {
    "capability": "what the model could do if it tried",
    "propensity": "what the model would do of itself",
    "safeguard": "whether a protection holds",
    "understanding": "how well its makers understand the model",
}
#: The assumptions that elicitations bring with them, in words.
_ASSUMED = {
    "no-evaluation-gaming": "the model does its best when it is tested",
    "no-gradient-hacking": "the model cannot resist being trained",
    "good-demonstrations": "the worked examples are good, and enough",
    "no-exploration-hacking": "the model cannot avoid finding out what is rewarded",
    "no-test-awareness": "the model cannot tell a test from real use, or does not deceive",
    "valid-understanding": "the understanding was put to the test itself",
}


def evaluated(book: Book, path: str, rule: RuleOut, measures: Sequence[str]) -> Iterator[Sentence]:
    """The rule of a threshold or of a measured requirement that stands at `path`."""
    at = f"{path}.rule_out" if path.startswith("thresholds.") else path
    luck = percent(1 - rule.confidence)
    yield book.say(
        f"Estimates are taken at {percent(rule.confidence)} confidence, so that a model at the line passes by luck at "
        f"most {luck} of the time; every result ever reported must stay clear of the line.",
        f"{at}.confidence",
    )
    ways = [words.tried(demand) for demand in rule.elicitation]
    how = ways[0] if len(ways) == 1 else f"in {'both' if len(ways) == 2 else 'all'} of these ways: {'; '.join(ways)}"
    yield book.say(f"The evaluation must try {how}.", f"{at}.elicitation")
    yield book.say(
        f"`{rule.run_by}` runs it, and at least {percent(rule.coverage)} of the planned samples must be scored.",
        f"{at}.run_by",
        f"{at}.coverage",
    )
    yield from _room(book, at, rule.buffer)
    taken = dict.fromkeys(
        name for measure in measures for part in book.view.plain(measure) for name in assumptions(part, rule)
    )
    yield book.say(f"A result in favour counts only while {names(taken)} {'holds' if len(taken) == 1 else 'hold'}.", at)
    yield again(book, path, rule)


def _room(book: Book, at: str, buffer: Buffer) -> Iterator[Sentence]:
    path = f"{at}.buffer"
    why = f" ({text(buffer.source)})" if buffer.source else ""
    if buffer.multiple == 1 and not buffer.margin and not buffer.forecast_by:
        yield book.say(f"No room is kept under the line{why}.", path)
        return
    if buffer.forecast_by:
        fresh = f", in a forecast no older than {spoken(buffer.fresh_for)}" if buffer.fresh_for else ""
        kept = f"the margin that `{buffer.forecast_by}` forecasts{fresh},"
    else:
        parts = [f"{words.number(share)} for {name}" for name, share in buffer.items.items()]
        kept = f"the margin of {words.number(buffer.margin)}{f' ({words.listed(parts)})' if parts else ''}"
    grows = (
        f"a growth to {exact(buffer.multiple)} times the effective compute"
        if buffer.multiple > 1
        else "no growth in compute"
    )
    yield book.say(f"Room is kept under the line: {kept} is to cover {grows}{why}.", path)
    if buffer.period is not None:
        yield book.say(f"No result is relied on for longer than {spoken(buffer.period)}.", path)


def again(book: Book, path: str, rule: RuleOut) -> Sentence:
    """When a threshold or requirement must be evaluated again."""
    own = rule.refresh != book.policy.refresh
    at = f"{path}.rule_out.refresh" if path.startswith("thresholds.") else f"{path}.refresh"
    where = (at, path) if own else ("refresh",)
    when, missing = words.renewed(rule.refresh), words.not_named(rule.refresh)
    if not when:
        return book.say("The policy names no time and no growth after which it must be evaluated again.", *where)
    left = f"; it names {missing}" if missing else ""
    return book.say(f"It must be evaluated again {when}{left}.", *where, sources=rule.refresh.sources if own else ())


def measured(book: Book) -> Iterator[Sentence]:
    """Every measure: what it is, and of what."""
    for name, it in book.policy.measures.items():
        yield book.say(_measured(it), f"measures.{name}", sources=it.sources)


def _measured(it: AnyMeasure) -> str:
    if isinstance(it, Mean):
        shares = [f"{exact(share)} of `{part}`" for part, share in it.weights.items()]
        return f"`{it.name}` is a mean: {words.listed(shares)}."
    if isinstance(it, ComputeRatio):
        return f"`{it.name}` is how many times the effective compute of `{it.subject}` the model has."
    task = f"the {text(it.metric)} in version {it.task_version} of the evaluation `{it.task}`"
    where = "the model itself" if it.on == "model" else "the model as it is offered"
    asks = f"It shows {_KINDS[it.kind]}, measured on {where}."
    if not isinstance(it, Measure):
        return f"`{it.name}` is {task}. {asks} It has no limits, so that only a judgement can use it."
    more = [f"counted by {it.unit}"] if it.unit != "sample" else []
    more += (
        [f"at least {count(it.least_samples, it.unit, 'families' if it.unit == 'family' else 'samples')}"]
        if it.least_samples > 1
        else []
    )
    more += ["always the same samples"] if it.samples_digest else []
    more += [f"of no use from {words.number(it.valid_below)} on"] if it.valid_below is not None else []
    scale = f"from {words.number(it.low)} to {words.number(it.high)}, where {it.danger} is more dangerous"
    return f"`{it.name}` is {task}, {'; '.join([scale, *more])}. {asks}"


def _validity(it: Assumption) -> str:
    """What a check must be beside one that catches, in words."""
    asks = []
    if it.sharpness:
        asks.append(
            f"let at least {percent(it.sharpness)} of the models that never had the skill be ruled out at "
            f"{words.number(it.sharp_at)}"
        )
    if it.least_parameters:
        asks.append(f"be tried on none of fewer than {words.number(Fraction(it.least_parameters))} parameters")
    own = "its own way of eliciting, on as many examples or more, and for bounds as wide or wider"
    return f"; it must also {' and '.join(asks)}, and counts only for {own}" if asks else ""


def assumed(book: Book) -> Iterator[Sentence]:
    """Every assumption: on whose word, how long, and when it is void."""
    for name, it in book.policy.assumptions.items():
        means = f" ({_ASSUMED[name]})" if name in _ASSUMED else ""
        how = f"is stated by `{it.by}`"
        if it.checked:
            how = (
                f"is shown by the check “{text(it.checked)}”, run by `{it.by}`, which must catch at least "
                f"{percent(it.coverage)} of the models that were made to fail it, at {percent(it.confidence)} "
                f"confidence{_validity(it)}"
            )
        void = ""
        if it.void_at:
            void = f"; it is void unless {names(it.void_at)} {'is' if len(it.void_at) == 1 else 'are'} ruled out"
        yield book.say(
            f"`{name}`{means} {how}, and stands for {spoken(it.fresh_for)}{void}.",
            f"assumptions.{name}",
            sources=it.sources,
        )
