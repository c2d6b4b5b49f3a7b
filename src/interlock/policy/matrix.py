"""A policy as one row of a comparison: what it stops at which action, and what it says about everything around that.

Guarantees: each value comes from a clause, and carries its path, its line and what its sources rest on; the same policy
gives the same row. What it leaves to the caller: how a row is shown, and whether what the policy promises is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from interlock.policy._scalar import exact, stamp
from interlock.policy._written import yaml
from interlock.policy.clauses import standing
from interlock.policy.model import (
    STANDARD_ACTIONS,
    Amount,
    Approved,
    AtLeast,
    Attested,
    Combined,
    Defined,
    Hole,
    Never,
    Ref,
    RuledOut,
)
from interlock.policy.time import spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from interlock.policy.clauses import Clauses, Standing
    from interlock.policy.duty import Clock, Duty
    from interlock.policy.model import Buffer, Cell, Demand, ExceptionRule, Policy, Refresh, RuleOut, Threshold

K = TypeVar("K")

#: How an action stands; `_stands` says what each means.
Stands = Literal[
    "gated",
    "security only",
    "in a named case",
    "security only, or in a named case",
    "report only",
    "not governed",
]
_CASES: tuple[Stands, ...] = ("in a named case", "security only, or in a named case")
#: Why a cell bites less than it seems to.
Only = Literal["", "security", "case"]

#: How the reason of an action that is left open begins, where the text asks for a report there.
REPORT_ONLY = "report only: "
#: A threshold at a gate where nothing binds.
SHOWN_ONLY = "stops nothing: intended or recommended only"
#: What a text does not name.
NONE_NAMED = "none named"


@dataclass(frozen=True, slots=True)
class Said:
    """Something that a policy says: in words, in which clause, on which line, and what the clause's sources rest on,
    each once.
    """

    text: str
    path: str
    line: int
    standings: tuple[Standing, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A threshold at a gate: what is required there unless it is ruled out, and what is only intended there."""

    threshold: str
    says: Said
    requires: tuple[Said, ...]
    weaker: tuple[Said, ...]
    only: Only


