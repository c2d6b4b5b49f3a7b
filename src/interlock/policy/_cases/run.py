"""Running a case: the same `decide` as a gate asks, with facts that nobody signed, and the answer compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from interlock.decide.clock import Clock
from interlock.decide.decision import in_order, timestamp
from interlock.decide.facts import Version
from interlock.decide.requirement import saw_finding
from interlock.decide.resume import resume
from interlock.decide.rule import Decider
from interlock.decide.view import Case as Asked
from interlock.decide.view import View
from interlock.policy._cases.values import Failure, Outcome
from interlock.policy.compile import digest
from interlock.policy.model import Cell, Never

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from interlock.decide.decision import Decision, Finding, Node, Reason, State
    from interlock.decide.facts import Approval, Facts
    from interlock.policy._cases.values import Case, Expected
    from interlock.policy.model import Policy


def version(policy: Policy) -> Version:
    """The policy in force from its `effective`."""
    return Version(policy, digest(policy), policy.effective)


def run(case: Case, versions: Sequence[Version]) -> Outcome:
    """Decide every action, and compare with what is expected."""
    tested = [_told(it, case) for it in versions]
    every = sorted([*tested, *case.also], key=lambda version: version.since)
    facts = _approved(case, every)
    actions = in_order({*_gated(every), *case.expect, *case.because, *case.resume})
    decisions = _decisions(case, Decider(every, facts), actions, case.at)
    outcome = Outcome(case, decisions, ())
    return replace(outcome, failures=tuple(_failures(outcome, every, facts)))


def _told(version: Version, case: Case) -> Version:
    """The version as if it had come when the case says; its duties begin then, too."""
    since = case.since or version.since
    policy = replace(version.policy, effective=since) if case.since else version.policy
    return replace(version, policy=policy, since=since, entered=case.entered or version.entered)


def _gated(versions: Sequence[Version]) -> set[str]:
    return {action for version in versions for action in version.policy.gates}


def _decisions(case: Case, decider: Decider, actions: Iterable[str], at: datetime) -> dict[str, Decision]:
    return {
        action: decider.decide(subject=case.subject, action=action, at=at, deployment=case.deployment)
        for action in actions
    }


def _approved(case: Case, versions: Sequence[Version]) -> Facts:
    """The facts, with the findings that each approval saw; earlier ones first, since later ones may rest on them."""
    facts = case.facts
    for approval in sorted(facts.approvals, key=lambda approval: approval.at):
        done = replace(approval, findings=frozenset(_seen(case, versions, _until(facts, approval), approval)))
        facts = replace(facts, approvals=tuple(done if it.digest == done.digest else it for it in facts.approvals))
    return facts


def _until(facts: Facts, approval: Approval) -> Facts:
    """What the ledger said when the approval was signed."""
    fields = ("plans", "results", "attestations", "approvals", "judgements", "withdrawals", "set_asides")
    lists: dict[str, Any] = {
        name: tuple(it for it in getattr(facts, name) if it.at <= approval.at and it.digest != approval.digest)
        for name in (*fields, "incidents", "forecasts", "amendments")
    }
    return replace(facts, checkpoint=replace(facts.checkpoint, time=approval.at), **lists)


def _seen(case: Case, versions: Sequence[Version], facts: Facts, approval: Approval) -> Iterator[str]:
    """The digests of the findings that an approval saw (rule 30): in the states that it names, or that stood then."""
    saw, decider = case.saw[approval.digest], Decider(versions, facts)
    for action, decision in _decisions(case, decider, _gated(versions), approval.at).items():
        for ruling in decision.rulings:
            known = decider.policies[ruling.policy]
            current = max(place for place, it in enumerate(known) if it.since <= approval.at)
            asked = Asked(known, decider.index, action, Clock(approval.at))
            view = View(asked, current, known[0].entered, case.subject, case.deployment)
            for finding in (cell.finding for cell in ruling.cells):
                state = finding.state if saw is None else saw.get(finding.threshold)
                if state is not None:
                    yield saw_finding(view, finding, state)


# -- comparing ---------------------------------------------------------------------------------------------------------


def reasons(decision: Decision) -> tuple[tuple[str, Reason], ...]:
    """Every reason for a hold, each with what it is about: the action, a policy, a threshold or a requirement."""
    found = [(decision.action, reason) for reason in decision.reasons]
    for ruling in decision.rulings:
        if ruling.governs and ruling.verdict == "hold":
            found += [(ruling.policy, reason) for reason in ruling.reasons]
            for cell in ruling.cells:
                if not cell.opens:
                    found += [(cell.finding.threshold, reason) for reason in cell.finding.reasons]
                    found += [(it.name, reason) for it in cell.requirements for reason in _unmet(it.tree)]
    return tuple(dict.fromkeys(found))


def _unmet(node: Node) -> Iterator[Reason]:
    if not node.holds:
        yield from node.reasons
        for part in node.parts:
            yield from _unmet(part)


def lines(decision: Decision) -> tuple[str, ...]:
    """The reasons for a hold in words; for a permit, how far it reaches."""
    if decision.bounds is not None:
        return (_reach(decision),)
    return tuple(f"{name}: {reason.text}" for name, reason in reasons(decision))


def _reach(decision: Decision) -> str:
    if decision.bounds is None:
        return "hold"
    most = decision.bounds.most_effective_compute
    return f"permit up to {most:.4g} FLOP of effective compute, until {timestamp(decision.bounds.not_after)}"


def _failures(outcome: Outcome, versions: Sequence[Version], facts: Facts) -> Iterator[Failure]:
    case, decisions = outcome.case, outcome.decisions
    if not case.expects:
        yield Failure("expects nothing: say what must come out with `expect`")
    for action, expected in case.expect.items():
        yield from _verdict(decisions[action], expected)
    for name, state in case.findings.items():
        yield from _finding(outcome, versions, facts, name, state)
    for action, texts in case.because.items():
        for text in texts:
            if not any(_says(line, text) for line in _stood(decisions[action])):
                yield Failure(
                    f"expected `{action}` to hold because `{text}`, which is no reason", lines(decisions[action])
                )
    for action, texts in case.resume.items():
        yield from _resumed(decisions[action], texts)
    for name, due in case.duties.items():
        yield from _duty(outcome, name, due)


def _verdict(decision: Decision, expected: Expected) -> Iterator[Failure]:
    if decision.verdict != expected.verdict:
        got = _reach(decision)
        yield Failure(
            f"expected `{decision.action}` to {expected.verdict}, got {got}",
            lines(decision)[: -1 if decision.bounds else None],
        )
    elif decision.bounds is not None:
        most, until = decision.bounds.most_effective_compute, decision.bounds.not_after
        if expected.most_effective_compute not in {None, most}:
            wanted = expected.most_effective_compute
            yield Failure(f"expected `{decision.action}` up to {wanted} FLOP of effective compute, got {most}")
        if expected.not_after is not None and expected.not_after != until:
            wanted_until = timestamp(expected.not_after)
            yield Failure(f"expected `{decision.action}` until {wanted_until}, got {timestamp(until)}")


def _finding(
    outcome: Outcome, versions: Sequence[Version], facts: Facts, threshold: str, expected: State
) -> Iterator[Failure]:
    """A threshold's state must be so at every gate that the case asks about and that lists it."""
    asked = outcome.case.expect or outcome.decisions
    found = [it for action in asked for it in _at_gate(outcome.decisions[action], threshold)]
    found = found or [it for action in outcome.decisions for it in _at_gate(outcome.decisions[action], threshold)]
    found = found or _watched(outcome.case, versions, facts, threshold)
    if not found:
        yield Failure(f"expected `{threshold}` to be {expected}, but no policy in force asks about it")
    for action, it in found:
        if it.state != expected:
            stood = tuple(reason.text for reason in it.reasons)
            yield Failure(f"expected `{threshold}` to be {expected} for `{action}`, got {it.state}", stood)
            return


