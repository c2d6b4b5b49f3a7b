"""What a policy is, whom it binds, how it decides, and what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.policy._explain import words
from interlock.policy._explain.book import Block, Section, blocks
from interlock.policy._explain.words import count, text, upper
from interlock.policy.clauses import Standing, standing
from interlock.policy.model import Never

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.policy._explain.book import Book, Sentence
    from interlock.policy.model import Policy

_STANDINGS: dict[Standing, str] = {
    "secondary": "in part or whole on what others say of the text",
    "memory": "in part or whole on memory that nobody checked again",
    "added": "in part or whole on what Interlock added: the text does not say it, and without it nothing could be "
    "decided",
}


def what(book: Book) -> Section:
    """Title, version, whose, since when, whom it binds, how it decides, what it rests on."""
    return Section(
        "what",
        "What this is",
        blocks(
            Block("", tuple(_what(book))),
            Block("Whom it binds", tuple(_scope(book))),
            Block("How it decides", tuple(_decides(book))),
            Block("What this text rests on", tuple(_rests(book))),
        ),
    )


def _what(book: Book) -> Iterator[Sentence]:
    it = book.policy
    yield book.say(
        f"This is “{text(it.title)}”, version {it.version}, known as `{it.id}`.",
        *("title", "version", "id"),
        sources=it.sources,
    )
    if it.imposed_by:
        yield book.say(
            f"{upper(text(it.imposed_by))} imposes it: it stands beside the developer's own policy, and whichever is "
            f"stricter decides.",
            "imposed_by",
        )
    else:
        yield book.say("Nobody imposes it: it is a developer's promise.", "id")
    end = f"and ends on {words.day(it.expires)}; after that every action is on hold" if it.expires else "without an end"
    yield book.say(
        f"It is in force from {words.day(it.effective)}, {end}.", "effective", *["expires"][: bool(it.expires)]
    )
    if it.supersedes:
        yield book.say(f"It takes the place of version {it.supersedes}.", "supersedes")


def _scope(book: Book) -> Iterator[Sentence]:
    it = book.policy.scope
    if it.subjects is None:
        yield book.say("It binds every model of whoever is bound.", "scope", sources=it.sources)
    else:
        yield book.say(
            f"It binds every model, unless it is certain that this is not so: {words.reached(book, it.subjects)}.",
            "scope.subjects",
            sources=it.sources,
        )
    if it.developers:
        yield book.say(f"It speaks to these developers: {text(it.developers)}.", "scope.developers")
    if it.binds:
        yield book.say(f"It also binds {words.listed([text(each) for each in it.binds])}.", "scope.binds")
    if it.exempt:
        yield book.say(
            f"It names as exempt: {words.listed([text(each) for each in it.exempt])}; no gate opens because of that.",
            "scope.exempt",
        )


def _decides(book: Book) -> Iterator[Sentence]:
    yield book.say(
        "A threshold is a level of capability at which something must be in place. Each action has a gate, and each "
        "gate lists thresholds.",
        "thresholds",
        "gates",
    )
    yield book.say(
        "A gate opens only if signed evidence shows, for every threshold that it lists, that the model is below it "
        "(then the threshold is ruled out), or that everything required there is met; and no listed threshold is "
        "overdue for evaluation. Anything else is a hold.",
        "gates",
    )
    yield book.say(
        "Not ruled out counts as reached: where evidence is missing, old, weak or unclear, the policy acts as if the "
        "model had the capability.",
        "gates",
    )
    yield book.say(
        "Compute is counted in FLOP, single steps of arithmetic; effective compute also counts what better methods "
        "add, as the developer states it under its signature.",
        "refresh",
    )
    yield book.say(
        "A result that shows a capability counts at any age and however it was got, unless it was set aside; a "
        "result that shows nothing counts only if all that is asked of it was kept. A reported incident that names a "
        "threshold counts as reaching it.",
        "thresholds",
    )


def _rests(book: Book) -> Iterator[Sentence]:
    sourced = [
        (path, [standing(source)[0] for source in sources]) for path, sources in _clauses(book.policy) if sources
    ]
    silent = [path for path, sources in _clauses(book.policy) if not sources]
    if not sourced:
        yield book.say("None of its clauses says where it comes from.", "id")
        return
    read = sum(set(kinds) == {"read"} for _, kinds in sourced)
    yield book.say(
        f"{count(len(sourced), 'clause names its source', 'clauses name their source')}; {read} of them "
        f"{'rests' if read == 1 else 'rest'} wholly on the primary text, which was read.",
        *(path for path, _ in sourced),
    )
    for kind, said in _STANDINGS.items():
        if paths := [path for path, kinds in sourced if kind in kinds]:
            yield book.say(f"{len(paths)} {'rests' if len(paths) == 1 else 'rest'} {said}.", *paths)
    if silent:
        yield book.say(f"{count(len(silent), 'clause names', 'clauses name')} no source.", *silent)


def _clauses(policy: Policy) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every clause that promises something, with its sources; a cell only if it has any of its own."""
    for section in ("thresholds", "requirements", "exceptions", "duties"):
        for name, it in getattr(policy, section).items():
            if not isinstance(it, Never):
                yield f"{section}.{name}", it.sources
    for name, row in policy.gates.items():
        yield from ((f"gates.{name}.{other}", cell.sources) for other, cell in row.items() if cell.sources)
    yield from (
        (f"not_governed.{name}", (why.removeprefix("report only: "),)) for name, why in policy.not_governed.items()
    )
    for name, answers in policy.on_hold.items():
        yield from ((f"on_hold.{name}.{place}", it.sources) for place, it in enumerate(answers))
    yield "refresh", policy.refresh.sources
    yield "amendments", policy.amendments.sources