@dataclass(frozen=True, slots=True)
class Gate:
    """One action. `why`: the reason for which it is left open, or the cases in which alone it is gated."""

    action: str
    stands: Stands
    why: tuple[Said, ...]
    cells: tuple[Listed, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One policy. `gates` has the standard actions first; an empty part: the policy says nothing about it.

    `resume`: what lifts a hold. `audit`: what others than the developer do. `decision`: who approves what.
    """

    id: str
    version: str
    title: str
    gates: tuple[Gate, ...]
    resume: tuple[Said, ...]
    cadence: tuple[Said, ...]
    elicitation: tuple[Said, ...]
    buffer: tuple[Said, ...]
    audit: tuple[Said, ...]
    decision: tuple[Said, ...]
    exceptions: tuple[Said, ...]


def row(policy: Policy, clauses: Clauses) -> Row:
    """The row of a policy that has loaded; `clauses` are those of its file."""
    found = _Reading(policy, clauses)
    return Row(
        id=policy.id,
        version=policy.version,
        title=policy.title,
        gates=tuple(map(found.gate, _actions(policy))),
        resume=tuple(found.resume()),
        cadence=tuple(found.cadence()),
        elicitation=tuple(found.elicitation()),
        buffer=tuple(found.buffers()),
        audit=tuple(found.audit()),
        decision=tuple(found.decision()),
        exceptions=tuple(map(found.exception, policy.exceptions.values())),
    )


def _actions(policy: Policy) -> tuple[str, ...]:
    """The standard actions, then the others in the policy's order."""
    return tuple(dict.fromkeys([*STANDARD_ACTIONS, *policy.actions, *policy.gates, *policy.not_governed]))


@dataclass(frozen=True, slots=True)
class _Reading:
    policy: Policy
    clauses: Clauses

    def said(self, text: str, path: str, *, sourced: str = "") -> Said:
        """`sourced`: the clause that has the sources, where the one at `path` has none around it."""
        standings = self.standings(path) or self.standings(sourced or path)
        return Said(text, path, self.clauses.line(path), standings)

    def standings(self, path: str) -> tuple[Standing, ...]:
        """What the sources of the clause rest on; where it has none, those of what it stands in."""
        steps = tuple(int(step) if step.isdigit() else step for step in path.split("."))
        for length in range(len(steps), 0, -1):
            found = yaml.find(self.clauses.root, (*steps[:length], "sources"))
            if found is not None and isinstance(found.value, list):
                sources = [it.value for it in found.value]
                return tuple(dict.fromkeys(standing(it)[0] for it in sources if isinstance(it, str)))
        return ()

    # -- what stands at which action -----------------------------------------------------------------------------------

    def gate(self, action: str) -> Gate:
        """How an action stands. An action that the policy leaves open, and of which it gates a refinement, is gated in
        a named case: the refinement.
        """
        if action in self.policy.gates:
            cells = tuple(self.listed(action, name, cell) for name, cell in self.policy.gates[action].items())
            stands = _stands([it.only for it in cells if it.requires])
            named = [it.threshold for it in cells if it.only == "case"] if stands in _CASES else []
            return Gate(action, stands, tuple(self.said(it, f"thresholds.{it}") for it in named), cells)
        reason = self.policy.not_governed[action]
        why = self.reason(action, reason)
        refined = [it for it in self.policy.actions.values() if it.refines == action and it.name in self.policy.gates]
        if refined:
            cases = tuple(self.said(it.name, f"gates.{it.name}", sourced=f"actions.{it.name}") for it in refined)
            return Gate(action, "in a named case", (*cases, why), ())
        report = standing(reason)[1].startswith(REPORT_ONLY)
        return Gate(action, "report only" if report else "not governed", (why,), ())

    def reason(self, action: str, reason: str) -> Said:
        """Why an action is left open. The reason is its own source, and the mark of a report may stand on either side
        of what it rests on.
        """
        rests, text = standing(reason.removeprefix(REPORT_ONLY))
        path = f"not_governed.{action}"
        return Said(text.removeprefix(REPORT_ONLY), path, self.clauses.line(path), (rests,))

    def listed(self, action: str, name: str, cell: Cell) -> Listed:
        only: Only = ""
        if cell.requires:
            if all(map(self.by_security, cell.requires)):
                only = "security"
            elif self.in_a_case(self.policy.thresholds[name]):
                only = "case"
        at = f"gates.{action}.{name}"
        return Listed(
            threshold=name,
            says=self.said(name if cell.requires else f"{name} ({SHOWN_ONLY})", at, sourced=f"thresholds.{name}"),
            requires=tuple(self.required(it, at=at) for it in cell.requires),
            weaker=tuple(self.required(it, at=at, said=f"{modality} only: ") for modality, it in cell.weaker),
            only=only,
        )

    def required(self, name: str, *, at: str, said: str = "") -> Said:
        """A requirement in the cell `at`, by its name, and whether only an amendment can meet it."""
        it = self.policy.requirements[name]
        hole, stop = isinstance(it, Hole), not self.can_be_met(name)
        why = " (a hole, until amended)" if hole else " (until amended)" if stop else ""
        return self.said(f"{said}{name}{why}", at if isinstance(it, Never) else f"requirements.{name}")

    def by_security(self, name: str) -> bool:
        """Whether the security of weights alone meets a requirement: it is an attestation of a standard whose name or
        title says `security` and not `deployment`, a hole whose name says so, or a combination of which enough are.
        """
        it = self.policy.requirements[name]
        if isinstance(it, Combined):
            return sum(map(self.by_security, it.of)) >= it.count
        if isinstance(it, Attested) and it.standard:
            level = self.policy.context.standards[it.standard]
            return _of_security(f"{level.name} {level.title}")
        return isinstance(it, Hole) and _of_security(name)

    def in_a_case(self, threshold: Threshold) -> bool:
        """Whether a threshold joins a capability with a case (a clear lead, another model of its size): it is an
        `all_of`, and one of its parts is a quantity, or a threshold that stands at no gate by itself and is of no
        domain.
        """
        expr = threshold.reached_when
        return (
            isinstance(expr, AtLeast)
            and 1 < expr.count == len(expr.parts)
            and any(isinstance(it, Amount) or (isinstance(it, Ref) and self.a_case(it.threshold)) for it in expr.parts)
        )

    def a_case(self, name: str) -> bool:
        gating = {it for cells in self.policy.gates.values() for it, cell in cells.items() if cell.requires}
        return name not in gating and not self.policy.thresholds[name].domain

    def can_be_met(self, name: str) -> bool:
        """Whether something can meet a requirement before the policy is amended."""
        it = self.policy.requirements[name]
        if isinstance(it, Combined):
            return sum(map(self.can_be_met, it.of)) >= it.count
        if isinstance(it, Defined | RuledOut):
            level = self.policy.thresholds.get(it.threshold)
            open_ = level is not None and not level.hole
            return open_ or (isinstance(it, RuledOut) and level is not None and bool(level.below_if))
        return not isinstance(it, Hole | Never)

    # -- what stands around it -----------------------------------------------------------------------------------------

    def resume(self) -> Iterator[Said]:
        """What the cells list, each once."""
        first: dict[str, str] = {}
        for action, cells in self.policy.gates.items():
            for threshold, cell in cells.items():
                for name in cell.requires:
                    first.setdefault(name, f"gates.{action}.{threshold}")
        yield from (self.required(name, at=at) for name, at in first.items())

    def cadence(self) -> Iterator[Said]:
        """The policy's refresh, those of thresholds that have another, what must be done again, and what is reported;
        after an incident only the reports that are also made without one.
        """
        reach = self.policy.refresh
        yield self.said(f"effective compute: {_multiple(reach)}", "refresh.effective_compute")
        yield self.said(f"time: {_period(reach)}", "refresh.period")
        if reach.events:
            yield self.said(f"events: {', '.join(reach.events)}", "refresh.events")
        if reach.discretion:
            yield self.said(f"discretion: {reach.discretion}", "refresh.discretion")
        ruled = (it for it in self.policy.thresholds.values() if it.rule_out)
        for other, names in _alike(ruled, lambda it: _reach(_ruled(it).refresh)).items():
            if other != _reach(reach):
                yield self.said(f"{', '.join(names)}: {other}", f"thresholds.{names[0]}.rule_out.refresh")
        duties = self.policy.duties.values()
        regular = {it.report for it in duties if it.start.on != "incident"} - {""}
        for duty in duties:
            if duty.repeat or duty.report in regular:
                yield self.said(f"{duty.name}: {_times(duty)}", f"duties.{duty.name}")

    def elicitation(self) -> Iterator[Said]:
        """What is demanded of evaluations, and what requirements called `elicitation` say for judged thresholds."""
        groups = _alike(self.measured(), lambda it: _ruled(it).elicitation)
        for demands, names in groups.items():
            whose = f"{', '.join(names)}: " if len(groups) > 1 else ""
            text = "; ".join(map(_demand, demands))
            yield self.said(f"{whose}{text}", f"thresholds.{names[0]}.rule_out.elicitation")
        yield from self.attested_called("elicitation")

    def buffers(self) -> Iterator[Said]:
        """The room under measured lines, alert lines, and what requirements called `buffer` or `headroom` say."""
        groups = _alike(self.measured(), lambda it: _room(_ruled(it).buffer))
        for room, names in groups.items():
            whose = f"{', '.join(names)}: " if len(groups) > 1 else ""
            yield self.said(f"{whose}{room}", f"thresholds.{names[0]}.rule_out.buffer")
        for it in self.policy.thresholds.values():
            if it.role == "alert":
                yield self.said(f"alert line {it.name}, before {it.alert_for}", f"thresholds.{it.name}")
        yield from self.attested_called("buffer", "headroom")

    def measured(self) -> list[Threshold]:
        return [it for it in self.policy.thresholds.values() if it.rule_out and it.rule_out.elicitation]

    def attested_called(self, *starts: str) -> Iterator[Said]:
        for it in self.policy.requirements.values():
            if isinstance(it, Attested) and it.name.startswith(starts):
                yield self.said(it.what, f"requirements.{it.name}")

    def audit(self) -> Iterator[Said]:
        """Roles that are independent of others, what they sign and do, and whatever else is called external."""
        independent = {name: role for name, role in self.policy.roles.items() if role.independent_of}
        for name, role in independent.items():
            yield self.said(f"{name}, independent of {', '.join(role.independent_of)}", f"roles.{name}")
        runs = (it for it in self.measured() if _ruled(it).run_by in independent)
        for role_name, names in _alike(runs, lambda it: _ruled(it).run_by).items():
            path = f"thresholds.{names[0]}.rule_out.run_by"
            yield self.said(f"{role_name} evaluates {', '.join(names)}", path)
        for it in self.policy.requirements.values():
            if isinstance(it, Attested | Approved) and (it.by in independent or it.name.startswith("external-")):
                yield self.said(f"{it.name}, by {it.by}", f"requirements.{it.name}")
        for duty in self.policy.duties.values():
            if duty.by in independent or {"external", "audit"} & {*duty.name.split("-")}:
                yield self.said(f"{duty.name}, by {duty.by}", f"duties.{duty.name}")

    def decision(self) -> Iterator[Said]:
        for it in self.policy.requirements.values():
            if isinstance(it, Approved):
                yield self.said(f"{it.name}: {it.by}", f"requirements.{it.name}")
        if self.policy.permits.revocable_by:
            roles = ", ".join(self.policy.permits.revocable_by)
            yield self.said(f"may revoke permits: {roles}", "permits.revocable_by")
        changes = self.policy.amendments
        consulted = f", after consulting {_and(changes.consulted)}" if changes.consulted else ""
        yield self.said(f"changes of the policy: {_and(changes.approved_by)}{consulted}", "amendments.approved_by")

    def exception(self, it: ExceptionRule) -> Said:
        end = f", never after {stamp(it.until)}" if it.until else ""
        text = (
            f"{it.name} ({it.kind}): {_and(it.requires)} instead of {_and(it.instead_of)}, "
            f"approved by {_and(it.approved_by)}, for {spoken(it.lasts)}{end}"
        )
        return self.said(text, f"exceptions.{it.name}")


def _of_security(text: str) -> bool:
    words = text.lower()
    return "security" in words and "deployment" not in words


def _stands(cells: list[Only]) -> Stands:
    """How an action stands whose binding cells bite so.

    `gated`: some cell asks for more than security, in no named case only. `security only`: security of the weights
    opens every cell. `in a named case`: every cell is of a capability joined with a case. Else the action is left open:
    `report only`, or `not governed`.
    """
    kinds = set(cells)
    if kinds == {"security"}:
        return "security only"
    if kinds == {"case"}:
        return "in a named case"
    if kinds == {"security", "case"}:
        return "security only, or in a named case"
    return "gated"


# -- words -------------------------------------------------------------------------------------------------------------


def _room(buffer: Buffer) -> str:
    parts = [f"{exact(buffer.multiple)}x effective compute"] if buffer.names_multiple else []
    if buffer.period is not None:
        parts.append(spoken(buffer.period))
    if buffer.forecast_by:
        parts.append(f"margin forecast by {buffer.forecast_by}")
    if buffer.margin:
        items = ", ".join(f"{name} {exact(share)}" for name, share in buffer.items.items())
        parts.append(f"margin {exact(buffer.margin)}" + (f" ({items})" if items else ""))
    return ", ".join(parts) or f"none: {buffer.source}"


def _demand(it: Demand) -> str:
    details = [
        _count(it.demonstrations, "demonstration") if it.demonstrations else "",
        f"{flop(it.flop)} FLOP" if it.flop else "",
        f"{it.attempts} attempts" if it.attempts > 1 else "",
        "tools" if it.tools else "",
        "refusals trained away" if it.safety_ablated else "",
        f"at most {exact(it.refusals)} refused" if it.refusals < 1 else "",
    ]
    said = ", ".join(filter(None, details))
    return f"{it.elicitation} ({said})" if said else it.elicitation


def flop(value: int) -> str:
    """Compute, exactly: `1e18`, `1.5e25`, `123456`."""
    digits = str(value).rstrip("0")
    power = len(str(value)) - 1
    if power < 6:
        return str(value)
    return f"{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{power}"


def _multiple(refresh: Refresh) -> str:
    return f"{exact(refresh.multiple)}x" if refresh.names_multiple else NONE_NAMED


def _period(refresh: Refresh) -> str:
    return spoken(refresh.period) if refresh.names_period else NONE_NAMED


def _reach(refresh: Refresh) -> str:
    parts = [f"effective compute: {_multiple(refresh)}", f"time: {_period(refresh)}"]
    parts += [f"events: {', '.join(refresh.events)}"] if refresh.events else []
    parts += [f"discretion: {refresh.discretion}"] if refresh.discretion else []
    return "; ".join(parts)


def _times(duty: Duty) -> str:
    parts = [f"every {_clock(duty.repeat)}"] if duty.repeat else []
    parts += [f"within {_clock(duty.within)}"] if duty.within and duty.within != duty.repeat else []
    parts += [f"not before {_clock(duty.not_before)}"] if duty.not_before else []
    return ", ".join(parts)


def _clock(clock: Clock) -> str:
    if clock.length is not None:
        return spoken(clock.length)
    return _count(clock.business_days, "business day")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _and(names: Iterable[str]) -> str:
    return " and ".join(names)


def _ruled(threshold: Threshold) -> RuleOut:
    """The rule of a threshold that has one."""
    assert threshold.rule_out is not None  # noqa: S101  the callers have looked
    return threshold.rule_out


def _alike(thresholds: Iterable[Threshold], key: Callable[[Threshold], K]) -> dict[K, list[str]]:
    """Names of thresholds, those together of which the same is said."""
    groups: dict[K, list[str]] = {}
    for it in thresholds:
        groups.setdefault(key(it), []).append(it.name)
    return groups
