"""What a rule, a threshold's `rule_out` or a measured requirement's, must be for what it measures.

It can be met at all: the level lies inside the measure's range, above what the buffer keeps free. It asks for
elicitations that can show what they are asked to show, and what each takes for granted is defined and vouched for by
somebody else than who runs the evaluations.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.policy._scalar import exact
from interlock.policy._structure.parts import Parts, Path, Problem, located, mention, mentioned_kinds, mentions
from interlock.policy.model import (
    ASSUMED,
    ASSUMED_OF_PROPENSITY,
    NO_CONFIDENCE,
    RULE_FIELDS,
    TRAINED,
    At,
    Demand,
    Mean,
    Measure,
    Measured,
    RuleOut,
    Threshold,
    Unbounded,
    UnderReference,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def taken_for_granted(rule: RuleOut, measures: tuple[Measure, ...]) -> dict[str, tuple[int, str]]:
    """The assumptions of a rule's demands on some measures: the place of the first demand that makes each, and why."""
    found: dict[str, tuple[int, str]] = {}
    for place, demand in enumerate(rule.elicitation):
        for measure in measures:
            if measure.kind == "propensity":
                needed, why = ASSUMED_OF_PROPENSITY, f"measure `{measure.name}` of a propensity"
            else:
                needed, why = ASSUMED[demand.elicitation], f"elicitation `{demand.elicitation}`"
            for assumption in needed:
                found.setdefault(assumption, (place, why))
    return found


def measured_by(parts: Parts, owner: Threshold | Measured) -> tuple[Measure, ...]:
    """The measures that are run for a threshold's rule, or a requirement's, as far as they can be read."""
    if isinstance(owner, Measured):
        return parts.plain(owner.measure)
    reference = [way.on for way in owner.below_if if isinstance(way, UnderReference)]
    names = dict.fromkeys((*owner.measures, *(name for on in reference for name in on)))
    return tuple({measure.name: measure for name in names for measure in parts.plain(name)}.values())


def assumed_by(parts: Parts, owner: Threshold | Measured) -> tuple[str, ...]:
    """Every assumption on which being under the rule of a threshold or requirement rests."""
    if owner.rule_out is None:
        return ()
    granted = taken_for_granted(owner.rule_out, measured_by(parts, owner))
    return tuple(dict.fromkeys((*granted, *owner.rule_out.assumes)))


def check_rules(parts: Parts) -> Iterator[Problem]:
    """Everything wrong with the rules."""
    for owner, path, rule_path in _owners(parts):
        if owner.rule_out is not None:
            yield from _fields(parts, owner, owner.rule_out, rule_path)
            yield from _mentions(parts, owner.rule_out, rule_path)
            yield from _buffer(owner.rule_out, (*rule_path, "buffer"))
            yield from _demands(parts, owner, owner.rule_out, rule_path)
        for at, measure, level in _levels(owner, path):
            yield from mention(parts, "measures", measure, at)
            yield from _level(parts, owner, measure, level, at=at, rule_path=rule_path)
    yield from _vouched(parts)


def useless(threshold: Threshold, field: str, path: Path) -> Problem:
    """What is wrong with a field of a rule at `path` that nothing about the threshold would be decided by."""
    uses = " and ".join(f"`{it}`" for it in sorted(threshold.uses))
    why = f"threshold `{threshold.name}` measures nothing itself, and nothing would be decided by the rest"
    return Problem(path, f"expected {uses} at the most, got `{field}`; {why}", at_key=True)


def useless_rule(threshold: Threshold, path: Path) -> Problem:
    """What is wrong with a rule at `path` by which nothing about the threshold would be decided."""
    return Problem(
        path, f"threshold `{threshold.name}` has no measure to rule out; expected no `rule_out`", at_key=True
    )


def _measures(owner: Threshold | Measured) -> bool:
    """Whether a rule is used whole."""
    return isinstance(owner, Measured) or owner.uses == RULE_FIELDS


