"""Holes, stops until amended, judgement, and what is missing; by what `policy check` finds, where it looks for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.policy import lint
from interlock.policy._explain import words
from interlock.policy._explain.asked import short
from interlock.policy._explain.book import Block, Section, blocks
from interlock.policy._explain.stops import threat
from interlock.policy._explain.words import action, count, text, upper, who
from interlock.policy._lint.rules import discretion, weak
from interlock.policy.model import TRAINED, Amount, At, Hole, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.policy._explain.book import Book, Sentence
    from interlock.policy.lint import Finding

#: What has a section of its own.
_ELSEWHERE = frozenset({"stop-until-amended", "exceptions-present", "discretion-counted", "not-binding"})
_GRAVE = {"error": "Grave", "warning": "Serious", "note": "Worth knowing"}
_CHECKS = {check.id: check for check in lint.CHECKS}
#: What `policy check` says to authors, for readers who are none.
_WORDS = {
    "`independent_of`": "independent of",
    "no threshold has `takeover_potential`": "no threshold stands for a model that could take over",
    "no buffer is kept under": "no room is kept under",
    "evaluations under-elicit": "evaluations find less than a model can do",
    "that a model did not sandbag": "that a model did not hold back",
    "nobody knows yet what shows a takeover-capable model to be safe": "nobody knows yet what would show that a model "
    "which could take over does not",
}


# -- holes -------------------------------------------------------------------------------------------------------------


def holes(book: Book) -> Section:
    """What is empty on purpose, and every stop that only an amendment ends."""
    found = [it for it in _found(book) if it.check == "stop-until-amended"]
    stops = tuple(book.say(f"{upper(it.message)}.", it.path) for it in found)
    empty = tuple(_holes(book))
    made = blocks(Block("Holes", empty), Block("Stops until amended", stops))
    nothing = book.say("It has no hole, and no stop that only an amendment ends.", "gates")
    return Section("holes", "Holes, and stops until amended", made or (Block("", (nothing,)),))


def _holes(book: Book) -> Iterator[Sentence]:
    for name, it in book.policy.requirements.items():
        if isinstance(it, Hole):
            yield book.say(
                f"`{name}`: {text(it.what)}. {who(book.policy, it.owner)} owns it, and looks at it again by "
                f"{words.day(it.review)}.",
                f"requirements.{name}",
                sources=it.sources,
            )
    for name, threshold in book.policy.thresholds.items():
        if threshold.hole:
            yield book.say(
                f"`{name}`: nobody has said yet when it is reached.", f"thresholds.{name}", sources=threshold.sources
            )


# -- judgement ---------------------------------------------------------------------------------------------------------


def judgement(book: Book) -> Section:
    """Every place in which somebody decides without a rule, and every promise that does not bind."""
    places, soft = discretion(book.view), weak(book.policy)
    head = book.say(
        f"Somebody's judgement decides in {count(len(places), 'place')}, by no rule written here."
        if places
        else "No gate rests on a judgement.",
        *(places or ["gates"]),
    )
    return Section(
        "judgement",
        "Judgement and discretion",
        blocks(
            Block("", (head, *(book.say(_judged(book, path), path) for path in places))),
            Block("Intended or recommended only", tuple(_soft(book, soft))),
        ),
    )


def _judged(book: Book, path: str) -> str:
    section, _, rest = path.partition(".")
    name, policy = rest.split(".")[0], book.policy
    if section == "exceptions":
        approved = words.listed([who(policy, role) for role in policy.exceptions[name].approved_by])
        return f"{approved} may open the way round `{name}`."
    if section == "requirements":
        return f"{short(book, name)}, or does not."
    threshold = policy.thresholds.get(name)
    if threshold is None:
        return f"A member of `{policy.refresh.discretion}` may ask for a new evaluation at any time."
    if path.endswith("buffer") and threshold.rule_out is not None:
        return f"`{threshold.rule_out.buffer.forecast_by}` forecasts how much room is kept under `{name}`."
    if path.endswith("refresh") and threshold.rule_out is not None:
        asking = threshold.rule_out.refresh.discretion
        return f"A member of `{asking}` may ask for a new evaluation of `{name}` at any time."
    return f"`{threshold.judged.by}` judges whether `{name}` is ruled out." if threshold.judged else ""


def _soft(book: Book, soft: list[tuple[str, str]]) -> Iterator[Sentence]:
    if soft:
        stop = "it stops" if len(soft) == 1 else "they stop"
        yield book.say(
            f"{count(len(soft), 'promise is', 'promises are')} intended only or recommended only; {stop} nothing.",
            *(path for path, _ in soft),
        )
    for path, name in soft:
        where = path.split(".")
        if name:
            yield book.say(f"At {action(where[1])}, for `{where[2]}`: {short(book, name)}.", path)
        elif where[0] == "duties":
            yield book.say(f"The duty `{where[1]}`: {text(book.policy.duties[where[1]].what)}.", path)
        else:
            yield book.say(f"An answer to a hold of `{where[1]}`.", path)


# -- missing -----------------------------------------------------------------------------------------------------------


def missing(book: Book) -> Section:
    """What the policy does not say, the gravest first."""
    found = [it for it in _found(book) if it.check not in _ELSEWHERE]
    told, left = _left_open(book, found), [it for it in found if not it.path.startswith("not_governed.")]
    graded = [
        Block(title, tuple(_plain(book, [it for it in left if it.level == level]))) for level, title in _GRAVE.items()
    ]
    made = blocks(Block("Left open", tuple(told)), *graded)
    nothing = book.say("Nothing that is looked for here is missing.", "id")
    return Section("missing", "What is missing", made or (Block("", (nothing,)),))


def _found(book: Book) -> tuple[Finding, ...]:
    return lint.lint(book.policy)


def _plain(book: Book, found: list[Finding]) -> Iterator[Sentence]:
    """What is found, without what its author should do; and, the first time, why it matters."""
    told = set[str]()
    for it in found:
        fact, _, _ = it.message.rpartition("; ")
        why = "" if it.check in told else f" Why it matters: {_why(it)}."
        told.add(it.check)
        yield book.say(f"{_in_plain_words(upper(fact or it.message))}.{why}", it.path)


def _why(it: Finding) -> str:
    return _in_plain_words(_CHECKS[it.check].reason)


def _in_plain_words(said: str) -> str:
    for technical, plain in _WORDS.items():
        said = said.replace(technical, plain).replace(upper(technical), upper(plain))
    return said


def _left_open(book: Book, found: list[Finding]) -> Iterator[Sentence]:
    policy, told = book.policy, {it.check for it in found}
    reasons = {it.path: f" Why it matters: {_why(it)}." for it in found}
    for name, why in policy.not_governed.items():
        path = f"not_governed.{name}"
        source = why.removeprefix("report only: ")
        yield book.say(f"Nothing stops {action(name)}.{reasons.get(path, '')}", path, sources=[source])
    stood_for = {name for it in policy.thresholds.values() for name in it.threat_models}
    for name, model in policy.context.threat_models.items():
        if name not in stood_for:
            said = f"No threshold stands for a harm that it names: {threat(book, name)}."
            yield book.say(said, f"threat_models.{name}", sources=model.sources)
    parts = [part for it in book.view.governing if it.reached_when for part in walk(it.reached_when)]
    if not any(isinstance(part, At | Amount) for part in parts):
        yield book.say("No threshold has a number: when one is reached is for somebody to judge.", "thresholds")
    demanded = {demand.elicitation for it in book.measured for demand in it.rule.elicitation}
    if "no-fine-tuning" not in told and not demanded & TRAINED:
        instead = _instead(book.attested("elicitation"))
        yield book.say(f"No threshold demands that a model be trained for the test{instead}.", "thresholds")
    if "no-buffer" not in told and not book.roomy:
        instead = _instead(book.attested("buffer", "headroom"))
        yield book.say(f"No threshold keeps room under its line in numbers{instead}.", "thresholds")
    if "no-external-auditor" not in told and not any(role.independent_of for role in policy.roles.values()):
        yield book.say("Nobody from outside has a part in it.", "roles")
    if open_ended := words.not_named(policy.refresh):
        yield book.say(
            f"It names {open_ended} after which a threshold is evaluated again.",
            "refresh",
            sources=policy.refresh.sources,
        )
    if not policy.duties:
        yield book.say("No duty says what must be reported, to whom, by when.", "duties")


def _instead(attested: list[str]) -> str:
    return f"; what it says of that is attested, not measured: {words.names(attested)}" if attested else ""
