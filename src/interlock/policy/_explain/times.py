"""When it is tried again, who is told by when, and how the policy changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.policy._explain import words
from interlock.policy._explain.book import Block, Section, blocks
from interlock.policy._explain.words import action, names, percent, text, upper, who
from interlock.policy.model import Measured
from interlock.policy.time import spoken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.policy._explain.book import Book, Sentence
    from interlock.policy.duty import Duty, Response, Start
    from interlock.policy.model import Refresh, RuleOut

_DONE = {
    "pause-training": "training is paused",
    "cap-next-scale-up": "the next growth in compute is capped",
    "hold-development": "development is held",
    "halt-until-standard": "work halts until the standard is written",
    "restrict-weight-access": "access to the weights is restricted",
    "restrict-customers": "who may use the model is restricted",
    "halt-new-customers": "no new customer is taken on",
    "downgrade": "a weaker model takes its place",
    "de-deploy": "the model is taken out of use",
    "lock-weights": "the weights are locked away",
    "delete-weights": "the weights are deleted",
    "recall": "what was handed out is called back",
    "reroute-work": "work turns to something else",
    "reassess": "it is assessed again",
    "write-policy": "the next part of the policy is written",
    "notify": "somebody is told",
}
_STATES = {
    "reached": "it is reached",
    "not ruled out": "it is neither reached nor ruled out",
    "overdue": "its evaluation is overdue",
}
_MOMENTS = {
    "event": "when it happens",
    "awareness": "when somebody becomes aware of it",
    "discovery": "when it is discovered",
    "determination": "when it is established",
}
_WEAK = {"intends": " (intended only)", "recommends": " (recommended only)"}


# -- again -------------------------------------------------------------------------------------------------------------


def tried_again(book: Book) -> Section:
    """Refresh, plans, permits, and what a thief or a customer is taken to add."""
    return Section("again", "When it is tried again", blocks(Block("", tuple(_again(book)))))


def _again(book: Book) -> Iterator[Sentence]:
    it = book.policy.refresh
    when, missing = words.renewed(it), words.not_named(it)
    if when:
        yield book.say(
            f"Unless a threshold says otherwise, it is evaluated again {when}.", "refresh", sources=it.sources
        )
    if missing:
        yield book.say(
            f"The policy names {missing} after which that must be.", "refresh", sources=() if when else it.sources
        )
    others: dict[Refresh, list[str]] = {}
    for path, rule in _rules(book):
        if rule.refresh != it:
            others.setdefault(rule.refresh, []).append(path)
    for refresh, paths in others.items():
        yield _own_refresh(book, refresh, paths)
    yield book.say("What is overdue for evaluation is on hold, whatever else is met.", "refresh")
    yield book.say(
        f"An evaluation that was announced must be reported within {spoken(book.policy.report_within)}; if it is not, "
        f"that is a hold.",
        "plans.report_within",
    )
    yield from _permits(book)
    yield _budget(book)


def _own_refresh(book: Book, refresh: Refresh, paths: list[str]) -> Sentence:
    """What has a refresh that is not the policy's."""
    when, left = words.renewed(refresh), words.not_named(refresh)
    which = f"{names(path.partition('.')[2] for path in paths)} {'is' if len(paths) == 1 else 'are'}"
    said = f"{which} evaluated again {when}" if when else f"No time is named after which {which} evaluated again"
    return book.say(f"{said}{f'; the policy names {left}' if when and left else ''}.", *paths, sources=refresh.sources)


def _budget(book: Book) -> Sentence:
    share, why = book.policy.attacker_budget, book.policy.attacker_budget_source
    reason = "" if why in {"default", "no source given"} else f" ({text(why)})"
    if not share:
        counts = "What others make of the model by training it further is not counted as what the model can do"
    else:
        counts = (
            f"What others make of the model with up to {percent(share)} of its training compute counts as what the "
            f"model can do"
        )
    return book.say(f"{counts}{reason}.", "attacker_budget")