def _fields(parts: Parts, owner: Threshold | Measured, rule: RuleOut, path: Path) -> Iterator[Problem]:
    """A rule asks for what it can ask, and, where something is measured, for a confidence and whoever runs it."""
    if isinstance(owner, Threshold) and not owner.uses:
        yield useless_rule(owner, path)
    elif isinstance(owner, Threshold) and owner.uses != RULE_FIELDS:
        yield from (useless(owner, field, (*path, field)) for field in _asked(parts, rule) if field not in owner.uses)
    else:
        if rule.confidence == NO_CONFIDENCE:
            got = exact(rule.confidence)
            yield Problem((*path, "confidence"), f"expected a confidence above 0.5 and below 1, got `{got}`")
        if not rule.run_by:
            yield Problem((*path, "run_by"), "expected a role that runs the evaluations, got none")


def _asked(parts: Parts, rule: RuleOut) -> list[str]:
    """The fields of a rule that ask for something."""
    buffer = rule.buffer
    asked = {
        "confidence": rule.confidence != NO_CONFIDENCE,
        "elicitation": bool(rule.elicitation),
        "buffer": bool(buffer.margin or buffer.items or buffer.forecast_by or buffer.period),
        "coverage": rule.coverage != 1,
        "run_by": bool(rule.run_by),
        "assumes": bool(rule.assumes),
        "refresh": parts.refresh is not None and rule.refresh != parts.refresh,
    }
    return [field for field, given in asked.items() if given]


def _owners(parts: Parts) -> Iterator[tuple[Threshold | Measured, Path, Path]]:
    """Whatever has a rule, where it is written, and where its rule is."""
    for name, threshold in parts.thresholds.items():
        yield threshold, ("thresholds", name), ("thresholds", name, "rule_out")
    for name, requirement in parts.requirements.items():
        if isinstance(requirement, Measured):
            yield requirement, ("requirements", name), ("requirements", name)


def _levels(owner: Threshold | Measured, path: Path) -> Iterator[tuple[Path, str, Fraction]]:
    if isinstance(owner, Measured):
        yield (*path, "measured"), owner.measure, owner.level
    elif owner.reached_when is not None:
        for at, part, _ in located(owner.reached_when, (*path, "reached_when")):
            if isinstance(part, At):
                yield at, part.measure, part.level


def _mentions(parts: Parts, rule: RuleOut, path: Path) -> Iterator[Problem]:
    yield from mention(parts, "roles", rule.run_by, (*path, "run_by"))
    yield from mention(parts, "roles", rule.buffer.forecast_by, (*path, "buffer", "forecast_by"))
    yield from mention(parts, "roles", rule.refresh.discretion, (*path, "refresh", "discretion"))
    yield from mentioned_kinds(parts, rule.refresh.events, (*path, "refresh", "events"))
    yield from mentions(parts, "assumptions", rule.assumes, (*path, "assumes"))


def _buffer(rule: RuleOut, path: Path) -> Iterator[Problem]:
    buffer = rule.buffer
    total = sum(buffer.items.values(), Fraction(0))
    if bool(buffer.forecast_by) is (buffer.fresh_for is None):
        yield Problem((*path, "fresh_for"), "expected `forecast_by` and `fresh_for` together, got one of them")
    if buffer.forecast_by and (buffer.margin or buffer.items):
        yield Problem((*path, "margin"), "expected no margin beside `forecast_by`, got one")
    if buffer.items and total != buffer.margin:
        yield Problem(
            (*path, "margin"), f"expected the sum of its items, `{exact(total)}`, got `{exact(buffer.margin)}`"
        )


# -- demands -----------------------------------------------------------------------------------------------------------


def _demands(parts: Parts, owner: Threshold | Measured, rule: RuleOut, path: Path) -> Iterator[Problem]:
    path = (*path, "elicitation")
    if not rule.elicitation and _measures(owner):
        yield Problem(path, "expected at least one elicitation, got an empty list")
    measures = measured_by(parts, owner)
    first = {demand: place for place, demand in reversed(list(enumerate(rule.elicitation)))}
    for place, demand in enumerate(rule.elicitation):
        at = (*path, place)
        if first[demand] < place:
            yield Problem(at, f"elicitation `{demand.elicitation}` is listed twice")
        if demand.elicitation == "fine-tuned" and demand.demonstrations < 1:
            yield Problem(at, "elicitation `fine-tuned` needs `demonstrations` of at least 1, got `0`")
        for measure in measures:
            yield from _suited(demand, measure, at)
    defined = parts.known("assumptions")
    for assumption, (place, why) in taken_for_granted(rule, measures).items():
        if defined is not None and assumption not in defined:
            yield Problem(
                (*path, place), f"{why} takes `{assumption}` for granted, which is not defined under `assumptions`"
            )


