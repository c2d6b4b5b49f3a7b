"""Questions about gates: what they stop, what opens them again, and what they leave open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.policy._lint.lines import Gates, Rank, last
from interlock.policy._lint.view import listing
from interlock.policy._lint.ways import of_kind
from interlock.policy._score.answer import Answer, each, in_part, met, missing
from interlock.policy.duty import STOPS
from interlock.policy.model import BINDING, Approved, AtLeast, Combined, Defined, Hole, Measured, Ref

if TYPE_CHECKING:
    from interlock.policy._score.asked import Asked

#: How `not_governed` says that an action is left open but for a report.
_REPORT = "report only: "


def gated(asked: Asked, action: str) -> Answer:
    """Whether an action waits for anything, and not only in a named case."""
    own = [name for name in asked.policy.gates.get(action, {}) if asked.policy.gates[action][name].requires]
    if own:
        always = [f"gates.{action}.{name}" for name in own if not _named_case(asked, name)]
        if always:
            return met(always)
        every = [f"gates.{action}.{name}" for name in own]
        return in_part(every, f"`{action}` is held only in a named case: each threshold there needs several things")
    refined = [f"gates.{it}.{name}" for it, name in asked.cells(action)]
    if refined:
        return in_part(refined, f"only a part of `{action}` is gated")
    if asked.policy.not_governed[action].startswith(_REPORT):
        return in_part([f"not_governed.{action}"], f"`{action}` is reported on, and never held")
    return missing(f"`{action}` is left open")


def _named_case(asked: Asked, name: str) -> bool:
    """Whether a threshold is a capability and something else, both needed."""
    expr = asked.policy.thresholds[name].reached_when
    while isinstance(expr, Ref):
        expr = asked.policy.thresholds[expr.threshold].reached_when
    return isinstance(expr, AtLeast) and expr.count > 1 and not asked.numbered(expr)


def stop_condition(asked: Asked) -> Answer:
    """Whether a measured capability stops training."""
    cells = asked.cells("scale")
    shown = [it for it in cells if asked.numbered(asked.policy.thresholds[it[1]].reached_when)]
    left = asked.judged(asked.thresholds("scale"))
    clauses = [f"gates.{action}.{name}" for action, name in shown]
    if not clauses and not left:
        return missing("no threshold on a capability stands at `scale`")
    if not left:
        return met(clauses)
    said = [f"gates.{action}.{name}" for action, name in cells if (action, name) not in shown]
    return in_part([*clauses, *said], f"somebody judges when {listing(left)} is reached, by no measured level")


def resume_condition(asked: Asked) -> Answer:
    """Whether every pause of training says what evidence would end it."""
    aimed, stuck, by_word, undefined = list[str](), list[str](), list[str](), list[str]()
    for action, name in asked.pauses("scale"):
        path, cell = f"gates.{action}.{name}", asked.policy.gates[action][name]
        blocks = asked.ways.required(name, cell)
        if of_kind(blocks, "other"):
            stuck.append(path)
            continue
        if any(not isinstance(it, Approved | Combined) for _, it in asked.required(action, name)):
            aimed.append(path)
        if of_kind(blocks, "explicit"):
            undefined.append(path)
        if all(_by_word(asked, it) for it in cell.requires):
            by_word.append(path)
    endless = [path for path in asked.found("stop-without-resume") if path.startswith("on_hold.")]
    told = {
        f"nothing that {listing(stuck)} asks for can be met": stuck,
        f"an approval alone opens {listing(by_word)}": by_word,
        f"{listing(undefined)} opens only once the policy defines its next level": undefined,
        f"nothing ends what {listing(endless)} stops": endless,
    }
    lacks = "; ".join(text for text, paths in told.items() if paths)
    if not aimed:
        return missing(lacks or "no pause at `scale` says what would end it")
    return in_part(aimed, lacks) if lacks else met(aimed)


def _by_word(asked: Asked, name: str) -> bool:
    """Whether approvals alone meet a requirement."""
    it = asked.policy.requirements[name]
    if isinstance(it, Combined):
        return sum(_by_word(asked, part) for part in it.of) >= it.count
    return isinstance(it, Approved)


def response(asked: Asked) -> Answer:
    """Whether something is stopped or locked when a threshold holds training."""
    return each(
        ((name, _stops(asked, {"scale", action, name, *asked.policy.gates[action][name].requires}))
         for action, name in asked.cells("scale")),
        lacks="nothing is stopped or locked when {names} holds `scale`",
        none="nothing holds `scale`",
    )  # fmt: skip


def _stops(asked: Asked, causes: set[str]) -> list[str]:
    return [
        f"on_hold.{cause}.{index}"
        for cause, responses in asked.policy.on_hold.items()
        for index, it in enumerate(responses)
        if cause in causes and it.do in STOPS and it.modality in BINDING
    ]


# -- the last gate, and open weights


def explicit_hole(asked: Asked) -> Answer:
    """Whether a takeover threshold stands at every gate with a hole, or with what fills it."""
    takeover = [(a, name) for a, name in asked.cells() if asked.policy.thresholds[name].takeover_potential]
    soft = [path for path in asked.found("no-explicit-hole") if path.startswith("gates.")]
    hard = [path for path in (f"gates.{action}.{name}" for action, name in takeover) if path not in soft]
    holes = [f"requirements.{name}" for name, it in asked.view.needed.items() if isinstance(it, Hole)]
    holes += [f"thresholds.{it.name}" for it in asked.view.governing if it.hole]
    undefined = [name for name, it in asked.view.needed.items() if isinstance(it, Defined) and asked.ways.met(name)]
    holes += [f"requirements.{name}" for name in undefined]
    if not hard and not holes:
        return missing("nothing is left as a hole for what nobody can show yet")
    if not hard:
        return in_part(holes, "no hole stands at a threshold with `takeover_potential`")
    lacks = [f"evidence about behaviour opens {listing(soft)}"] if soft else []
    if asked.found("takeover-unlisted"):
        lacks.append("the takeover threshold does not stand at every gate")
    return in_part([*hard, *holes], "; ".join(lacks)) if lacks else met([*hard, *holes])


def last_gate(asked: Asked) -> Answer:
    """Whether only understanding lets a model that could take over train on, and no exception goes round that."""
    soft = asked.found("no-explicit-hole")
    hard = [
        (action, name)
        for action, name in asked.cells()
        if asked.policy.thresholds[name].takeover_potential and f"gates.{action}.{name}" not in soft
    ]
    if not hard:
        return missing("no threshold with `takeover_potential` waits for understanding, or for a hole to be filled")
    here = [it for it in hard if it[0] == "scale"]
    round_it = [f"gates.{action}.{name}" for action, name in here or hard if _excused(asked, action, name)]
    lacks = [] if here else ["it does not stand at `scale`"]
    lacks += [f"an exception goes round {listing(round_it)}"] if round_it else []
    clauses = [f"gates.{action}.{name}" for action, name in here or hard]
    return in_part(clauses, "; ".join(lacks)) if lacks else met(clauses)


def _excused(asked: Asked, action: str, name: str) -> bool:
    """Whether an exception can stand in for something that a cell requires."""
    excused = asked.ways.excused(asked.policy.gates[action][name])
    return any(it in excused for it, _ in asked.required(action, name))


def understood(asked: Asked) -> Answer:
    """Whether a takeover threshold waits for a measure of understanding."""
    filled, holes = list[str](), list[str]()
    for action, name in asked.cells():
        if asked.policy.thresholds[name].takeover_potential:
            for part, it in asked.required(action, name):
                if isinstance(it, Measured) and all(m.kind == "understanding" for m in asked.view.plain(it.measure)):
                    filled.append(f"requirements.{part}")
                elif isinstance(it, Hole):
                    holes.append(f"requirements.{part}")
    if filled:
        return met(filled)
    lacks = "what would show it is a hole; no measure of understanding fills it"
    return in_part(holes, lacks) if holes else missing("no threshold with `takeover_potential` waits for understanding")


def open_weights(asked: Asked) -> Answer:
    """Whether every line of the closed release has a stricter one at the release of weights."""
    opened = asked.cells("release-weights")
    clauses = [f"gates.{action}.{name}" for action, name in opened]
    if not opened or not asked.policy.gates.get("release-weights"):
        return gated(asked, "release-weights")
    gates = Gates(asked.view, asked.ways, "release-weights", "deploy-api")
    ranks = {name: match.rank for name, match in gates.compared()}
    equal = [name for name, it in ranks.items() if it is Rank.EQUAL and not gates.lowered(name)]
    stricter = [name for name, it in ranks.items() if it in {Rank.EQUAL, Rank.STRICTER} and name not in equal]
    same = [name for name in equal if not stricter or not last(asked.view, name)]
    looser = [name for name, it in ranks.items() if it in {Rank.MISSING, Rank.LOOSER}]
    unclear = [name for name, it in ranks.items() if it is Rank.UNCLEAR]
    if ranks and len(looser) == len(ranks):
        return missing(f"open weights pass more easily than the API at {listing(looser)}")
    told = {
        f"open weights pass more easily than the API at {listing(looser)}": looser,
        f"{listing(same)} is the same line at both": same,
        f"{listing(unclear)} cannot be compared": unclear,
    }
    lacks = [text for text, names in told.items() if names]
    return in_part(clauses, "; ".join(lacks)) if lacks else met(clauses)
