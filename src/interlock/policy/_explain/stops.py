"""What stops what: each threshold, when it counts as reached, how it is ruled out, and at which gates it stands."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.policy._explain import words
from interlock.policy._explain.asked import short
from interlock.policy._explain.book import Block, Section, blocks
from interlock.policy._explain.evidence import again, assumed, evaluated, measured
from interlock.policy._explain.words import action, names, percent, text, upper, who
from interlock.policy._lint.ways import of_kind
from interlock.policy.clauses import standing
from interlock.policy.model import NO_CONFIDENCE, STANDARD_ACTIONS, At, Attested, Ref, UnderQuantity, UnderScreen, walk
from interlock.policy.time import spoken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.policy._explain.book import Book, Sentence
    from interlock.policy.model import BelowIf, Cell, Judged, Threshold

_WEAKER = {"intends": "intended", "recommends": "recommended"}


def stops(book: Book) -> Section:
    """Threshold by threshold; then what is measured, and what results take for granted."""
    seen: dict[tuple[str, ...], str] = {}
    made = [Block(f"`{name}`", tuple(_threshold(book, it, seen))) for name, it in book.policy.thresholds.items()]
    return Section(
        "stops",
        "What stops what",
        blocks(
            *made,
            Block("What is measured", tuple(measured(book))),
            Block("What a result in favour takes for granted", tuple(assumed(book))),
        ),
    )


def _threshold(book: Book, it: Threshold, seen: dict[tuple[str, ...], str]) -> Iterator[Sentence]:
    """`seen`: the conditions of evaluations that were told before, and of which threshold."""
    path = f"thresholds.{it.name}"
    yield from _reached(book, it, path)
    yield from _threats(book, it, path)
    yield from _ruled_out(book, it, path)
    yield from _conditions(book, it, path, seen)
    for place, way in enumerate(it.below_if if not it.hole else ()):
        yield book.say(f"Without that, it counts as ruled out if {_way(book, way)}.", f"{path}.below_if.{place}")
    if it.takeover_potential:
        yield book.say(
            "A model at this level could take over: how a model behaves is no evidence for what is asked here, only "
            "understanding why it behaves so.",
            f"{path}.takeover_potential",
        )
    yield from _gates(book, it, path)


# -- reached -----------------------------------------------------------------------------------------------------------


def _reached(book: Book, it: Threshold, path: str) -> Iterator[Sentence]:
    said = False
    if it.reached_when is not None:
        scale = _scale(book, it)
        yield book.say(
            f"`{it.name}` counts as reached when {words.reached(book, it.reached_when)}{scale}.",
            f"{path}.reached_when",
            path,
            sources=it.sources,
        )
        said = True
    if it.hole:
        yield book.say(
            f"Nobody has said yet when `{it.name}` is reached: it is a hole, so no evidence rules it out, and only an "
            f"amendment fills it.",
            path,
            sources=it.sources,
        )
    elif it.judged is not None:
        yield book.say(
            f"`{it.name}` is a matter of judgement: one member of `{it.judged.by}` who judges that it is reached is "
            f"enough to make it so.",
            f"{path}.judged_by",
            path,
            sources=() if said else it.sources,
        )
    higher = [other.name for other in book.policy.thresholds.values() if it.name in other.above]
    if higher:
        yield book.say(
            f"It counts as reached, too, when {names(higher, 'or')}, a higher level, is.",
            *(f"thresholds.{name}.above" for name in higher),
        )


def _scale(book: Book, it: Threshold) -> str:
    """The scale of a threshold that is one level of one measure."""
    if not isinstance(it.reached_when, At):
        return ""
    scale = book.view.scale(it.reached_when.measure)
    return f", on a scale from {words.number(scale.low)} to {words.number(scale.high)}"


def _threats(book: Book, it: Threshold, path: str) -> Iterator[Sentence]:
    if it.domain:
        domain = book.policy.context.domains[it.domain]
        yield book.say(f"It belongs to the field “{text(domain.title)}”.", f"{path}.domain", f"domains.{it.domain}")
    for name in it.threat_models:
        yield book.say(
            f"The harm that it stands for: {threat(book, name)}.",
            f"{path}.threat_models",
            f"threat_models.{name}",
            sources=book.policy.context.threat_models[name].sources,
        )


def threat(book: Book, name: str) -> str:
    """How harm would come about: by whom, how much, compared with what, and which chance of it is tolerated."""
    model = book.policy.context.threat_models[name]
    more = [text(model.what)]
    if (actor := book.policy.context.actors.get(model.actor)) is not None:
        more.append(f"by `{actor.name}`, with {text(actor.skill)}")
        said = {"budget": actor.budget, "time": actor.time, "access": actor.access}
        more += [f"{word}: {text(prose)}" for word, prose in said.items() if prose]
    said = {"harm": model.harm, "compared with": model.baseline}
    more += [f"{word}: {text(prose)}" for word, prose in said.items() if prose]
    more += [f"tolerated chance: {words.number(model.probability)}"] if model.probability is not None else []
    more += [f"over {spoken(model.horizon)}"] if model.horizon else []
    return "; ".join(more)


# -- ruled out ---------------------------------------------------------------------------------------------------------


def _ruled_out(book: Book, it: Threshold, path: str) -> Iterator[Sentence]:
    if it.judged is not None and not it.hole:
        yield _judged(book, it, it.judged, path)
    elif it.judged is None and it.reached_when is not None:
        first = "By its own line, it is" if it.below_if else "It is"
        yield book.say(
            f"{first} ruled out only if {words.ruled_out(book, it.reached_when, it.rule_out)}.",
            f"{path}.rule_out",
            path,
            sources=[source for source in it.sources if standing(source)[0] == "added"],
        )


def _conditions(book: Book, it: Threshold, path: str, seen: dict[tuple[str, ...], str]) -> Iterator[Sentence]:
    """How evidence must have come about; told once for all thresholds that ask for the same."""
    rule = it.rule_out
    if rule is None:
        return
    if it.measures:
        told = tuple(evaluated(book, path, rule, it.measures))
        first = seen.setdefault(tuple(sentence.text for sentence in told), it.name)
        if first == it.name:
            yield from told
        else:
            places = [place.path for sentence in told for place in sentence.places]
            yield book.say(f"It is evaluated in every way as `{first}` is.", f"{path}.rule_out", *places)
        return
    if "confidence" in it.uses and rule.confidence != NO_CONFIDENCE:
        yield book.say(
            f"Its parts are ruled out at {percent(rule.confidence)} confidence together.", f"{path}.rule_out.confidence"
        )
    if "coverage" in it.uses and rule.coverage < 1:
        yield book.say(
            f"A result that the judgement rests on must have at least {percent(rule.coverage)} of its planned samples "
            f"scored.",
            f"{path}.rule_out.coverage",
        )
    if "refresh" in it.uses:
        yield again(book, path, rule)


def _judged(book: Book, it: Threshold, judged: Judged, path: str) -> Sentence:
    on = words.listed([_rests_on(book, name) for name in judged.on])
    last = f", and stands for {spoken(judged.fresh_for)} at most" if judged.fresh_for else ""
    first = "By judgement, it is" if it.below_if else "It is"
    return book.say(
        f"{first} ruled out only if {who(book.policy, judged.by)} judges that the model is below it. The judgement "
        f"rests on {on}; it ends with the oldest of these and with any later result on them{last}.",
        f"{path}.judged_by",
        f"{path}.on",
    )


def _rests_on(book: Book, name: str) -> str:
    it = book.policy.requirements.get(name)
    if it is None:
        return f"a complete result on `{name}`"
    return f"`{name}` ({text(it.what)}; attested by `{it.by}`)" if isinstance(it, Attested) else f"`{name}`"


def _way(book: Book, way: BelowIf) -> str:
    if isinstance(way, UnderQuantity):
        return words.under(book.policy, way.quantity, Fraction(way.level))
    if isinstance(way, UnderScreen):
        return f"`{way.threshold}`, a test that is run first, is ruled out"
    return (
        f"the model is shown to be less capable than `{way.subject}`, by a margin of {words.number(way.margin)} on "
        f"{names(way.on)}, and the threshold is ruled out for `{way.subject}`"
    )


# -- gates -------------------------------------------------------------------------------------------------------------


def _gates(book: Book, it: Threshold, path: str) -> Iterator[Sentence]:
    cells = [(act, cell) for act, name, cell in book.view.cells if name == it.name]
    groups: dict[tuple[str, ...], list[tuple[str, Cell]]] = {}
    for act, cell in cells:
        groups.setdefault(tuple(sorted(cell.requires)), []).append((act, cell))
    for group in groups.values():
        acts, cell = [act for act, _ in group], group[0][1]
        yield book.say(
            f"{_while(it)} it stops {words.listed([action(act) for act in acts])}"
            f"{_amended(book, it.name, cell) or _unless(cell)}.",
            *(f"gates.{act}.{it.name}" for act in acts),
            sources=dict.fromkeys(source for _, one in group for source in one.sources),
        )
    for act, row in book.policy.gates.items():
        for modality, name in row[it.name].weaker if it.name in row else ():
            yield book.say(
                f"At {action(act)}, this is {_WEAKER[modality]} only, and stops nothing: {short(book, name)}.",
                f"gates.{act}.{it.name}",
            )
    if not cells:
        yield book.say(_without_gate(book, it), f"{path}.role", path)


def _unless(cell: Cell) -> str:
    return f", unless {names(cell.requires)} {'is' if len(cell.requires) == 1 else 'are'} met"


def _while(it: Threshold) -> str:
    return "For every model," if it.hole else "While it is not ruled out,"


def _amended(book: Book, name: str, cell: Cell) -> str:
    """That nothing but an amendment opens a cell whose threshold is not ruled out, if that is so."""
    explicit = of_kind(book.ways.required(name, cell), "explicit")
    why = ["the policy says never" if block.name == "never" else block.text for block in explicit]
    return f"; nothing opens it until the policy is amended ({words.listed(why)})" if why else ""


def _without_gate(book: Book, it: Threshold) -> str:
    if it.role == "alert":
        return f"It is an early warning of `{it.alert_for}`: it stops nothing itself."
    parts = [other.name for other in book.policy.thresholds.values() if _names(other, it.name)]
    if parts:
        return f"It stands at no gate of its own; it matters as a part of {names(parts)}."
    screens = [
        other.name
        for other in book.policy.thresholds.values()
        if any(isinstance(way, UnderScreen) and way.threshold == it.name for way in other.below_if)
    ]
    if screens:
        return f"It stands at no gate; ruling it out rules out {names(screens)}."
    return f"{'It is only watched' if it.role == 'watch' else 'It stands at no gate'}: it stops nothing."


def _names(other: Threshold, name: str) -> bool:
    parts = walk(other.reached_when) if other.reached_when else ()
    return any(isinstance(part, Ref) and part.threshold == name for part in parts)


# -- the short of it ---------------------------------------------------------------------------------------------------


def actions(book: Book) -> tuple[Block, ...]:
    """Each action: what stops it, and what opens it."""
    told = {act: tuple(_gated(book, act)) for act in book.policy.gates}
    told |= {act: tuple(_open(book, act, why)) for act, why in book.policy.not_governed.items()}
    order = [*STANDARD_ACTIONS, *(act for act in told if act not in STANDARD_ACTIONS)]
    return tuple(Block(upper(action(act)), told[act]) for act in order if act in told)


def _gated(book: Book, act: str) -> Iterator[Sentence]:
    yield from _own(book, act)
    groups: dict[tuple[bool, str], list[str]] = {}
    for other, name, cell in book.view.cells:
        if other == act:
            hole = book.policy.thresholds[name].hole
            told = f", unless {words.listed([short(book, it) for it in cell.requires])}"
            groups.setdefault((hole, _amended(book, name, cell) or told), []).append(name)
    for (every, opens), thresholds in groups.items():
        which = f"{'any of ' if len(thresholds) > 1 else ''}{names(thresholds, 'or')} is not ruled out"
        because = f"for every model ({names(thresholds)} cannot be ruled out)" if every else f"while {which}"
        yield book.say(
            f"It is stopped {because}{opens}.",
            *(f"gates.{act}.{name}" for name in thresholds),
        )
    if not book.policy.reversible(act):
        yield book.say(
            "It cannot be taken back, so an evaluation that was announced and not reported holds it at once.",
            f"gates.{act}",
        )


def _own(book: Book, act: str) -> Iterator[Sentence]:
    if (it := book.policy.actions.get(act)) is not None:
        yield book.say(f"`{act}` is {words.described(it)}.", f"actions.{act}", sources=it.sources)


def _open(book: Book, act: str, why: str) -> Iterator[Sentence]:
    yield from _own(book, act)
    path = f"not_governed.{act}"
    if why.startswith("report only: "):
        yield book.say(
            "This policy stops nothing here; it asks only for a report or a disclosure.",
            path,
            sources=[why.removeprefix("report only: ")],
        )
    else:
        yield book.say("It is not governed: this policy stops nothing here.", path, sources=[why])