def _suited(demand: Demand, measure: Measure, at: Path) -> Iterator[Problem]:
    """The elicitation can show what the measure is about."""
    if measure.kind == "propensity" and demand.elicitation in TRAINED:
        yield Problem(
            at,
            f"elicitation `{demand.elicitation}` shows nothing about measure `{measure.name}` of a propensity, which "
            f"training changes; expected an elicitation without training",
        )
    elif measure.kind == "understanding" and demand.elicitation != "understanding-based":
        yield Problem(
            at,
            f"expected elicitation `understanding-based` for measure `{measure.name}` of understanding, "
            f"got `{demand.elicitation}`",
        )
    elif measure.kind != "understanding" and demand.elicitation == "understanding-based":
        yield Problem(
            at,
            f"elicitation `understanding-based` needs a measure of understanding, "
            f"got measure `{measure.name}` of kind `{measure.kind}`",
        )


def _vouched(parts: Parts) -> Iterator[Problem]:
    """Nobody vouches for their own evaluations: who stands for an assumption shares no key with who relies on it."""
    relies: dict[str, dict[str, str]] = {}
    for owner, path, _ in _owners(parts):
        kind = "threshold" if path[0] == "thresholds" else "requirement"
        if owner.rule_out is not None:
            for name in assumed_by(parts, owner):
                relies.setdefault(name, {}).setdefault(owner.rule_out.run_by, f"{kind} `{owner.name}`")
    for name, assumption in parts.assumptions.items():
        for role, user in relies.get(name, {}).items():
            if parts.shared(assumption.by, role):
                yield Problem(
                    ("assumptions", name, "by" if assumption.checked else "stated_by"),
                    f"expected a role that shares no key with `{role}`, which runs the evaluations of {user} that rely "
                    f"on this, got `{assumption.by}`",
                )


# -- levels ------------------------------------------------------------------------------------------------------------


def _level(
    parts: Parts, owner: Threshold | Measured, name: str, level: Fraction, *, at: Path, rule_path: Path
) -> Iterator[Problem]:
    """The level lies in the measure's range, and some result could put the measure under it."""
    measure = parts.measures.get(name)
    if measure is None:
        return
    if not isinstance(measure, (Measure, Mean)):
        got = "a quantity without bounds" if isinstance(measure, Unbounded) else "a ratio of compute"
        yield Problem(at, f"expected a measure with a range, got `{name}`, {got}")
        return
    weights = measure.weights if isinstance(measure, Mean) else {name: Fraction(1)}
    bases = parts.plain(name)
    if len(bases) < len(weights) or len({base.danger for base in bases}) != 1:
        return
    low, high, saturated = (
        sum((weights[base.name] * end for base, end in zip(bases, ends, strict=True)), Fraction(0))
        for ends in zip(*((base.low, base.high, _saturated(base)) for base in bases), strict=True)
    )
    if not low <= level <= high:
        yield Problem(
            at,
            f"expected a level in the range of measure `{name}`, `{exact(low)}` to `{exact(high)}`, "
            f"got `{exact(level)}`",
        )
        return
    if level > saturated:
        yield Problem(
            at,
            f"measure `{name}` says nothing from `{exact(saturated)}` on (`valid_below`); expected a level of at most "
            f"that, got `{exact(level)}`",
        )
    safe = low if bases[0].danger == "higher" else high
    room, margin = abs(level - safe), owner.rule_out.buffer.margin if owner.rule_out else Fraction(-1)
    if margin >= room:
        subject, verb = ("requirement", "met") if isinstance(owner, Measured) else ("threshold", "ruled out")
        yield Problem(
            (*rule_path, "buffer", "margin"),
            f"{subject} `{owner.name}` could never be {verb}: expected a margin below `{exact(room)}`, the distance of "
            f"its level `{exact(level)}` from `{exact(safe)}`, got `{exact(margin)}`",
        )


def _saturated(measure: Measure) -> Fraction:
    return measure.high if measure.valid_below is None else measure.valid_below
