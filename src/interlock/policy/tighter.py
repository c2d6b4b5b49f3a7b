"""Whether a new version of a policy only tightens an earlier one, or fills its holes.

Guarantees: `loosened` is empty only if everything that the earlier version asks for, the new one asks for too, or more:
levels no higher, confidence the same, nothing left out of a gate, no new way round. It compares field by field and
knows, of some, which way is tighter; in all others any difference counts as loosening, and so does every field that
does not exist yet. What it cannot show to be tighter it names. A hole may become anything, but nothing may become a
hole, since that could be filled by something easier afterwards.

Some of what asks for more also lets something through, and counts as loosening for that (rules of docs/semantics.md):
more confidence (what is found on kin shows less: 8), another elicitation (it may be the one that ends `overdue`: 28),
a way round that is gone (what is against a requirement spreads along it: 34), fewer results of the subject that another
is compared with (26), fewer who run evaluations and also state what these assume (16).

Prose that decides nothing (titles, sources, who might do harm and how) may change freely. Not compared is what a
signature does that nobody needs: a key that is gone also takes nothing back any more, as decision record 0021 has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from interlock.policy.model import (
    ASSUMED,
    ASSUMED_OF_PROPENSITY,
    Amount,
    At,
    AtLeast,
    Combined,
    Defined,
    Hole,
    Mean,
    Measure,
    Measured,
    Never,
    UnderQuantity,
    UnderReference,
)
from interlock.policy.time import sometimes_longer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from interlock.policy.model import (
        AnyMeasure,
        Assumption,
        Demand,
        ExceptionRule,
        Expr,
        Policy,
        Refresh,
        Requirement,
        Role,
        RuleOut,
        Threshold,
    )
    from interlock.policy.time import Duration

T = TypeVar("T")

#: Fields that decide nothing, wherever they stand.
_PROSE = frozenset({"sources", "source", "title", "items", "claim", "argument", "doubt"})
_PROSE |= {"domain", "rung", "threat_models", "version", "effective", "supersedes", "attacker_budget_source", "context"}


def loosened(versions: Sequence[Policy], new: Policy) -> tuple[str, ...]:
    """What in a new version is not shown to be at least as strict as in the latest of the earlier ones; empty: it only
    tightens.
    """
    return tuple(dict.fromkeys([*_policy(versions[-1], new), *_brought_back(versions, new)]))


def _brought_back(versions: Sequence[Policy], new: Policy) -> Iterator[str]:
    """Thresholds and cells that an earlier version had and the latest has not. What that version saw may still hold the
    gate (rule 36 of docs/semantics.md), which the same name with easier requirements would end.
    """
    latest = versions[-1]
    for old in versions[:-1]:
        dropped = old.thresholds.keys() - latest.thresholds.keys()
        yield from (f"thresholds.{it} is brought back" for it in sorted(dropped & new.thresholds.keys()))
        for action, cells in old.gates.items():
            there, here = latest.gates.get(action, {}), new.gates.get(action, {})
            gone = (
                name for name, cell in cells.items() if cell.requires and not (name in there and there[name].requires)
            )
            yield from (f"gates.{action}.{name} is brought back" for name in gone if name in here)


def changed(old: Policy, new: Policy) -> tuple[str, ...]:
    """Every part of a policy that is not the same in two versions: `section.name`, with what happened to it."""
    return tuple(_changed(old, new))


def _changed(old: Policy, new: Policy) -> Iterator[str]:
    for name in (it.name for it in fields(old)):
        before, after = getattr(old, name), getattr(new, name)
        if not isinstance(before, Mapping):
            if before != after:
                yield f"{name} changed"
            continue
        for key in dict.fromkeys([*before, *after]):
            if before.get(key) != after.get(key):
                what = "added" if key not in before else "removed" if key not in after else "changed"
                yield f"{name}.{key} {what}"


# -- comparing ---------------------------------------------------------------------------------------------------------


def _same(where: str, old: Any, new: Any, *but: str) -> Iterator[str]:  # noqa: ANN401  any two records
    """Every field that differs, beside `but`, which the caller compares, and prose."""
    if type(old) is not type(new):
        yield f"{where} is of another kind"
        return
    for name in (it.name for it in fields(old)):
        if name not in but and name not in _PROSE and getattr(old, name) != getattr(new, name):
            yield f"{where}.{name} changed"


def _kept(
    where: str, old: Mapping[str, T], new: Mapping[str, T], compare: Callable[[str, T, T], Iterable[str]]
) -> Iterator[str]:
    """Every entry must still be there, and be no looser."""
    for name, value in old.items():
        if name not in new:
            yield f"{where}.{name} is gone"
        elif value != new[name]:
            yield from compare(f"{where}.{name}", value, new[name])


def _all_of(where: str, old: Iterable[object], new: Iterable[object]) -> Iterator[str]:
    """The new items must be all of the old ones, and may be more."""
    if not set(old) <= set(new):
        yield f"{where} has lost an item"


def _most(where: str, old: Any, new: Any) -> Iterator[str]:  # noqa: ANN401  anything that has an order
    if new > old:
        yield f"{where} is greater"


def _least(where: str, old: Any, new: Any) -> Iterator[str]:  # noqa: ANN401  anything that has an order
    if new < old:
        yield f"{where} is less"


def _no_longer(where: str, old: Duration | None, new: Duration | None) -> Iterator[str]:
    """A length of time that ends no later; none at all is the longest."""
    if old is not None and (new is None or sometimes_longer(new, old)):
        yield f"{where} may be longer"


# -- the parts ---------------------------------------------------------------------------------------------------------

_COMPARED = (
    *("expires", "roles", "measures", "assumptions", "thresholds", "requirements", "exceptions", "gates"),
    *("not_governed", "actions", "refresh", "attacker_budget", "permits", "report_within", "on_hold", "duties"),
    "amendments",
)


def _policy(old: Policy, new: Policy) -> Iterator[str]:
    yield from _same("policy", old, new, *_COMPARED)
    if old.expires is not None and (new.expires is None or new.expires > old.expires):
        yield "expires is later"
    yield from _kept("roles", old.roles, new.roles, _role)
    yield from _fewer_runners(old, new)
    yield from _kept("measures", old.measures, new.measures, _measure)
    yield from _fewer_compared(old, new)
    yield from _kept("assumptions", old.assumptions, new.assumptions, _assumption)
    assumed = [*ASSUMED.values(), *(rule.assumes for rule in old.rules)]
    needed = {*ASSUMED_OF_PROPENSITY, *(name for names in assumed for name in names)}
    added = (new.assumptions.keys() - old.assumptions.keys()) & needed
    yield from (f"assumptions.{it} is new, and asked for" for it in sorted(added))

    def _against(where: str, before: Threshold, after: Threshold) -> Iterator[str]:
        return _threshold(where, before, after, new)

    def _asked(where: str, before: Requirement, after: Requirement) -> Iterator[str]:
        return _requirement(where, before, after, new)

    yield from _kept("thresholds", old.thresholds, new.thresholds, _against)
    yield from _kept("requirements", old.requirements, new.requirements, _asked)
    yield from _defined(old, new)
    yield from (f"exceptions.{it} is new" for it in new.exceptions.keys() - old.exceptions.keys())
    yield from _kept("exceptions", old.exceptions, new.exceptions, _exception)
    yield from _gates(old, new)
    yield from _refresh("refresh", old.refresh, new.refresh)
    yield from _least("attacker_budget", old.attacker_budget, new.attacker_budget)
    yield from _no_longer("report_within", old.report_within, new.report_within)
    yield from _permits(old, new)
    for about, answers in old.on_hold.items():
        yield from _all_of(f"on_hold.{about}", answers, new.on_hold.get(about, ()))
    yield from _kept("duties", old.duties, new.duties, lambda where, *_: [f"{where} changed"])
    yield from _amendments(old, new)
    yield from _incidents(old, new)


def _fewer_runners(old: Policy, new: Policy) -> Iterator[str]:
    """A role that runs evaluations does not state what these assume (rule 16 of docs/semantics.md). With fewer keys, or
    a greater quorum, it signs less: then whoever is in both roles may state it.
    """
    running = {rule.run_by for policy in (old, new) for rule in policy.rules}
    stating = {key for it in old.assumptions.values() if it.by in old.roles for key in old.roles[it.by].keys}
    for name in sorted(running & old.roles.keys() & new.roles.keys()):
        before, after = old.roles[name], new.roles[name]
        same = set(before.keys) == set(after.keys) and before.quorum == after.quorum
        if not same and not stating.isdisjoint(before.keys):
            yield f"roles.{name} changed, and shares a key with one that states assumptions"


def _fewer_compared(old: Policy, new: Policy) -> Iterator[str]:
    """Of the subject that another is compared with the least bound counts, of all results on the measure's samples
    (rule 26 of docs/semantics.md): of fewer results it may be greater.
    """
    ways = [way for it in new.thresholds.values() for way in it.below_if if isinstance(way, UnderReference)]
    for name in sorted({name for way in ways for name in way.on} & old.measures.keys() & new.measures.keys()):
        before, after = (getattr(one.measures[name], "samples_digest", "") for one in (old, new))
        if before != after:
            yield f"measures.{name}.samples_digest changed, and another subject is compared by it"


def _defined(old: Policy, new: Policy) -> Iterator[str]:
    """What asks for a threshold to be defined is met by one that was not there."""
    for name, it in old.requirements.items():
        if isinstance(it, Defined) and it.threshold in new.thresholds.keys() - old.thresholds.keys():
            yield f"thresholds.{it.threshold} is new, and requirements.{name} asks for it"


def _role(where: str, old: Role, new: Role) -> Iterator[str]:
    yield from _same(where, old, new, "keys", "quorum", "independent_of", "declares")
    if not set(new.keys) <= set(old.keys):
        yield f"{where}.keys has a new key"
    yield from _least(f"{where}.quorum", old.quorum, new.quorum)
    yield from _all_of(f"{where}.independent_of", old.independent_of, new.independent_of)
    yield from _all_of(f"{where}.declares", old.declares, new.declares)


def _measure(where: str, old: AnyMeasure, new: AnyMeasure) -> Iterator[str]:
    if not isinstance(old, Measure) or not isinstance(new, Measure):
        yield from _same(where, old, new)
        return
    yield from _same(where, old, new, "samples_digest", "least_samples")
    if old.samples_digest and new.samples_digest != old.samples_digest:
        yield f"{where}.samples_digest changed"
    yield from _least(f"{where}.least_samples", old.least_samples, new.least_samples)


def _assumption(where: str, old: Assumption, new: Assumption) -> Iterator[str]:
    free = ("fresh_for", "coverage", "confidence", "sharpness", "sharp_at", "least_parameters", "void_at")
    yield from _same(where, old, new, *free)
    yield from _no_longer(f"{where}.fresh_for", old.fresh_for, new.fresh_for)
    yield from _least(f"{where}.coverage", old.coverage, new.coverage)
    yield from _least(f"{where}.confidence", old.confidence, new.confidence)
    yield from _least(f"{where}.sharpness", old.sharpness, new.sharpness)
    if old.sharpness:
        yield from _most(f"{where}.sharp_at", old.sharp_at, new.sharp_at)
    yield from _least(f"{where}.least_parameters", old.least_parameters, new.least_parameters)
    yield from _all_of(f"{where}.void_at", old.void_at, new.void_at)


def _threshold(where: str, old: Threshold, new: Threshold, policy: Policy) -> Iterator[str]:
    parts = ("reached_when", "rule_out", "judged", "below_if", "takeover_potential", "above")
    yield from _same(where, old, new, *parts)
    if old.takeover_potential and not new.takeover_potential:
        yield f"{where}.takeover_potential is gone"
    yield from _all_of(f"{where}.above", old.above, new.above)
    if old.hole:
        return  # it may be filled by anything
    yield from _below_if(where, old, new)
    if old.reached_when is None or new.reached_when is None:
        yield from [f"{where}.reached_when changed"] if old.reached_when != new.reached_when else []
    else:
        yield from _expression(f"{where}.reached_when", old.reached_when, new.reached_when, policy)
    if old.judged != new.judged:
        if old.judged is None or new.judged is None:
            yield f"{where}.judged changed"
        else:
            yield from _same(f"{where}.judged", old.judged, new.judged, "on", "fresh_for")
            yield from _all_of(f"{where}.judged.on", old.judged.on, new.judged.on)
            yield from _no_longer(f"{where}.judged.fresh_for", old.judged.fresh_for, new.judged.fresh_for)
    if old.rule_out is None or new.rule_out is None:
        yield from [f"{where}.rule_out changed"] if old.rule_out != new.rule_out else []
    else:
        yield from _rule(f"{where}.rule_out", old.rule_out, new.rule_out)


def _below_if(where: str, old: Threshold, new: Threshold) -> Iterator[str]:
    """A way by a quantity may go, or be of a lower level. The others share alpha, so that all of them stay."""
    levels = {it.quantity: it.level for it in old.below_if if isinstance(it, UnderQuantity)}
    for way in new.below_if:
        if isinstance(way, UnderQuantity) and not way.level <= levels.get(way.quantity, -1):
            yield f"{where}.below_if has a wider way"
    if [it for it in old.below_if if not isinstance(it, UnderQuantity)] != [
        it for it in new.below_if if not isinstance(it, UnderQuantity)
    ]:
        yield f"{where}.below_if changed"


def _expression(where: str, old: Expr, new: Expr, policy: Policy) -> Iterator[str]:
    """No level higher; no part fewer of a combination that asks for as many of them, so that shares of alpha stay."""
    if isinstance(old, At) and isinstance(new, At) and old.measure == new.measure:
        if _safer(policy, new.measure, new.level, old.level):
            yield f"{where}: the level of `{new.measure}` is less strict"
    elif isinstance(old, Amount) and isinstance(new, Amount) and old.quantity == new.quantity:
        yield from _most(f"{where}: the level of `{new.quantity}`", old.level, new.level)
    elif isinstance(old, AtLeast) and isinstance(new, AtLeast) and old.count == new.count:
        if len(new.parts) < len(old.parts):
            yield f"{where} has lost a part"
        for one, other in zip(old.parts, new.parts, strict=False):
            yield from _expression(where, one, other, policy)
    elif isinstance(new, AtLeast) and new.count == 1:
        yield from _expression(where, old, new.parts[0], policy)  # reached by that, or by more
    elif old != new:
        yield f"{where} changed"


def _safer(policy: Policy, measure: str, new: Any, old: Any) -> bool:  # noqa: ANN401  two levels
    """Whether a level is reached by less than another: the higher one, or the lower where less is more dangerous."""
    found = policy.measures[measure]
    base = policy.measures[next(iter(found.weights))] if isinstance(found, Mean) else found
    return bool(new < old) if getattr(base, "danger", "higher") == "lower" else bool(new > old)


def _rule(where: str, old: RuleOut, new: RuleOut) -> Iterator[str]:
    # confidence works both ways: more of it rules out less, and shows less on kin
    yield from _same(where, old, new, "elicitation", "buffer", "coverage", "refresh", "assumes")
    yield from _least(f"{where}.coverage", old.coverage, new.coverage)
    for demand in old.elicitation:
        if not any(_as_hard(demand, other) for other in new.elicitation):
            yield f"{where}.elicitation asks for less than `{demand.elicitation}`"
    for demand in new.elicitation:
        if not any(_as_hard(other, demand) for other in old.elicitation):  # it alone would end `overdue`
            yield f"{where}.elicitation takes `{demand.elicitation}` too, which did not do"
    yield from _same(f"{where}.buffer", old.buffer, new.buffer, "margin", "period", "fresh_for")
    yield from _least(f"{where}.buffer.margin", old.buffer.margin, new.buffer.margin)
    yield from _no_longer(f"{where}.buffer.period", old.buffer.period, new.buffer.period)
    yield from _no_longer(f"{where}.buffer.fresh_for", old.buffer.fresh_for, new.buffer.fresh_for)
    yield from _refresh(f"{where}.refresh", old.refresh, new.refresh)
    yield from _all_of(f"{where}.assumes", old.assumes, new.assumes)


def _as_hard(old: Demand, new: Demand) -> bool:
    """Whether whatever satisfies the new demand satisfies the old one."""
    return (
        not list(_same("", old, new, "demonstrations", "flop", "attempts", "tools", "safety_ablated", "refusals"))
        and new.demonstrations >= old.demonstrations
        and new.flop >= old.flop
        and new.attempts >= old.attempts
        and new.tools >= old.tools
        and new.safety_ablated >= old.safety_ablated
        and new.refusals <= old.refusals
    )


def _refresh(where: str, old: Refresh, new: Refresh) -> Iterator[str]:
    yield from _same(where, old, new, "multiple", "period", "events", "discretion")
    yield from _most(f"{where}.multiple", old.multiple, new.multiple)
    yield from _no_longer(f"{where}.period", old.period, new.period)
    yield from _all_of(f"{where}.events", old.events, new.events)
    if old.discretion and new.discretion != old.discretion:
        yield f"{where}.discretion changed"


def _requirement(where: str, old: Requirement, new: Requirement, policy: Policy) -> Iterator[str]:
    if isinstance(old, Hole):
        return
    if isinstance(new, Never) and not isinstance(old, Combined):  # what is against a combined one is against its parts
        return
    yield from _same(where, old, new, "fresh_for", "level", "rule_out", "count", "of")
    if type(old) is not type(new):
        return
    if isinstance(old, Measured) and isinstance(new, Measured):
        if _safer(policy, new.measure, new.level, old.level):
            yield f"{where}.level is less strict"
        yield from _rule(f"{where}.rule_out", old.rule_out, new.rule_out)
    elif isinstance(old, Combined) and isinstance(new, Combined):
        everything = old.count == len(old.of) and new.count == len(new.of) and set(old.of) <= set(new.of)
        if not everything and (new.of != old.of or new.count < old.count):
            yield f"{where} asks for fewer, or for others"
    else:
        yield from _no_longer(f"{where}.fresh_for", getattr(old, "fresh_for", None), getattr(new, "fresh_for", None))


def _exception(where: str, old: ExceptionRule, new: ExceptionRule) -> Iterator[str]:
    yield from _same(where, old, new, "instead_of", "requires", "approved_by", "lasts", "until")
    if set(new.instead_of) != set(old.instead_of):  # with fewer, what is against those is not against `requires`
        yield f"{where}.instead_of changed"
    yield from _all_of(f"{where}.requires", old.requires, new.requires)
    yield from _all_of(f"{where}.approved_by", old.approved_by, new.approved_by)
    yield from _no_longer(f"{where}.lasts", old.lasts, new.lasts)
    if old.until is not None and (new.until is None or new.until > old.until):
        yield f"{where}.until is later"


def _gates(old: Policy, new: Policy) -> Iterator[str]:
    """No gate fewer, no cell fewer, no requirement fewer; nothing that was shut by silence opens."""
    yield from (f"gates.{it} is new" for it in new.gates.keys() - old.gates.keys())
    yield from (f"not_governed.{it} is new" for it in new.not_governed.keys() - old.not_governed.keys())
    for action, cells in old.gates.items():
        for threshold, cell in cells.items() if action in new.gates else ():
            there = new.gates[action].get(threshold)
            if cell.requires and there is None:
                yield f"gates.{action}.{threshold} is gone"
            elif there is not None:
                yield from _all_of(f"gates.{action}.{threshold}", cell.requires, there.requires)
    for action in {*old.gates, *old.actions, *new.actions}:
        if new.reversible(action) and not old.reversible(action):
            yield f"actions.{action} can be taken back now"


def _permits(old: Policy, new: Policy) -> Iterator[str]:
    yield from _same("permits", old.permits, new.permits, "lease", "ledger_age", "revocable_by")
    yield from _no_longer("permits.lease", old.permits.lease, new.permits.lease)
    yield from _no_longer("permits.ledger_age", old.permits.ledger_age, new.permits.ledger_age)
    yield from _all_of("permits.revocable_by", old.permits.revocable_by, new.permits.revocable_by)


def _incidents(old: Policy, new: Policy) -> Iterator[str]:
    """Where a policy names no kind of incident, one of any kind is taken in; else only those that are named."""
    if new.context.incidents and not set(old.context.incidents) <= set(new.context.incidents):
        yield "incidents has lost an item"
    if new.kinds_of_incident and not old.kinds_of_incident:
        yield "incidents are of named kinds only now"


def _amendments(old: Policy, new: Policy) -> Iterator[str]:
    before, after = old.amendments, new.amendments
    lists, flags = ("approved_by", "consulted", "proposed_by"), ("frozen_while_reached", "changelog_required")
    yield from _same("amendments", before, after, *lists, *flags, "notice")
    for name in lists:
        yield from _all_of(f"amendments.{name}", getattr(before, name), getattr(after, name))
    for name in flags:
        yield from _least(f"amendments.{name}", getattr(before, name), getattr(after, name))
    if before.notice is not None and (after.notice is None or sometimes_longer(before.notice, after.notice)):
        yield "amendments.notice may be shorter"