def _rules(book: Book) -> Iterator[tuple[str, RuleOut]]:
    for name, it in book.policy.thresholds.items():
        if it.rule_out is not None and "refresh" in it.uses:
            yield f"thresholds.{name}", it.rule_out
    for name, one in book.policy.requirements.items():
        if isinstance(one, Measured):
            yield f"requirements.{name}", one.rule_out


def _permits(book: Book) -> Iterator[Sentence]:
    it = book.policy.permits
    back = f"; {names(it.revocable_by)} can take it back" if it.revocable_by else ""
    yield book.say(
        f"A permit is signed by {who(book.policy, it.issued_by)}, lasts {spoken(it.lease)} at most, and never longer "
        f"than what it rests on{back}.",
        "permits",
        sources=it.sources,
    )
    yield book.say(
        f"It is given only on a record of evidence that is less than {spoken(it.ledger_age)} old.", "permits.ledger_age"
    )


# -- who is told -------------------------------------------------------------------------------------------------------


def told(book: Book) -> Section:
    """What is done on a hold, duties with their clocks, reports, channels."""
    answers = tuple(sentence for name in book.policy.on_hold for sentence in _on_hold(book, name))
    duties = tuple(_duty(book, it) for it in book.policy.duties.values())
    nothing = book.say("The policy names nobody who must be told, and nothing that must be done by a time.", "gates")
    opens = (
        book.say(
            "None of this opens or closes a gate: a duty that is late is late, and the gates decide as before.",
            *(f"on_hold.{name}" for name in book.policy.on_hold),
            *(f"duties.{name}" for name in book.policy.duties),
        )
        if answers or duties
        else nothing
    )
    return Section(
        "told",
        "Who is told, and by when",
        blocks(
            Block("", (opens,)),
            Block("While something is on hold", answers),
            Block("Duties", duties),
            Block("Reports", tuple(_reports(book))),
            Block("Where somebody reports that the policy is not kept", tuple(_channels(book))),
        ),
    )


def _on_hold(book: Book, name: str) -> Iterator[Sentence]:
    for place, it in enumerate(book.policy.on_hold[name]):
        yield book.say(
            f"{_when(book, name, it)}, {_done(it)}{_WEAK.get(it.modality, '')}.",
            f"on_hold.{name}.{place}",
            sources=it.sources,
        )


def _when(book: Book, name: str, it: Response) -> str:
    if name in book.policy.thresholds:
        held = f"While `{name}` holds a gate"
    elif name in book.policy.requirements:
        held = f"While `{name}` is not met and a gate holds for it"
    else:
        held = f"While {action(name)} is on hold"
    states = [_STATES.get(one) or f"`{one.removeprefix('unmet:')}` is not met" for one in it.when]
    return f"{held} because {words.listed(states, 'or')}" if states else held


def _done(it: Response) -> str:
    parts = [] if it.do == "notify" and it.notify else [_DONE[it.do]]
    if it.do == "reroute-work" and it.to:
        parts = [f"work turns to {names(it.to)}"]
    parts += [f"{names(it.notify)} {'is' if len(it.notify) == 1 else 'are'} told"] if it.notify else []
    return f"{' and '.join(parts)}{f' within {words.within(it.within)}' if it.within else ''}"


def _duty(book: Book, it: Duty) -> Sentence:
    when = [f"within {words.within(it.within)}"] if it.within else []
    when += [f"at the earliest after {words.within(it.not_before)}"] if it.not_before else []
    if it.within and it.within.business_days and it.within.zone != "UTC":
        when.append(f"days counted in {it.within.zone}")
    until = " until it is resolved" if it.until_resolved else ""
    when += [f"again every {words.within(it.repeat)}{until}"] if it.repeat else []
    when += [f"a last time {words.within(it.after_resolved)} after it is resolved"] if it.after_resolved else []
    more = [f"{names(it.notify)} {'is' if len(it.notify) == 1 else 'are'} told"] if it.notify else []
    more += [f"it goes into `{it.report}`"] if it.report else []
    more += [f"for {text(it.regime)}"] if it.regime else []
    tail = f"; {'; '.join(more)}" if more else ""
    return book.say(
        f"`{it.name}`: {_starts(book, it.start)}, `{it.by}` has this to do{_WEAK.get(it.modality, '')}: {text(it.what)}"
        f", {', '.join(when)}{tail}.",
        f"duties.{it.name}",
        sources=it.sources,
    )


