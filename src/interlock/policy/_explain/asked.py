"""What is asked for where a threshold is not ruled out: each requirement, each way round it, and who signs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.policy._explain import words
from interlock.policy._explain.book import Block, Section, blocks
from interlock.policy._explain.evidence import evaluated
from interlock.policy._explain.words import action, count, names, text, who
from interlock.policy.model import (
    Approved,
    At,
    Attested,
    Combined,
    Defined,
    Hole,
    Measured,
    Never,
    RuledOut,
)
from interlock.policy.time import spoken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.policy._explain.book import Book, Sentence
    from interlock.policy.model import Requirement

_ABOUT = {
    "developer": "the developer as a whole",
    "subject": "the one model",
    "deployment": "the one model as it is offered",
}
_KINDS = {
    "interim": "an interim measure",
    "marginal-risk": "a comparison with the risk that others already cause",
    "emergency": "an emergency",
}


def short(book: Book, name: str) -> str:
    """A requirement in a few words, to stand behind `unless`."""
    it = book.policy.requirements[name]
    if isinstance(it, Attested | Approved):
        return f"`{it.by}` {'attests' if isinstance(it, Attested) else 'approves'} `{name}` ({text(it.what)})"
    if isinstance(it, Measured):
        return f"{words.clear(book, At(it.measure, it.level), it.rule_out)} (`{name}`)"
    if isinstance(it, Defined):
        yet = ", which it does not yet" if _undefined(book, it) else ""
        return f"the policy says when `{it.threshold}` is reached{yet} (`{name}`)"
    if isinstance(it, RuledOut):
        return f"`{it.threshold}` is ruled out (`{name}`)"
    if isinstance(it, Combined):
        return f"{_of(it)} met (`{name}`)"
    return "nothing at all: never" if isinstance(it, Never) else f"`{name}` is filled, which is a hole"


def _undefined(book: Book, it: Defined) -> bool:
    threshold = book.policy.thresholds.get(it.threshold)
    return threshold is None or threshold.hole


def _of(it: Combined) -> str:
    if it.count == len(it.of):
        return f"{names(it.of)} {'is' if len(it.of) == 1 else 'are'}"
    return f"{names(it.of, 'or')} is" if it.count == 1 else f"at least {it.count} of {names(it.of)} are"


def lifts(book: Book) -> Section:
    """Every requirement: when it is met, by whose word, for how long; and every role."""
    made = [Block(f"`{name}`", tuple(_requirement(book, name, it))) for name, it in book.policy.requirements.items()]
    intro = book.say(
        "A requirement matters only where its threshold is not ruled out. Each word is signed, and can be taken back.",
        "requirements",
    )
    return Section(
        "lift", "What would lift a stop", blocks(Block("", (intro,)), *made, Block("Who signs", tuple(_roles(book))))
    )


def _requirement(book: Book, name: str, it: Requirement) -> Iterator[Sentence]:
    path = f"requirements.{name}"
    if isinstance(it, Never):
        cells = [f"gates.{act}.{other}" for act, other, cell in book.view.cells if name in cell.requires]
        yield book.say(
            "`never`: nothing is accepted; only ruling the threshold out opens the gate.", *(cells or ["gates"])
        )
        return
    yield book.say(_met(book, name, it), path, sources=it.sources)
    yield from _more(book, path, it)
    if used := _where(book, name):
        yield book.say(f"`{name}` is asked for at {used[0]}.", *used[1])
    else:
        yield book.say(f"No gate asks for `{name}` by itself.", path)


def _met(book: Book, name: str, it: Requirement) -> str:
    if isinstance(it, Attested | Approved):
        word = "attests" if isinstance(it, Attested) else "approves, with the findings before its eyes"
        return (
            f"`{name}` is met once {who(book.policy, it.by)} {word}: {text(it.what)}. The word is about "
            f"{_ABOUT[it.about]}, and stands for {spoken(it.fresh_for)}."
        )
    if isinstance(it, Measured):
        return f"`{name}` is met once {words.clear(book, At(it.measure, it.level), it.rule_out)}."
    if isinstance(it, Defined):
        now = "it does not: only an amendment can" if _undefined(book, it) else "it does"
        return f"`{name}` is met if the policy says when `{it.threshold}` is reached; {now}."
    if isinstance(it, RuledOut):
        return f"`{name}` is met while `{it.threshold}` is ruled out."
    if isinstance(it, Combined):
        return f"`{name}` is met once {_of(it)} met."
    assert isinstance(it, Hole)  # noqa: S101  `never` is told apart
    return f"`{name}` is a hole, empty on purpose: {text(it.what)}. It is never met; only an amendment fills it."


def _more(book: Book, path: str, it: Requirement) -> Iterator[Sentence]:
    policy = book.policy
    if isinstance(it, Attested) and it.standard:
        yield _standard(book, path, it.standard)
    if isinstance(it, Approved):
        yield book.say("New evidence about the model ends the approval.", path)
    if isinstance(it, Measured):
        yield from evaluated(book, path, it.rule_out, [it.measure])
    if isinstance(it, Combined) and (it.claim or it.argument or it.doubt):
        said = [f"{word}: {text(prose)}" for word, prose in _case(it) if prose]
        yield book.say(f"As an argument, it has this {'; '.join(said)}.", path)
    if isinstance(it, Hole):
        yield book.say(f"{who(policy, it.owner)} owns it, and looks at it again by {words.day(it.review)}.", path)


def _case(it: Combined) -> tuple[tuple[str, str], ...]:
    return (("claim", it.claim), ("argument", it.argument), ("remaining doubt", it.doubt))


def _standard(book: Book, path: str, name: str) -> Sentence:
    it = book.policy.context.standards[name]
    more = [f"comparable with {words.listed([text(each) for each in it.maps_to])}"] if it.maps_to else []
    more += [f"meant to stop {names(it.stops)}"] if it.stops else []
    more += [f"not meant to stop {names(it.does_not_stop)}"] if it.does_not_stop else []
    told = f", {', '.join(more)}" if more else ""
    return book.say(
        f"It stands for the standard “{text(it.title)}”{told}.", path, f"standards.{name}", sources=it.sources
    )


def _where(book: Book, name: str) -> tuple[str, list[str]] | None:
    """The gates that ask for a requirement, directly or as a part, and their clauses."""
    cells = [
        (act, f"gates.{act}.{other}")
        for act, other, cell in book.view.cells
        if any(name in book.view.within(listed) for listed in cell.requires)
    ]
    if not cells:
        return None
    return words.listed([action(act) for act in dict.fromkeys(act for act, _ in cells)]), [path for _, path in cells]


# -- who signs ---------------------------------------------------------------------------------------------------------


def _roles(book: Book) -> Iterator[Sentence]:
    for name, it in book.policy.roles.items():
        if not it.keys:
            signs = "has no keys yet, so whatever it must sign stays on hold"
        elif it.quorum == 1:
            signs = f"has {count(len(it.keys), 'member')}{', and any one signs for it' if len(it.keys) > 1 else ''}"
        else:
            signs = f"has {count(len(it.keys), 'member')}, of whom {it.quorum} must sign together"
        apart = f"; it shares no key with {names(it.independent_of)}" if it.independent_of else ""
        says = f"; it declares: {words.listed([text(each) for each in it.declares])}" if it.declares else ""
        yield book.say(f"`{name}` {signs}{apart}{says}.", f"roles.{name}", sources=it.sources)
    if book.policy.independent:
        yield book.say(
            f"`{book.policy.independent}` may set a mistaken result aside, for a reason that is shown ever after.",
            "independent",
        )


# -- ways round --------------------------------------------------------------------------------------------------------


def ways_round(book: Book) -> Section:
    """Every exception, with its approvals and its end."""
    made = []
    for name, it in book.policy.exceptions.items():
        end = (
            f"and never after {words.day(it.until)}"
            if it.until
            else "as often as it is opened again; it names no last day"
        )
        stand_in = f"{names(it.requires)} may stand in for {names(it.instead_of, 'or')}"
        made.append(
            book.say(
                f"`{name}`: as {_KINDS[it.kind]}, {stand_in} for {spoken(it.lasts)} at a time, {end}.",
                f"exceptions.{name}",
                sources=it.sources,
            )
        )
        approved = words.listed([who(book.policy, role) for role in it.approved_by])
        made.append(book.say(f"It opens only once {approved} sign for it and it is published.", f"exceptions.{name}"))
    if made:
        made.append(book.say("No way leads round a hole or a `never`.", "exceptions"))
    else:
        made.append(book.say("The policy names no way round what it asks for.", "gates"))
    return Section("ways", "Ways round", (Block("", tuple(made)),))
