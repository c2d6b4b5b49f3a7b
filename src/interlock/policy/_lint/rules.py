"""Checks of who decides and how the policy changes, of exceptions, permits and dates, and of what nothing uses."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from interlock.policy._lint.view import Hit, by_message, listing
from interlock.policy._lint.ways import assumptions
from interlock.policy.model import (
    BINDING,
    Amount,
    Approved,
    At,
    Attested,
    Hole,
    Mean,
    Measured,
    Never,
    UnderQuantity,
    UnderReference,
    walk,
)
from interlock.policy.time import Duration, longer, spoken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from interlock.policy._lint.view import View
    from interlock.policy._lint.ways import Ways
    from interlock.policy.model import ExceptionRule, Expr, Policy, RuleOut

_DAY = Duration(0, 86400)
_SOON = timedelta(days=90)


# -- roles


def roles_not_separate(view: View, _ways: Ways) -> Iterator[Hit]:
    """Roles that run evaluations and also decide by them."""
    policy = view.policy
    needed = view.needed.values()
    attesting = {it.by for it in needed if isinstance(it, Attested)}
    deciders = {
        "approves amendments": policy.amendments.approved_by,
        "signs permits": (policy.permits.issued_by,),
        "approves requirements": tuple(it.by for it in needed if isinstance(it, Approved)),
        "approves exceptions": tuple(role for it in policy.exceptions.values() for role in it.approved_by),
    }
    for runner in view.runners:
        also = [what for what, roles in deciders.items() if any(view.same(runner, role) for role in roles)]
        inside = not policy.roles[runner].independent_of
        if inside and attesting and all(view.same(runner, role) for role in attesting):
            also.append("makes every attestation")
        if also:
            yield Hit(
                f"roles.{runner}",
                f"`{runner}` (or a key of it) runs evaluations and also {' and '.join(also)}; part the two",
            )


# -- amendments


def amendments_not_frozen(view: View, _ways: Ways) -> Iterator[Hit]:
    """Policies that can be loosened while they bind."""
    if not view.policy.amendments.frozen_while_reached:
        yield Hit(
            "amendments",
            "the policy can be loosened while a threshold is reached, just when it binds; add `frozen_while: reached`",
        )


def amendments_without_notice(view: View, _ways: Ways) -> Iterator[Hit]:
    """Changes that take effect before anybody can have read them."""
    if view.policy.amendments.notice is None:
        yield Hit("amendments", "a change takes effect without having been published; add `notice`, such as `30 days`")


# -- exceptions


def exceptions_present(view: View, _ways: Ways) -> Iterator[Hit]:
    """Every way round a requirement, with its end."""
    for name, it in view.policy.exceptions.items():
        over = it.until is not None and view.at is not None and it.until <= view.at
        end = "no last day" if it.until is None else f"{'ended' if over else 'not after'} {it.until:%Y-%m-%d}"
        approvers = listing(it.approved_by)
        yield Hit(
            f"exceptions.{name}",
            f"{it.kind} exception: {listing(it.requires)} may stand in for {listing(it.instead_of)} for "
            f"{spoken(it.lasts)} at a time, {end}, approved by {approvers}",
        )


def emergency_without_end(view: View, _ways: Ways) -> Iterator[Hit]:
    """Emergencies that can be declared for ever."""
    for name, it in view.policy.exceptions.items():
        if it.kind == "emergency" and it.until is None:
            yield Hit(f"exceptions.{name}", f"the emergency `{name}` can be renewed without end; add `until`")


def marginal_risk_approval(view: View, _ways: Ways) -> Iterator[Hit]:
    """Marginal-risk reasoning that is easier to approve than an amendment."""
    for name, it in view.policy.exceptions.items():
        if it.kind != "marginal-risk":
            continue
        if missing := [role for role in view.policy.amendments.approved_by if role not in it.approved_by]:
            yield Hit(
                f"exceptions.{name}.approved_by",
                f"marginal risk lets `{name}` open without {listing(missing)}, who approves every amendment; add it",
            )


def unused_exception(view: View, _ways: Ways) -> Iterator[Hit]:
    """Exceptions that no cell admits."""
    for name, it in view.policy.exceptions.items():
        if not any(_admits(view, cell.requires, it) for _, _, cell in view.cells):
            yield Hit(
                f"exceptions.{name}",
                f"exception `{name}` never applies: no cell without a hole or `never` lists {listing(it.instead_of)}",
            )


def _admits(view: View, requires: tuple[str, ...], rule: ExceptionRule) -> bool:
    deep = {part for name in requires for part in view.within(name)}
    hard = any(isinstance(view.policy.requirements[part], Hole | Never) for part in deep)
    return not hard and not deep.isdisjoint(rule.instead_of)


# -- permits and dates


def expiring_soon(view: View, _ways: Ways) -> Iterator[Hit]:
    """Policies that run out within 90 days."""
    end = view.policy.expires
    if end is not None and view.at is not None and view.at < end <= view.at + _SOON:
        yield Hit("expires", f"the policy expires on {end:%Y-%m-%d}, and then every gate holds; amend it before")


def long_lease(view: View, _ways: Ways) -> Iterator[Hit]:
    """Permits that outlive the evaluations that they rest on."""
    lease, periods = (
        view.policy.permits.lease,
        [view.policy.refresh.period, *(it.rule.refresh.period for it in view.rules)],
    )
    if shorter := [period for period in periods if longer(lease, period)]:
        yield Hit(
            "permits.lease",
            f"a lease of {spoken(lease)} is longer than the {spoken(shorter[0])} after which evaluations are due; "
            f"shorten it",
        )


def old_ledger(view: View, _ways: Ways) -> Iterator[Hit]:
    """Decisions that may overlook a day of evidence."""
    age = view.policy.permits.ledger_age
    if longer(age, _DAY):
        yield Hit(
            "permits.ledger_age",
            f"a decision may rest on a ledger that is {spoken(age)} old and miss what came since; ask for a day",
        )


# -- how much it says


def weak(policy: Policy) -> list[tuple[str, str]]:
    """The clauses that are only intended or recommended: (path, and in a cell the requirement)."""
    found = [
        (f"gates.{action}.{name}", it)
        for action, row in policy.gates.items()
        for name, cell in row.items()
        for _, it in cell.weaker
    ]
    found += [(f"duties.{name}", "") for name, it in policy.duties.items() if it.modality not in BINDING]
    answers = [(f"on_hold.{name}", it) for name, every in policy.on_hold.items() for it in every]
    return found + [(path, "") for path, it in answers if it.modality not in BINDING]


def not_binding(view: View, _ways: Ways) -> Iterator[Hit]:
    """What is only intended or recommended, counted."""
    if found := weak(view.policy):
        yield Hit(
            found[0][0],
            f"{_count(len(found), 'commitment is', 'commitments are')} only intended or recommended, and nothing holds "
            f"for {'it' if len(found) == 1 else 'them'}: "
            f"{listing(f'{path}: {name}' if name else path for path, name in found)}",
        )


def discretion(view: View) -> list[str]:
    """The clauses in which somebody decides without a rule."""
    policy = view.policy
    found = [f"thresholds.{it.name}" for it in view.governing if it.judged and not it.hole]
    found += [f"requirements.{name}" for name, it in view.needed.items() if isinstance(it, Approved)]
    found += [f"{it.path}.rule_out.buffer" for it in view.rules if it.rule.buffer.forecast_by]
    found += [f"exceptions.{name}" for name in policy.exceptions]
    own = [it for it in view.rules if it.rule.refresh != policy.refresh and it.rule.refresh.discretion]
    found += [f"{it.path}.rule_out.refresh" for it in own if it.path.startswith("thresholds.")]
    return found + (["refresh.discretion"] if policy.refresh.discretion else [])


def discretion_counted(view: View, _ways: Ways) -> Iterator[Hit]:
    """What somebody decides without a rule, counted."""
    if found := discretion(view):
        each = _count(len(found), "place", "places")
        yield Hit(found[0], f"somebody's judgement decides in {each}, by no rule written here: {listing(found)}")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def no_sources(view: View, _ways: Ways) -> Iterator[Hit]:
    """Thresholds that cannot be traced to the text that they encode."""
    sourced = {name for _, name, cell in view.cells if cell.sources}
    bare = [it.name for it in view.governing if not it.sources and it.name not in sourced]
    if bare:
        yield Hit(f"thresholds.{bare[0]}", f"no `sources` for {listing(bare)}; name the section that is encoded")


def no_response(view: View, _ways: Ways) -> Iterator[Hit]:
    """Holds on training that nobody is told about."""
    on_hold = view.policy.on_hold
    silent = [
        name
        for action, name, cell in view.cells
        if action == "scale" and not {"scale", name, *cell.requires} & set(on_hold)
    ]
    if silent:
        yield Hit(
            "on_hold",
            f"nothing says what is done, and who is told, when {listing(silent)} holds `scale`; add an `on_hold` entry",
        )


def incident_kinds_undeclared(view: View, _ways: Ways) -> Iterator[Hit]:
    """Kinds of incident that are named, and listed nowhere."""
    policy = view.policy
    named = [("refresh.events", kind) for kind in policy.refresh.events]
    named += [(f"{path}.refresh.events", kind) for path, rule in _rules(policy) for kind in rule.refresh.events]
    starts = [(f"duties.{name}.starts.incident", it.start) for name, it in policy.duties.items()]
    named += [(path, kind) for path, start in starts if start.on == "incident" for kind in start.of]
    if not policy.context.incidents:
        message = "nothing tells a misspelt kind of incident from {names}; list the kinds under `incidents`"
        yield from by_message((path, kind, message) for path, kind in named)


def _rules(policy: Policy) -> list[tuple[str, RuleOut]]:
    """Every rule, of whatever threshold or requirement, with where it is written."""
    own = [(f"thresholds.{name}.rule_out", it.rule_out) for name, it in policy.thresholds.items() if it.rule_out]
    measured = [(name, it) for name, it in policy.requirements.items() if isinstance(it, Measured)]
    return own + [(f"requirements.{name}", it.rule_out) for name, it in measured]


# -- what nothing uses


def unused_requirement(view: View, _ways: Ways) -> Iterator[Hit]:
    """Requirements that no gate asks for."""
    policy = view.policy
    used = set(view.needed)
    used |= {name for row in policy.gates.values() for cell in row.values() for _, name in cell.weaker}
    used |= {name for it in policy.exceptions.values() for name in it.instead_of}
    used |= {name for it in policy.thresholds.values() if it.judged for name in it.judged.on}
    used |= {name for responses in policy.on_hold.values() for it in responses for name in it.to}
    used |= {part for name in used & set(policy.requirements) for part in view.within(name)}
    for name, it in policy.requirements.items():
        if name not in used and not isinstance(it, Never):
            yield Hit(f"requirements.{name}", f"no gate requires `{name}`; list it in a cell, or drop it")


def unused_assumption(view: View, _ways: Ways) -> Iterator[Hit]:
    """Assumptions that no evaluation makes."""
    rules = [(it.rule_out, _ats(it.reached_when)) for it in view.policy.thresholds.values() if it.rule_out]
    measured = [it for it in view.policy.requirements.values() if isinstance(it, Measured)]
    rules += [(it.rule_out, [At(it.measure, it.level)]) for it in measured]
    parts = [(rule, part) for rule, leaves in rules for at in leaves for part in view.plain(at.measure)]
    for it in view.policy.thresholds.values():  # who is no more capable than another has been evaluated, too
        named = [name for way in it.below_if if isinstance(way, UnderReference) for name in way.on]
        parts += [(it.rule_out, part) for name in named if it.rule_out for part in view.plain(name)]
    used = {name for rule, part in parts for name in assumptions(part, rule)}
    for name in view.policy.assumptions:
        if name not in used:
            yield Hit(f"assumptions.{name}", f"no evaluation rests on `{name}`; name it in `assumes`, or drop it")


def unused_measure(view: View, _ways: Ways) -> Iterator[Hit]:
    """Measures that no line is drawn on."""
    policy = view.policy
    used = {it.measure for it in policy.requirements.values() if isinstance(it, Measured)}
    for threshold in policy.thresholds.values():
        used |= _quantities(threshold.reached_when)
        used |= set(threshold.judged.on) if threshold.judged else set()
        for way in threshold.below_if:
            used |= {way.quantity} if isinstance(way, UnderQuantity) else set()
            used |= set(way.on) if isinstance(way, UnderReference) else set()
    used |= _quantities(policy.scope.subjects)
    means = [it for it in policy.measures.values() if isinstance(it, Mean)]
    used |= {part for mean in means if mean.name in used for part in mean.weights}
    for name in policy.measures:
        if name not in used:
            yield Hit(f"measures.{name}", f"no threshold or requirement uses `{name}`; draw a line on it, or drop it")


def _ats(expr: Expr | None) -> list[At]:
    return [part for part in walk(expr) if isinstance(part, At)] if expr else []


def _quantities(expr: Expr | None) -> set[str]:
    parts = list(walk(expr)) if expr else []
    return {part.measure for part in parts if isinstance(part, At)} | {
        part.quantity for part in parts if isinstance(part, Amount)
    }


def unused_role(view: View, _ways: Ways) -> Iterator[Hit]:
    """Roles that sign nothing and are told nothing."""
    used = set(_mentioned(view))
    for name in view.policy.roles:
        if name not in used:
            yield Hit(f"roles.{name}", f"role `{name}` has no part in anything; give it one, or drop it")


def _mentioned(view: View) -> Iterable[str]:
    policy = view.policy
    yield from (role for it in policy.roles.values() for role in it.independent_of)
    yield from (it.by for it in policy.assumptions.values())
    yield from (it.judged.by for it in policy.thresholds.values() if it.judged)
    yield from (it.by for it in policy.requirements.values() if isinstance(it, Attested | Approved))
    yield from (it.owner for it in policy.requirements.values() if isinstance(it, Hole))
    for _, rule in _rules(policy):
        yield from (rule.run_by, rule.buffer.forecast_by, rule.refresh.discretion)
    yield from (role for it in policy.exceptions.values() for role in it.approved_by)
    yield from (policy.permits.issued_by, *policy.permits.revocable_by, policy.independent, policy.refresh.discretion)
    yield from (*policy.amendments.approved_by, *policy.amendments.consulted, *policy.amendments.proposed_by)
    for responses in policy.on_hold.values():
        yield from (role for it in responses for role in it.notify)
    for duty in policy.duties.values():
        yield from (duty.by, *duty.notify)
    for report in policy.context.reports.values():
        yield from (report.by, *report.audience)
    yield from (role for it in policy.context.channels.values() for role in it.to)