def _at_gate(decision: Decision, threshold: str) -> list[tuple[str, Finding]]:
    return [(decision.action, cell.finding) for cell in decision.cells if cell.finding.threshold == threshold]


def _watched(case: Case, versions: Sequence[Version], facts: Facts, threshold: str) -> list[tuple[str, Finding]]:
    """A threshold that stands at no gate, such as an alert: as if `deploy-internal` asked about it alone."""
    gate, closed = {"deploy-internal": {threshold: Cell(("never",))}}, {"never": Never("never")}
    asking = [
        replace(
            it,
            policy=replace(it.policy, gates=gate, not_governed={}, requirements={**it.policy.requirements, **closed}),
        )
        for it in versions
        if threshold in it.policy.thresholds
    ]
    decision = _decisions(case, Decider(asking, facts), gate, case.at)["deploy-internal"]
    return _at_gate(decision, threshold)


def _stood(decision: Decision) -> list[str]:
    """All that may be said of a hold: in words and as codes why it holds, and what its explanation does not show; and
    the states of thresholds that are not below.
    """
    if decision.verdict == "permit":
        return []
    found = dict.fromkeys([*reasons(decision), *_not_shown(decision)])
    said = [f"{name}: {reason.text}" for name, reason in found]
    codes = [f"{name}: {reason.code}\n" for name, reason in found]
    findings = [cell.finding for cell in decision.cells if cell.finding.state != "below"]
    return said + codes + [f"{finding.threshold}: {finding.state}\n" for finding in findings]