def _starts(book: Book, it: Start) -> str:
    of = names(it.of, "or") if it.of else ""
    if it.on == "incident":
        titles = [book.policy.context.incidents[kind].title for kind in it.of if kind in book.policy.context.incidents]
        kinds = f" ({'; '.join(text(title) for title in titles)})" if titles else ""
        return f"after an incident of kind {of}{kinds}, counted from {_MOMENTS[it.moment]}"
    acts = words.listed([action(name) for name in it.of], "or") if it.of else "any action"
    return {
        "reached": f"once {of or 'any threshold'} is reached",
        "not-ruled-out": f"once {of or 'any threshold'} is neither reached nor ruled out",
        "overdue": f"once the evaluation of {of or 'any threshold'} is overdue",
        "alert": f"unless {of or 'every early warning'} is shown to be clear",
        "hold": f"once {acts} is on hold",
        "permit": f"once {acts} is permitted",
        "exception": f"once the way round {of or 'of any name'} is opened",
        "effective": "from the day on which the policy takes effect",
    }[it.on]


def _reports(book: Book) -> Iterator[Sentence]:
    for name, it in book.policy.context.reports.items():
        more = [f"it says: {words.listed([text(each) for each in it.contents])}"] if it.contents else []
        more += [f"what is left out: {text(it.redactions)}"] if it.redactions else []
        more += [f"the whole copy is kept for {spoken(it.keep_for)}"] if it.keep_for else []
        readers = words.listed([f"`{each}`" if each in book.policy.roles else text(each) for each in it.audience])
        yield book.say(
            f"`{name}`, “{text(it.title)}”: `{it.by}` writes it for {'; '.join([readers, *more])}.",
            f"reports.{name}",
            sources=it.sources,
        )


def _channels(book: Book) -> Iterator[Sentence]:
    for name, it in book.policy.context.channels.items():
        unnamed = "without giving a name" if it.anonymous else "under their own name"
        yield book.say(f"`{name}` leads to {names(it.to)}, {unnamed}.", f"channels.{name}", sources=it.sources)


# -- change ------------------------------------------------------------------------------------------------------------


def changes(book: Book) -> Section:
    """Who changes the policy, with what notice, and what is not allowed meanwhile."""
    return Section("change", "How it can change", (Block("", tuple(_changes(book))),))


def _changes(book: Book) -> Iterator[Sentence]:
    it = book.policy.amendments
    approved = words.listed([who(book.policy, role) for role in it.approved_by])
    yield book.say(f"A change needs the approval of {approved}.", "amendments.approved_by", sources=it.sources)
    if it.proposed_by:
        yield book.say(
            f"{upper(names(it.proposed_by))} {'proposes' if len(it.proposed_by) == 1 else 'propose'} it.",
            "amendments.proposed_by",
        )
    if it.consulted:
        yield book.say(
            f"{upper(names(it.consulted))} {'is' if len(it.consulted) == 1 else 'are'} asked first.",
            "amendments.consulted",
        )
    yield book.say(f"It {words.published(it.notice)}.", "amendments.notice")
    if it.changelog_required:
        yield book.say("A list of what changed comes with it.", "amendments.changelog")
    if it.frozen_while_reached:
        yield book.say(
            "While a threshold is reached, the policy can only be made tighter, or a hole filled.",
            "amendments.frozen_while",
        )
    else:
        yield book.say("It can be loosened while a threshold is reached, just when it binds.", "amendments")
    yield book.say("Evidence from before a change is held to the stricter of the two versions.", "amendments")
