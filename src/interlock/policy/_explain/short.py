"""The short of it: the same questions about every policy, so that two can be read side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.policy._explain import words
from interlock.policy._explain.book import Block, Section
from interlock.policy._explain.stops import actions
from interlock.policy._explain.words import action, count, names
from interlock.policy._lint.rules import discretion, weak
from interlock.policy._lint.ways import of_kind
from interlock.policy.model import TRAINED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.policy._explain.book import Book, Sentence


def short_of_it(book: Book) -> Section:
    """At a glance, then action by action."""
    return Section("short", "The short of it", (Block("At a glance", tuple(_glance(book))), *actions(book)))


def _glance(book: Book) -> Iterator[Sentence]:
    yield from _governed(book)
    yield _kinds(book)
    yield _frozen(book)
    yield _tuned(book)
    yield _room(book)
    yield _again(book)
    yield _outside(book)
    yield _round(book)
    yield _change(book)


def _governed(book: Book) -> Iterator[Sentence]:
    gated, left = list(book.policy.gates), list(book.policy.not_governed)
    yield book.say(f"It can stop {words.listed([action(it) for it in gated])}.", *(f"gates.{it}" for it in gated))
    if left:
        yield book.say(
            f"It stops nothing at {words.listed([action(it) for it in left])}.", *(f"not_governed.{it}" for it in left)
        )


def _kinds(book: Book) -> Sentence:
    gating = [book.policy.thresholds[name] for name in dict.fromkeys(name for _, name, _ in book.view.cells)]
    holes = [it.name for it in gating if it.hole]
    judged = [it.name for it in gating if it.judged and not it.hole]
    parts = [f"{len(gating) - len(holes) - len(judged)} by numbers or by other thresholds"]
    parts += [f"{len(judged)} by somebody's judgement", f"{len(holes)} left as a hole"]
    return book.say(
        f"{count(len(gating), 'threshold stands', 'thresholds stand')} at its gates: {words.listed(parts)}.",
        *(f"thresholds.{it.name}" for it in gating),
    )


def _frozen(book: Book) -> Sentence:
    cells = [
        f"gates.{act}.{name}"
        for act, name, cell in book.view.cells
        if of_kind(book.ways.required(name, cell), "explicit")
    ]
    total = len(book.view.cells)
    if not cells:
        return book.say(f"It has {count(total, 'stop')}, each with a way out that the policy names.", "gates")
    end = "ends" if len(cells) == 1 else "end"
    return book.say(
        f"{len(cells)} of its {count(total, 'stop')} {end} only if the threshold is ruled out or the policy is "
        f"amended.",
        *cells,
    )


def _tuned(book: Book) -> Sentence:
    rules = book.measured
    tuned = [it for it in rules if any(demand.elicitation in TRAINED for demand in it.rule.elicitation)]
    if not rules:
        return book.say(
            "No threshold is ruled out by a measurement, so none demands that the model be trained for the test.",
            "thresholds",
        )
    return book.say(
        f"Of the {count(len(rules), 'threshold')} ruled out by a measurement, {len(tuned)} "
        f"{'demands' if len(tuned) == 1 else 'demand'} that the model be trained for the test first, so that it cannot "
        f"just hold back.",
        *(f"{it.path}.rule_out.elicitation" for it in rules),
    )


def _room(book: Book) -> Sentence:
    rules, kept = book.measured, [it.rule.buffer for it in book.roomy]
    paths = [f"{it.path}.rule_out.buffer" for it in rules] or ["thresholds"]
    if attested := book.attested("buffer", "headroom") if not kept else []:
        return book.say(
            f"Room under a line is no number; it is attested: {names(attested)}.",
            *(f"requirements.{it}" for it in attested),
        )
    if not kept:
        none = "It keeps no room under any line that it measures" if rules else "No line is measured, and no room kept"
        return book.say(f"{none}.", *paths)
    least, most = (end(buffer.multiple for buffer in kept) for end in (min, max))
    span = words.number(most) if least == most else f"between {words.number(least)} and {words.number(most)}"
    grown = f"for a growth to {span} times the effective compute" if most > 1 else "in the score only"
    return book.say(f"Room is kept under {len(kept)} of {count(len(rules), 'measured line')}, {grown}.", *paths)


def _again(book: Book) -> Sentence:
    when, missing = words.renewed(book.policy.refresh), words.not_named(book.policy.refresh)
    if not when:
        return book.say(
            "It names no growth in compute and no period after which anything is evaluated again.", "refresh"
        )
    left = f"; it names {missing}" if missing else ""
    return book.say(f"A threshold is evaluated again {when}{left}.", "refresh", sources=book.policy.refresh.sources)


def _outside(book: Book) -> Sentence:
    outside = [name for name, role in book.policy.roles.items() if role.independent_of]
    if not outside:
        return book.say("Nobody who is independent of those who run the evaluations has a part in it.", "roles")
    apart = "is" if len(outside) == 1 else "are"
    return book.say(
        f"{names(outside)} {apart} independent of others who take part.", *(f"roles.{it}" for it in outside)
    )


def _round(book: Book) -> Sentence:
    ways, judged, soft = list(book.policy.exceptions), discretion(book.view), weak(book.policy)
    round_it = count(len(ways), "way") if ways else "no way"
    return book.say(
        f"There {'is' if len(ways) < 2 else 'are'} {round_it} round what it asks for; somebody's judgement decides "
        f"in {count(len(judged), 'place')}; {count(len(soft), 'promise is', 'promises are')} only "
        f"intended or recommended.",
        *([f"exceptions.{it}" for it in ways] + judged + [path for path, _ in soft] or ["gates"]),
    )


def _change(book: Book) -> Sentence:
    it = book.policy.amendments
    loosened = "cannot" if it.frozen_while_reached else "can"
    return book.say(
        f"It {loosened} be loosened while a threshold is reached; a change {words.published(it.notice)}.", "amendments"
    )
