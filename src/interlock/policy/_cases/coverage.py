"""What of a policy no case exercises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.decide.decision import in_order
from interlock.policy._cases.values import Coverage
from interlock.policy.model import Combined, Defined, Hole, Never

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interlock.decide.decision import Decision, State
    from interlock.policy._cases.values import Outcome, Place
    from interlock.policy.model import Policy


def coverage(policy: Policy, outcomes: Sequence[Outcome]) -> Coverage:
    """What no case exercises. Only actions that a case says something about count, and only for cases that passed."""
    permitted: set[Place] = set()
    held: set[Place] = set()
    seen: set[tuple[str, State]] = set()
    met: set[tuple[str, bool]] = set()
    for outcome in outcomes:
        seen |= set(outcome.case.findings.items()) if outcome.passed else set()
        for decision in _asserted(outcome):
            for ruling in decision.rulings:
                if (ruling.policy, ruling.version) != (policy.id, policy.version):
                    continue
                for cell in ruling.cells:
                    place, state = (decision.action, cell.finding.threshold), cell.finding.state
                    seen.add((cell.finding.threshold, state))
                    if ruling.verdict == "permit":
                        permitted.add(place)
                    elif not cell.opens:
                        held.add(place)
                    if state != "below":
                        met |= {(it.name, it.met) for it in cell.requirements}
    places = [(action, name) for action in in_order(policy.gates) for name in policy.gates[action]]
    gating = [place for place in places if policy.gates[place[0]][place[1]].requires]
    thresholds = dict.fromkeys(name for _, name in gating)
    required = dict.fromkeys(name for action, at in gating for name in policy.gates[action][at].requires)
    return Coverage(
        never_permitted=tuple(it for it in gating if it not in permitted and _can_open(policy, it)),
        never_held=tuple(it for it in gating if it not in held),
        never_below=tuple(it for it in thresholds if (it, "below") not in seen and _can_be_below(policy, it)),
        never_reached=tuple(it for it in thresholds if (it, "reached") not in seen),
        never_met=tuple(it for it in required if (it, True) not in met and _can_be_met(policy, it)),
        never_unmet=tuple(it for it in required if (it, False) not in met and _can_be_unmet(policy, it)),
    )


def _asserted(outcome: Outcome) -> list[Decision]:
    case = outcome.case
    actions = {*case.expect, *case.because, *case.resume} if outcome.passed else set()
    return [decision for action, decision in outcome.decisions.items() if action in actions]


def _can_be_below(policy: Policy, name: str) -> bool:
    """Some evidence rules it out. Whatever is under the line of the scope itself, the policy does not govern."""
    threshold = policy.thresholds[name]
    if threshold.below_if:
        return True
    return not threshold.hole and (threshold.judged is not None or threshold.reached_when != policy.scope.subjects)


def _can_be_met(policy: Policy, requirement: str) -> bool:
    """Whether anything can: never a hole, nor a level that is one, unless an exception stands in for it."""
    if any(requirement in rule.instead_of for rule in policy.exceptions.values()):
        return True
    it = policy.requirements[requirement]
    if isinstance(it, Combined):
        return sum(_can_be_met(policy, part) for part in it.of) >= it.count
    return _defined(policy, it) if isinstance(it, Defined) else not isinstance(it, Hole | Never)


def _can_be_unmet(policy: Policy, requirement: str) -> bool:
    it = policy.requirements[requirement]
    return not (isinstance(it, Defined) and _defined(policy, it))


def _defined(policy: Policy, it: Defined) -> bool:
    """The policy's own text says whether a level is defined, and no case can change that."""
    return it.threshold in policy.thresholds and not policy.thresholds[it.threshold].hole


def _can_open(policy: Policy, place: Place) -> bool:
    requires = policy.gates[place[0]][place[1]].requires
    return _can_be_below(policy, place[1]) or all(_can_be_met(policy, name) for name in requires)
