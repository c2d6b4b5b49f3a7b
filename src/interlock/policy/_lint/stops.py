"""Checks of what a policy stops, of what would lift the stop, and of the holes that it leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.policy._lint.view import Hit, by_message, leaves, listing
from interlock.policy._lint.ways import Block, Blocks, of_kind
from interlock.policy.model import (
    At,
    Combined,
    Defined,
    Hole,
    Measured,
    Never,
    Ref,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction

    from interlock.policy._lint.view import View
    from interlock.policy._lint.ways import Ways
    from interlock.policy.duty import Response
    from interlock.policy.model import Cell, Requirement, Threshold

#: What a response stops, so that something must say when it goes on. The others are done once, or are no stop.
_STOPS = frozenset(
    {
        "pause-training",
        "cap-next-scale-up",
        "hold-development",
        "restrict-weight-access",
        "restrict-customers",
        "halt-new-customers",
        "lock-weights",
        "de-deploy",
    }
)


def stop_without_resume(view: View, ways: Ways) -> Iterator[Hit]:
    """Cells that nothing can ever open, or whose requirements cannot be met, without a word about it."""
    found = []
    for action, name, cell in view.cells:
        required, below = ways.required(name, cell), ways.below(name)
        explicit, other = of_kind(required, "explicit"), of_kind(required, "other")
        if explicit and not of_kind(below, "explicit") and (why := of_kind(below, "other")):
            message = f"nothing ever opens {{names}}: {explicit[0].text}, and {_texts(why)}; "
            found.append(
                (f"gates.{action}.{name}", f"{action}.{name}", message + "make the threshold one that can be ruled out")
            )
        elif other and not explicit:
            message = f"what {{names}} requires can never be met: {_texts(other)}; change it, or write a hole"
            found.append((f"gates.{action}.{name}", f"{action}.{name}", message))
    yield from by_message(found)
    yield from _responses(view, ways)


def _responses(view: View, ways: Ways) -> Iterator[Hit]:
    """Responses that stop something for a threshold at which no gate says what would let it go on."""
    for name, responses in view.policy.on_hold.items():
        threshold = view.policy.thresholds.get(name)
        if threshold is None or any(other in {name, threshold.alert_for} for _, other, _ in view.cells):
            continue
        only_reached = [it for it in responses if it.do in _STOPS and it.when == ("reached",)]
        for_good = [it for it in responses if it.do in _STOPS] if ways.below(name) else only_reached
        if for_good and not threshold.hole:
            yield Hit(
                f"on_hold.{name}",
                f"{_done(for_good)} at `{name}` has no end: no gate lists what would let it go on once the threshold "
                f"is reached; let it gate with requirements (`role: gate`), or use `halt-until-standard`",
            )


def stop_until_amended(view: View, ways: Ways) -> Iterator[Hit]:
    """Cells that list a hole or `never`: stops, not pauses, and meant to be."""
    groups: dict[tuple[str, str], list[str]] = {}
    for action, name, cell in view.cells:
        if explicit := of_kind(ways.required(name, cell), "explicit"):
            groups.setdefault((name, _texts(explicit)), []).append(action)
    for (name, why), actions in groups.items():
        gates, stopped = listing(actions), _stopped(view, ways, name)
        if of_kind(ways.below(name), "explicit"):
            head = f"nothing opens {gates}: {why}"
        else:
            head = f"only ruling `{name}` out opens {gates}: {why}"
        tail = f"; {stopped} lasts as long" if stopped else ""
        yield Hit(f"gates.{actions[0]}.{name}", f"{head}; otherwise a stop until amended{tail}")
    for name, responses in view.policy.on_hold.items():
        threshold = view.policy.thresholds.get(name)
        stops = [it for it in responses if it.do in _STOPS]
        if threshold and threshold.hole and stops and not any(other == name for _, other, _ in view.cells):
            yield Hit(f"on_hold.{name}", f"{_done(stops)} is a stop until amended: `{name}` is a hole")


def _stopped(view: View, ways: Ways, name: str) -> str:
    """What is stopped meanwhile, if no gate says what would let it go on."""
    if not all(of_kind(ways.required(name, cell), "explicit") for _, other, cell in view.cells if other == name):
        return ""
    stops = [it for it in view.policy.on_hold.get(name, ()) if it.do in _STOPS]
    return _done(stops) if stops else ""


def _done(responses: list[Response]) -> str:
    return listing(it.do for it in responses)


def _texts(blocks: list[Block]) -> str:
    return ", ".join(block.text for block in blocks)


def role_without_keys(view: View, ways: Ways) -> Iterator[Hit]:
    """Roles that nobody can sign for, and what waits for them."""
    waiting: dict[str, list[str]] = {}
    for action, name, cell in view.cells:
        required, below = ways.required(name, cell), ways.below(name)
        for block in _waits(required) | _waits(below):
            waiting.setdefault(block.name, []).append(f"{action}.{name}")
    policy = view.policy
    signed = {"permits": (policy.permits.issued_by,), "amendments": policy.amendments.approved_by}
    for what, roles in signed.items():
        for role in roles:
            if not policy.roles[role].keys:
                waiting.setdefault(role, []).append(what)
    for role in sorted(waiting):
        yield Hit(
            f"roles.{role}",
            f"role `{role}` has no keys, and {listing(waiting[role])} cannot do without its signature; "
            f"give it keys, or name another role",
        )


def _waits(blocks: Blocks) -> set[Block]:
    """The roles that stand in the way, unless something that no key helps against does too."""
    return set(of_kind(blocks, "keys")) if all(block.kind == "keys" for block in blocks) else set()


def never_ruled_out(view: View, ways: Ways) -> Iterator[Hit]:
    """Thresholds that no evidence puts below, though nobody says so."""
    for threshold in view.governing:
        blocks = ways.below(threshold.name)
        if (why := of_kind(blocks, "other")) and not of_kind(blocks, "explicit"):
            yield Hit(
                f"thresholds.{threshold.name}",
                f"`{threshold.name}` can never be ruled out: {_texts(why)}; let that be one that can be shown",
            )


def no_gate_on_scale(view: View, _ways: Ways) -> Iterator[Hit]:
    """Policies that do not stop training."""
    if source := view.policy.not_governed.get("scale"):
        yield Hit("not_governed.scale", f"training further is left open (`{source}`); gate `scale` as well")


def no_gate_on_internal_use(view: View, _ways: Ways) -> Iterator[Hit]:
    """Policies that leave use inside the developer open."""
    if source := view.policy.not_governed.get("deploy-internal"):
        yield Hit("not_governed.deploy-internal", f"internal use is left open (`{source}`); gate `deploy-internal`")


def open_weights_left_open(view: View, _ways: Ways) -> Iterator[Hit]:
    """Policies that gate the closed release and not the open one."""
    gated = {action for action, _, _ in view.cells}
    source = view.policy.not_governed.get("release-weights")
    if source and "deploy-api" in gated:
        yield Hit(
            "not_governed.release-weights",
            f"`deploy-api` is gated and `release-weights` is left open (`{source}`): what the closed gate holds may be "
            f"let out as weights; gate it, lower than `deploy-api`",
        )


# -- holes


def no_explicit_hole(view: View, _ways: Ways) -> Iterator[Hit]:
    """Policies that say nowhere what they cannot say yet."""
    takeover = [it for it in view.governing if it.takeover_potential]
    holes = [name for name, it in view.needed.items() if isinstance(it, Hole) or _undefined(view, it)]
    if not takeover and not holes and not any(it.hole for it in view.governing):
        yield Hit(
            "thresholds",
            "no threshold has `takeover_potential` and nothing is left as a hole; list a takeover threshold at every "
            "gate, with a hole as its requirement",
        )
    for action, name, cell in view.cells:
        if view.policy.thresholds[name].takeover_potential and not _hard(view, name, cell):
            yield Hit(
                f"gates.{action}.{name}",
                f"`{action}` lets `{name}` through on evidence about behaviour; list a hole, or an `understanding` "
                f"measure that fills it",
            )


def _undefined(view: View, requirement: Requirement) -> bool:
    """Whether a requirement waits for a threshold that nobody has defined yet, and blocks as a hole does."""
    if not isinstance(requirement, Defined):
        return False
    threshold = view.policy.thresholds.get(requirement.threshold)
    return threshold is None or threshold.hole


def _hard(view: View, name: str, cell: Cell) -> bool:
    """Whether a takeover cell needs understanding, or is shut until somebody says what would show it."""
    deep = [view.policy.requirements[part] for listed in cell.requires for part in view.within(listed)]
    filled = any(
        isinstance(it, Measured) and all(part.kind == "understanding" for part in view.plain(it.measure)) for it in deep
    )
    return filled or view.policy.thresholds[name].hole or any(isinstance(it, Hole | Never) for it in deep)


def takeover_unlisted(view: View, _ways: Ways) -> Iterator[Hit]:
    """Gates at which no takeover threshold stands, though the policy has one."""
    takeover = {name for name, it in view.policy.thresholds.items() if it.takeover_potential}
    listed: dict[str, set[str]] = {}
    for action, name, _ in view.cells:
        listed.setdefault(action, set()).add(name)
    bare = [
        action
        for action, names in listed.items()
        if takeover and not takeover & {part for name in names for part in _parts(view, name)}
    ]
    if bare:
        yield Hit(
            f"gates.{bare[0]}",
            f"{listing(sorted(takeover))} does not stand at {listing(bare)}; list it at every gate",
        )


def _parts(view: View, name: str) -> set[str]:
    found, left = set[str](), [name]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += refs(view.policy.thresholds[one])
    return found


def refs(threshold: Threshold) -> list[str]:
    """The thresholds that one is made of."""
    parts = walk(threshold.reached_when) if threshold.reached_when else ()
    return [part.threshold for part in parts if isinstance(part, Ref)]


def ladder_without_next(view: View, ways: Ways) -> Iterator[Hit]:
    """Ladders whose highest level is defined, with nothing above it: neither a next level, nor a hole, nor a stop."""
    lower = {name for it in view.policy.thresholds.values() for name in it.above}
    for top in view.governing:
        if top.above and top.name not in lower and not _capped(view, ways, top):
            yield Hit(
                f"thresholds.{top.name}",
                f"nothing stands above `{top.name}`, the highest of its ladder; add the next level, as a hole "
                f"(`on: unspecified`) if nobody can define it yet",
            )


def _capped(view: View, ways: Ways, top: Threshold) -> bool:
    if top.hole or top.takeover_potential:
        return True
    cells = [(action, cell) for action, name, cell in view.cells if name == top.name]
    scale = [cell for action, cell in cells if action == "scale"] or [cell for _, cell in cells]
    if scale and all(of_kind(ways.required(top.name, cell), "explicit") for cell in scale):
        return True
    deep = [view.policy.requirements[part] for _, cell in cells for name in cell.requires for part in view.within(name)]
    return any(isinstance(it, Defined) for it in deep) or any(
        (it.hole or it.takeover_potential) and _over(it, top) for it in view.governing
    )


def _over(one: Threshold, top: Threshold) -> bool:
    """Whether a threshold is about the same as the ladder: its domain, or one of its measures."""
    shared = {at.measure for at in leaves(one.reached_when)} & {at.measure for at in leaves(top.reached_when)}
    return bool(shared) or (bool(top.domain) and one.domain == top.domain) or not (one.domain or one.measures)


def hole_without_owner(view: View, _ways: Ways) -> Iterator[Hit]:
    """Holes that nobody can fill."""
    for name, it in view.needed.items():
        if isinstance(it, Hole) and not view.policy.roles[it.owner].keys:
            yield Hit(f"requirements.{name}", f"`{name}` is owned by `{it.owner}`, which has no keys; name another")


def hole_past_review(view: View, _ways: Ways) -> Iterator[Hit]:
    """Holes that were to be looked at by now."""
    for name, it in view.needed.items():
        if isinstance(it, Hole) and view.at is not None and it.review < view.at:
            yield Hit(
                f"requirements.{name}",
                f"the review of `{name}` was due on {it.review:%Y-%m-%d}; fill the hole, or amend with a new date",
            )


# -- cells that decide nothing


def always_open(view: View, ways: Ways) -> Iterator[Hit]:
    """Cells whose requirements the policy's own text meets."""
    for action, name, cell in view.cells:
        if all(_given(view, it) for it in cell.requires) and not ways.evaluated(name):
            yield Hit(
                f"gates.{action}.{name}",
                f"{listing(cell.requires)} is met by the policy's own text, so {action}.{name} never holds once "
                f"`{name}` is evaluated; list something that must be shown",
            )