def _not_shown(decision: Decision) -> Iterator[tuple[str, Reason]]:
    """The reason of every leaf that is not below, or not met, also where the cell opens in another way."""
    for cell in decision.cells:
        trees = [(cell.finding.threshold, cell.finding.tree), *((it.name, it.tree) for it in cell.requirements)]
        for name, tree in trees:
            yield from ((name, reason) for node in tree.walk() if not node.holds for reason in node.reasons)


def _says(line: str, text: str) -> bool:
    """Whether a reason says the text, whatever its case, spaces and backticks. A code must be named as a whole."""
    return _plainly(line) == _plainly(text) if line.endswith("\n") else _plainly(text) in _plainly(line)


def _plainly(text: str) -> str:
    return " ".join(text.replace("`", "").casefold().split())


def _resumed(decision: Decision, texts: Sequence[str]) -> Iterator[Failure]:
    """Each text must stand in some step of some way; no text at all: there must be no way."""
    steps = tuple(dict.fromkeys(step for way in resume(decision) for step in way))
    if decision.verdict == "permit":
        yield Failure(f"expected `{decision.action}` to hold, got {_reach(decision)}")
    elif not texts and steps:
        yield Failure(f"expected nothing to lift the hold of `{decision.action}`", steps)
    for text in texts:
        if not any(_says(step, text) for step in steps):
            yield Failure(
                f"expected `{text}` among what would lift the hold of `{decision.action}`", steps or ("nothing",)
            )


def _duty(outcome: Outcome, name: str, due: datetime | None) -> Iterator[Failure]:
    """The duty must have started; with `due`, that must be among the times that are told of one start of it."""
    rulings = [ruling for decision in outcome.decisions.values() for ruling in decision.rulings]
    started = [it for ruling in rulings for it in ruling.started]
    told = [it.dues(outcome.case.at) for it in started if it.duty == name]
    dues = {moment for it in told for moment in (it.first, it.previous, it.next, it.final) if moment is not None}
    if not told:
        others = sorted({it.duty for it in started})
        yield Failure(f"expected duty `{name}` to start, which it did not", tuple(f"started: {it}" for it in others))
    elif due is not None and due not in dues:
        got = ", ".join(timestamp(it) for it in sorted(dues)) or "no deadline"
        yield Failure(f"expected duty `{name}` to be due at {timestamp(due)}, got {got}")
