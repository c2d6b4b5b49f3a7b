"""What must hold between the parts of a policy, wherever they come from: YAML or compiled JSON.

Every reference resolves, no gate and no cell is empty, nobody vouches for their own work, nothing depends on itself,
and no threshold is written that could never be ruled out. A single value's range is `_scalar.py`'s business. A problem
names a path in the written policy; `load.py` turns it into a line and a column.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.policy._scalar import exact, numbers
from interlock.policy._structure.cycles import check_cycles, never_met
from interlock.policy._structure.gates import check_gates
from interlock.policy._structure.parts import (
    EMPTY,
    MAX_DEPTH,
    Parts,
    Path,
    Problem,
    counted,
    located,
    mention,
    mentioned_kinds,
    mentions,
    parts_of,
    refers,
)
from interlock.policy._structure.rules import check_rules
from interlock.policy._structure.takeover import check_takeover
from interlock.policy.model import (
    SHARP_AT,
    Amount,
    Approved,
    At,
    Attested,
    Combined,
    ComputeRatio,
    Hole,
    Mean,
    Measure,
    Measured,
    Never,
    Ref,
    RuledOut,
    Unbounded,
    UnderQuantity,
    UnderReference,
    UnderScreen,
)
from interlock.policy.time import sometimes_longer, spoken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from interlock.policy.duty import Clock, Duty, Response
    from interlock.policy.model import BelowIf, Expr, IncidentKind, Judged, Requirement, Threshold

__all__ = ["MAX_DEPTH", "Parts", "Problem", "check", "parts_of", "refers"]

#: An assumption that nobody's word can discharge, only a check.
_ONLY_CHECKED = "valid-understanding"

#: What can start a duty, by what it names.
_STARTERS = {
    **dict.fromkeys(("reached", "not-ruled-out", "overdue", "alert"), "thresholds"),
    **dict.fromkeys(("hold", "permit"), "actions"),
    "exception": "exceptions",
}


def check(parts: Parts) -> Iterator[Problem]:
    """Everything wrong between the parts."""
    yield from _roles(parts)
    yield from _measures(parts)
    yield from _assumptions(parts)
    yield from _thresholds(parts)
    yield from check_rules(parts)
    yield from _requirements(parts)
    yield from check_cycles(parts)
    yield from _exceptions(parts)
    yield from check_gates(parts)
    yield from check_takeover(parts)
    yield from _duties(parts)
    yield from _context(parts)
    yield from _policy(parts)


def _roles(parts: Parts) -> Iterator[Problem]:
    for name, role in parts.roles.items():
        path = ("roles", name)
        distinct = len(set(role.keys))
        first = {key: place for place, key in reversed(list(enumerate(role.keys)))}
        for place, key in enumerate(role.keys):
            if first[key] < place:
                yield Problem((*path, "keys", place), f"key `{key}` is used twice in role `{name}`")
        if role.keys and not 1 <= role.quorum <= distinct:
            yield Problem(
                (*path, "quorum"), f"expected a quorum from 1 to the number of keys, {distinct}, got `{role.quorum}`"
            )
        yield from mentions(parts, "roles", role.independent_of, (*path, "independent_of"))
        for place, other in enumerate(role.independent_of):
            at = (*path, "independent_of", place)
            if other == name:
                yield Problem(at, f"role `{name}` cannot be independent of itself")
            elif parts.shared(name, other):
                yield Problem(at, f"role `{name}` is independent of `{other}` and yet shares a key with it")


def _measures(parts: Parts) -> Iterator[Problem]:
    for name, measure in parts.measures.items():
        path = ("measures", name)
        if isinstance(measure, Measure):
            ends = f"got `{exact(measure.low)}` and `{exact(measure.high)}`"
            if measure.low >= measure.high:
                yield Problem((*path, "range"), f"expected a range from a lower number to a higher one, {ends}")
            elif measure.valid_below is not None and not measure.low < measure.valid_below <= measure.high:
                yield Problem(
                    (*path, "valid_below"),
                    f"expected a number above `{exact(measure.low)}` and at most `{exact(measure.high)}`, "
                    f"got `{exact(measure.valid_below)}`",
                )
        elif isinstance(measure, Mean):
            yield from _mean(parts, measure, (*path, "mean_of"))


def _mean(parts: Parts, mean: Mean, path: Path) -> Iterator[Problem]:
    total = sum(mean.weights.values(), Fraction(0))
    if total != 1:
        yield Problem(path, f"expected weights that add up to 1, got `{exact(total)}`" if mean.weights else EMPTY)
    for base in mean.weights:
        yield from mention(parts, "measures", base, path)
        if base in parts.measures and not isinstance(parts.measures[base], Measure):
            yield Problem(path, f"expected measures with a source and a range of their own, got `{base}`")
    dangers = {base.danger: base.name for base in parts.plain(mean.name)}
    if len(dangers) > 1:
        yield Problem(
            path,
            f"expected measures of one danger, got `{dangers['higher']}` (higher) and `{dangers['lower']}` (lower)",
        )


def _assumptions(parts: Parts) -> Iterator[Problem]:
    for name, assumption in parts.assumptions.items():
        path = ("assumptions", name)
        yield from mention(parts, "roles", assumption.by, (*path, "by" if assumption.checked else "stated_by"))
        yield from mentions(parts, "thresholds", assumption.void_at, (*path, "void_at"))
        if name == _ONLY_CHECKED and not assumption.checked:
            yield Problem(path, f"assumption `{name}` needs a check; expected `checked`, got `stated_by`", at_key=True)
        if bool(assumption.checked) is not (assumption.coverage > 0):
            yield Problem((*path, "coverage"), "expected `checked` and `coverage` together, got one of them")
        if not assumption.checked and (assumption.sharpness or assumption.least_parameters):
            member = "sharpness" if assumption.sharpness else "least_parameters"
            yield Problem((*path, member), f"expected `{member}` beside `checked` only, got it beside `stated_by`")
        if not assumption.sharpness and assumption.sharp_at != SHARP_AT:
            yield Problem((*path, "sharp_at"), "expected `sharp_at` beside `sharpness` only, got it alone")


# -- thresholds --------------------------------------------------------------------------------------------------------


def _thresholds(parts: Parts) -> Iterator[Problem]:
    for name, threshold in parts.thresholds.items():
        path = ("thresholds", name)
        if threshold.reached_when is not None:
            yield from _expression(parts, threshold.reached_when, (*path, "reached_when"))
        if threshold.judged is not None:
            yield from _judged(parts, threshold.judged, threshold, path)
        for place, way in enumerate(threshold.below_if):
            yield from _below_if(parts, way, (*path, "below_if", place))
        yield from _shape(threshold, path)
        yield from _standing(parts, threshold, path)
        yield from mentions(parts, "thresholds", threshold.above, (*path, "above"))
        yield from mention(parts, "domains", threshold.domain, (*path, "domain"))
        yield from mentions(parts, "threat_models", threshold.threat_models, (*path, "threat_models"))


def _shape(threshold: Threshold, path: Path) -> Iterator[Problem]:
    """It says when it is reached or who judges it, and has a rule where one is needed."""
    name, judged = threshold.name, threshold.judged
    if threshold.reached_when is None and judged is None:
        yield Problem(path, f"threshold `{name}` is never reached; expected `reached_when` or `judged_by`", at_key=True)
    reference = any(isinstance(way, UnderReference) for way in threshold.below_if)
    if threshold.rule_out is None and (threshold.measures or reference):
        what = f"measure `{threshold.measures[0]}`" if threshold.measures else "`no_more_capable_than`"
        yield Problem(
            path, f"expected `rule_out`, which says what {what} of threshold `{name}` is ruled out by", at_key=True
        )


def _standing(parts: Parts, threshold: Threshold, path: Path) -> Iterator[Problem]:
    """Watches and alerts stand at no gate, and an alert says for what it is the earlier line."""
    name = threshold.name
    yield from mention(parts, "thresholds", threshold.alert_for, (*path, "alert_for"))
    if threshold.role == "alert" and not threshold.alert_for:
        yield Problem(path, f"expected `alert_for`, the threshold that `{name}` is the earlier line of", at_key=True)
    if threshold.role != "alert" and threshold.alert_for:
        yield Problem((*path, "alert_for"), f"expected `role: alert` beside `alert_for`, got role `{threshold.role}`")
    if threshold.alert_for == name:
        yield Problem((*path, "alert_for"), f"threshold `{name}` cannot be the earlier line of itself")


def _expression(parts: Parts, expr: Expr, path: Path) -> Iterator[Problem]:
    """What the expression mentions; measures are checked with the rule."""
    for at, part, depth in located(expr, path):
        if depth > MAX_DEPTH:
            yield Problem(at, f"expected at most {MAX_DEPTH} levels of nesting, got more")
            return
        if isinstance(part, Ref):
            yield from mention(parts, "thresholds", part.threshold, at)
        elif isinstance(part, Amount):
            yield from _quantity(parts, part.quantity, part.level, at)
        elif not isinstance(part, At):
            yield from _count(part.count, len(part.parts), at)


def _count(count: int, of: int, at: Path) -> Iterator[Problem]:
    if not of:
        yield Problem(at, EMPTY)
    elif not 1 <= count <= of:
        yield Problem(at, f"expected a count from 1 to the number of parts, {of}, got `{count}`")


def _quantity(parts: Parts, name: str, level: Fraction, at: Path) -> Iterator[Problem]:
    yield from mention(parts, "quantities", name, at)
    if name in parts.measures and not isinstance(parts.measures[name], ComputeRatio):
        yield Problem(at, f"expected a quantity such as `training_compute` or a ratio of it, got measure `{name}`")
    if level <= 0:
        yield Problem(at, f"expected an amount above 0 of `{name}`, got `{exact(level)}`")


def _below_if(parts: Parts, way: BelowIf, at: Path) -> Iterator[Problem]:
    if isinstance(way, UnderQuantity):
        yield from _quantity(parts, way.quantity, way.level, at)
    elif isinstance(way, UnderScreen):
        yield from mention(parts, "thresholds", way.threshold, (*at, "below"))
    else:
        yield from mentions(parts, "measures", way.on, (*at, "on"))
        if not way.on:
            yield Problem((*at, "on"), EMPTY)
        for place, name in enumerate(way.on):
            measure = parts.measures.get(name)
            if measure is not None and not (isinstance(measure, Measure) and measure.on == "model"):
                yield Problem(
                    (*at, "on", place), f"expected a measure on the model with a source and a range, got `{name}`"
                )


def _judged(parts: Parts, judged: Judged, threshold: Threshold, path: Path) -> Iterator[Problem]:
    yield from mention(parts, "roles", judged.by, (*path, "judged_by"))
    if not judged.on and threshold.reached_when is not None:
        yield Problem(
            (*path, "on"), f"threshold `{threshold.name}` is judged on nothing; expected measures and requirements"
        )
    known = [parts.known("measures"), parts.known("requirements")]
    for place, name in enumerate(judged.on):
        at = (*path, "on", place)
        found = [kind for kind in known if kind is not None and name in kind]
        if name in judged.on[:place]:
            yield Problem(at, f"`{name}` is listed twice")
        if None not in known and not found:
            defined = frozenset().union(*filter(None, known))
            message = f"expected a measure or a requirement, `{name}` is not defined"
            yield Problem(at, message, wrong=name, known=defined)
        elif len(found) > 1:
            yield Problem(at, f"`{name}` is a measure and a requirement; expected another name for one of them")
        else:
            yield from _judged_on(parts.measures.get(name) or parts.requirements.get(name), name, at)


def _judged_on(item: object, name: str, at: Path) -> Iterator[Problem]:
    if item is not None and not isinstance(item, (Measure, Unbounded, Attested)):
        yield Problem(at, f"expected a measure with a source or an attested requirement, got `{name}`")


# -- requirements ------------------------------------------------------------------------------------------------------


def _requirements(parts: Parts) -> Iterator[Problem]:
    stuck = never_met(parts.requirements)
    for name, requirement in parts.requirements.items():
        if (name == "never") is not isinstance(requirement, Never):
            yield Problem(
                ("requirements", name),
                "`never` is built in and cannot be defined; expected another name",
                at_key=True,
            )
        if isinstance(requirement, Combined):
            yield from _combined(parts, requirement, stuck, ("requirements", name))
        yield from _requirement(parts, requirement, ("requirements", name))


def _requirement(parts: Parts, requirement: Requirement, path: Path) -> Iterator[Problem]:
    if isinstance(requirement, (Attested, Approved)):
        yield from mention(parts, "roles", requirement.by, (*path, "by"))
    if isinstance(requirement, Attested):
        yield from mention(parts, "standards", requirement.standard, (*path, "standard"))
    elif isinstance(requirement, Hole):
        yield from mention(parts, "roles", requirement.owner, (*path, "owner"))
    elif isinstance(requirement, RuledOut):
        yield from mention(parts, "thresholds", requirement.threshold, (*path, "ruled_out"))


def _combined(parts: Parts, combined: Combined, stuck: Mapping[str, str], path: Path) -> Iterator[Problem]:
    yield from _count(combined.count, len(combined.of), path)
    seen: set[str] = set()
    for at, name in zip(counted(combined.count, len(combined.of), path), combined.of, strict=True):
        yield from mention(parts, "requirements", name, at)
        if name in seen:
            yield Problem(at, f"requirement `{name}` is listed twice")
        seen.add(name)
        if combined.count < len(combined.of) and name in stuck:
            yield way_round(combined.name, stuck[name], at)


def way_round(combined: str, stuck: str, at: Path) -> Problem:
    """What is wrong with a hole or `never`, or what rests on it, as one of the ways to meet a combination."""
    wanted = "expected it under `all_of` only"
    return Problem(at, f"`{stuck}` is never met, and requirement `{combined}` reads as if it could be; {wanted}")


def _exceptions(parts: Parts) -> Iterator[Problem]:
    stuck = never_met(parts.requirements)
    for name, exception in parts.exceptions.items():
        path = ("exceptions", name)
        for field in ("instead_of", "requires"):
            yield from mentions(parts, "requirements", getattr(exception, field), (*path, field))
        yield from mentions(parts, "roles", exception.approved_by, (*path, "approved_by"))
        for field in ("instead_of", "requires", "approved_by"):
            if not getattr(exception, field):
                yield Problem((*path, field), EMPTY)
        for place, avoided in enumerate(exception.instead_of):
            if avoided in stuck:
                yield Problem(
                    (*path, "instead_of", place),
                    f"`{stuck[avoided]}` is never met, and no exception can stand in for it",
                )


# -- duties ------------------------------------------------------------------------------------------------------------


def _duties(parts: Parts) -> Iterator[Problem]:
    for name, duty in parts.duties.items():
        path = ("duties", name)
        yield from mention(parts, "roles", duty.by, (*path, "by"))
        yield from mention(parts, "reports", duty.report, (*path, "report"))
        yield from mentions(parts, "roles", duty.notify, (*path, "notify"))
        yield from _start(parts, duty, (*path, "starts"))
        for field in ("within", "not_before", "repeat", "after_resolved"):
            yield from _clock(getattr(duty, field), (*path, field))
        yield from _window(duty, (*path, "not_before"))
        if duty.within is None and duty.repeat is None and duty.after_resolved is None:
            yield Problem(path, f"duty `{name}` has no deadline; expected `within`", at_key=True)
    for key, responses in parts.on_hold.items():
        yield from _held(parts, key)
        for place, response in enumerate(responses):
            yield from _response(parts, response, ("on_hold", key, place))


def _start(parts: Parts, duty: Duty, path: Path) -> Iterator[Problem]:
    start = duty.start
    at = (*path, start.on)
    if start.on in _STARTERS:
        yield from mentions(parts, _STARTERS[start.on], start.of, at)
    if start.on == "incident":
        yield from mentioned_kinds(parts, start.of, at)
    if bool(start.of) is (start.on == "effective"):
        yield Problem(at, EMPTY if start.on != "effective" else "expected `true`, got a list")
    if start.on != "incident":
        if start.moment != "event":
            yield Problem((*path, "from"), f"only an incident has other moments than `event`, got `{start.moment}`")
        for field, given in (("until", duty.until_resolved), ("after_resolved", duty.after_resolved)):
            if given:
                yield Problem((*path[:-1], field), f"only an incident is resolved, and this starts with `{start.on}`")


def _window(duty: Duty, path: Path) -> Iterator[Problem]:
    """What begins later than its start also ends, and not before it begins."""
    first, last = duty.not_before, duty.within
    if first is not None and last is None:
        yield Problem(path, "expected `within` beside `not_before`, the end of the window, got nothing")
    elif first and last and first.length and last.length and sometimes_longer(first.length, last.length):
        got = f"`{spoken(first.length)}`, which may end after `{spoken(last.length)}`"
        yield Problem(path, f"expected a time that never ends after `within`, got {got}")


def _clock(clock: Clock | None, path: Path) -> Iterator[Problem]:
    if clock is not None and (clock.length is None) is (clock.business_days < 1):
        yield Problem(path, "expected a duration or a number of business days, got both or neither")


def _held(parts: Parts, key: str) -> Iterator[Problem]:
    known = [parts.known(section) for section in ("thresholds", "requirements", "actions")]
    if None not in known and not any(key in names for names in known if names is not None):
        yield Problem(
            ("on_hold", key),
            f"expected a threshold, a requirement or an action, `{key}` is not defined",
            at_key=True,
            wrong=key,
            known=frozenset().union(*filter(None, known)),
        )


def _response(parts: Parts, response: Response, path: Path) -> Iterator[Problem]:
    yield from mentions(parts, "roles", response.notify, (*path, "notify"))
    yield from mentions(parts, "requirements", response.to, (*path, "to"))
    yield from _clock(response.within, (*path, "within"))
    if response.do == "notify" and not response.notify:
        yield Problem((*path, "do"), "expected `notify`, the roles that are told, got nothing")
    for place, state in enumerate(response.when):
        if state.startswith("unmet:"):
            yield from mention(parts, "requirements", state.removeprefix("unmet:"), (*path, "when", place))


# -- the rest ----------------------------------------------------------------------------------------------------------


def _context(parts: Parts) -> Iterator[Problem]:
    context = parts.context
    for name, model in context.threat_models.items():
        yield from mention(parts, "domains", model.domain, ("threat_models", name, "domain"))
        yield from mention(parts, "actors", model.actor, ("threat_models", name, "actor"))
    for name, standard in context.standards.items():
        yield from mentions(parts, "actors", standard.stops, ("standards", name, "stops"))
        yield from mentions(parts, "actors", standard.does_not_stop, ("standards", name, "does_not_stop"))
    for name, report in context.reports.items():
        yield from mention(parts, "roles", report.by, ("reports", name, "by"))
    for name, channel in context.channels.items():
        yield from mentions(parts, "roles", channel.to, ("channels", name, "to"))
    for name, kind in context.incidents.items():
        yield from _near_miss(parts, kind, ("incidents", name, "near_miss_of"))


def _near_miss(parts: Parts, kind: IncidentKind, path: Path) -> Iterator[Problem]:
    whole = kind.near_miss_of
    yield from mention(parts, "incidents", whole, path)
    if whole == kind.name or (whole in parts.context.incidents and parts.context.incidents[whole].near_miss_of):
        yield Problem(path, f"expected a kind of incident that is no near miss itself, got `{whole}`")


def _policy(parts: Parts) -> Iterator[Problem]:
    """What stands at the top, in no section with entries."""
    if parts.refresh is not None:
        yield from mention(parts, "roles", parts.refresh.discretion, ("refresh", "discretion"))
        yield from mentioned_kinds(parts, parts.refresh.events, ("refresh", "events"))
    if parts.permits is not None:
        yield from mention(parts, "roles", parts.permits.issued_by, ("permits", "issued_by"))
        yield from mentions(parts, "roles", parts.permits.revocable_by, ("permits", "revocable_by"))
    if parts.amendments is not None:
        yield from mentions(parts, "roles", parts.amendments.approved_by, ("amendments", "approved_by"))
        yield from mentions(parts, "roles", parts.amendments.consulted, ("amendments", "consulted"))
        yield from mentions(parts, "roles", parts.amendments.proposed_by, ("amendments", "proposed_by"))
        if not parts.amendments.approved_by:
            yield Problem(("amendments", "approved_by"), EMPTY)
    yield from _independent(parts)
    yield from _subjects(parts)
    if parts.effective and parts.expires and parts.effective >= parts.expires:
        yield Problem(("expires",), "expected a time after `effective`, got one that is not")
    if parts.version and parts.supersedes and numbers(parts.supersedes) >= numbers(parts.version):
        yield Problem(
            ("supersedes",), f"expected a version below this one, `{parts.version}`, got `{parts.supersedes}`"
        )


def _independent(parts: Parts) -> Iterator[Problem]:
    name = parts.independent
    yield from mention(parts, "roles", name, ("independent",))
    runners: dict[str, str] = {}
    for it in parts.thresholds.values():
        if it.rule_out is not None and it.rule_out.run_by:
            runners.setdefault(it.rule_out.run_by, f"threshold `{it.name}`")
    for requirement in parts.requirements.values():
        if isinstance(requirement, Measured):
            runners.setdefault(requirement.rule_out.run_by, f"requirement `{requirement.name}`")
    for runner, owner in runners.items():
        if name and parts.shared(name, runner):
            yield Problem(
                ("independent",),
                f"expected a role that shares no key with `{runner}`, which runs the evaluations of {owner}, "
                f"got `{name}`",
            )


def _subjects(parts: Parts) -> Iterator[Problem]:
    if parts.scope is None or parts.scope.subjects is None:
        return
    path = ("scope", "subjects")
    yield from _expression(parts, parts.scope.subjects, path)
    for at, part, _ in located(parts.scope.subjects, path):
        if isinstance(part, (At, Ref)):
            name = part.measure if isinstance(part, At) else part.threshold
            yield Problem(at, f"expected quantities such as `training_compute`, got `{name}`")