def _given(view: View, name: str) -> bool:
    it = view.policy.requirements[name]
    if isinstance(it, Combined):
        return sum(_given(view, part) for part in it.of) >= it.count
    defined = view.policy.thresholds.get(it.threshold) if isinstance(it, Defined) else None
    return defined is not None and not defined.hole


def dead_cell(view: View, _ways: Ways) -> Iterator[Hit]:
    """Cells that open whenever another one at the same gate does, whatever is measured."""
    rungs = {name for it in view.policy.thresholds.values() for name in it.above}  # reached with a higher one
    alike: dict[object, list[_Drawn]] = {}
    for drawn in sorted(_drawn(view), key=lambda it: it.line):
        alike.setdefault(drawn.by, []).append(drawn)
    for action, name, cell in view.cells:
        threshold = view.policy.thresholds[name]
        deep = [view.policy.requirements[part] for it in cell.requires for part in view.within(it)]
        if name in rungs or threshold.takeover_potential or any(isinstance(it, Hole) for it in deep):
            continue  # said on purpose
        own = _line_of(view, action, threshold, cell)
        other = next((it for it in alike.get(own.by, ()) if own.opens_with(it)), None) if own else None
        if other is not None:
            yield Hit(
                f"gates.{action}.{name}",
                f"{action}.{name} never decides: it opens whenever {action}.{other.name} does, which has the lower "
                f"level and asks for no less; ask for more there, or drop the cell",
            )


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A cell whose threshold is one line on one measure: by what it is drawn, where, and what the cell asks for."""

    name: str
    by: tuple[object, ...]
    line: Fraction
    requires: frozenset[str]

    def opens_with(self, stricter: _Drawn) -> bool:
        """Whether this cell opens whenever the stricter one does: a lower line, and all requirements."""
        return self.requires <= stricter.requires and stricter.line < self.line


def _drawn(view: View) -> Iterator[_Drawn]:
    for action, name, cell in view.cells:
        found = _line_of(view, action, view.policy.thresholds[name], cell)
        if found is not None:
            yield found


def _line_of(view: View, action: str, threshold: Threshold, cell: Cell) -> _Drawn | None:
    at, rule = threshold.reached_when, threshold.rule_out
    if not isinstance(at, At) or threshold.judged or threshold.below_if or rule is None or rule.buffer.forecast_by:
        return None
    by = (action, at.measure, rule.confidence, rule.elicitation, rule.coverage, rule.run_by, rule.assumes, rule.refresh)
    return _Drawn(threshold.name, by, view.line(at, rule), frozenset(cell.requires))


def unreachable(view: View, _ways: Ways) -> Iterator[Hit]:
    """Levels that no result can show to be reached."""
    for threshold in view.governing:
        for at in leaves(threshold.reached_when):
            scale = view.scale(at.measure)
            if scale.turned(at.level) >= scale.high:
                yield Hit(
                    f"thresholds.{threshold.name}",
                    f"no result can show `{threshold.name}` to be reached: its level is the last of the range of "
                    f"`{at.measure}`, which no number of samples shows; {'raise' if scale.flipped else 'lower'} it",
                )
