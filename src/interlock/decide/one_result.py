"""One result by itself: what it counts to for a measure, and where it is less than a demand asks. Numbers in comments
are those of docs/semantics.md. Whether it counts, and who answers for it, is left to `view.py`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.decide.bounds import Tally
from interlock.decide.decision import Scale
from interlock.policy import exact
from interlock.policy.model import Measure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from interlock.decide.facts import Result
    from interlock.policy.model import Demand, Unbounded


def start(result: Result) -> datetime:
    """From when a result counts: its plan's ledger time."""
    return result.plan.at if result.plan else result.at


def scored(result: Result, measure: Measure | Unbounded) -> int:
    """How many units have a score that counts in favour: of a capability, a refusal has none (rule 1)."""
    refused = result.refused_scores if measure.kind == "capability" else 0
    return result.scored - min(max(refused, 0), result.scored)


def scale(measure: Measure) -> Scale:
    """The measure's scale."""
    return Scale(measure.low, measure.high, measure.danger == "lower")


def tally(result: Result, measure: Measure) -> Tally | None:
    """What a result counts to, turned (rules 1 and 2); None: it cannot be read for the measure (rule 3)."""
    n, told, low, high = result.units, result.scored, measure.low, measure.high
    unscored, refused, turned = n - told, told - scored(result, measure), measure.danger == "lower"
    if not 0 <= told <= n:
        return None
    if result.total is None:
        if low != 0 or high != 1 or not 0 <= result.correct <= told:
            return None
        count = told - result.correct if turned else result.correct
        most = Fraction(min(count + unscored + refused, n))
        return Tally(n, most, Fraction(count), sequential=result.sequential)
    if not told * low <= result.total <= told * high:
        return None
    total = told * (low + high) - result.total if turned else result.total
    most = min(total + unscored * high + refused * (high - low), n * high)
    return Tally(n, most, total + unscored * low, low, high, binary=False)


def fits(result: Result, measure: Measure | Unbounded) -> bool:
    """Whether a result is one of the measure: its task, version and metric, and all else that the measure asks."""
    if isinstance(measure, Measure):
        bare = measure.on == "deployment" or result.protocol.deployment is None
        return bare and next(wrong_measure(result, measure), None) is None
    protocol = result.protocol
    return (protocol.task, protocol.task_version, protocol.metric) == (
        measure.task,
        measure.task_version,
        measure.metric,
    )


def wrong_measure(result: Result, measure: Measure) -> Iterator[str]:
    """Where a result is of something else than the measure, in words (rule 11; its deployment is looked at apart)."""
    protocol = result.protocol
    if (protocol.task, protocol.task_version, protocol.metric) != (measure.task, measure.task_version, measure.metric):
        yield f"it ran `{protocol.task}@{protocol.task_version}`, expected @{measure.task_version}"
    if protocol.unit != measure.unit:
        yield f"it counts {protocol.unit}s, expected {measure.unit}s"
    if measure.samples_digest and protocol.samples_digest != measure.samples_digest:
        yield "it ran other samples than the policy names"
    if tally(result, measure) is None:
        yield "its scores cannot be read for the measure"


def too_weak(result: Result, demand: Demand) -> Iterator[str]:
    """Where a result tried less than a demand asks (rule 13)."""
    protocol = result.protocol
    if protocol.elicitation != demand.elicitation:
        yield f"it is `{protocol.elicitation}`"
        return
    if protocol.elicitation == "few-shot":
        if protocol.shots < 1:
            yield "it is called few-shot and showed no examples"
        elif protocol.shots < demand.demonstrations:
            yield f"it showed {protocol.shots} examples, the policy demands {demand.demonstrations}"
    elif protocol.demonstrations < max(demand.demonstrations, int(protocol.elicitation == "fine-tuned")):
        yield f"demonstrations trained on: {protocol.demonstrations}, the policy demands {demand.demonstrations}"
    if result.flop < demand.flop:
        yield f"it spent {result.flop} FLOP, the policy demands {demand.flop}"
    if protocol.attempts < demand.attempts:
        yield f"it made {protocol.attempts} attempts a sample, the policy demands {demand.attempts}"
    if demand.tools and not protocol.tools:
        yield "it had no tools"
    if demand.safety_ablated and not protocol.safety_ablated:
        yield "its refusals were not trained away"
    if result.refused_at_most > demand.refusals * result.units:
        refused = f"it may have refused {result.refused_at_most} of {result.units}"
        yield f"{refused}, at most {exact(demand.refusals)} are allowed"
