"""Checks of what counts as evidence: how hard evaluations try, who runs and vouches for them, how much room is kept."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from interlock.policy._lint.view import Hit, by_message, leaves, listing
from interlock.policy._lint.ways import assumptions
from interlock.policy._scalar import exact
from interlock.policy.model import CERTIFIED, TRAINED, At, AtLeast, UnderScreen
from interlock.policy.time import Duration, longer, spoken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.policy._lint.view import Rule, View
    from interlock.policy._lint.ways import Ways
    from interlock.policy.model import Expr, Refresh, RuleOut, Threshold

#: Trained, or evidence of another kind than behaviour.
_TRIED = TRAINED | {"understanding-based"}
_NINE_TENTHS = Fraction(9, 10)
#: The slowest clocks among published policies: RSP 2.2 (6 months), Frontier Safety Framework 1.0 (6x).
_SLOWEST, _WIDEST = Duration(6, 0), Fraction(6)
_BUDGET = Fraction(1, 100)
#: What is less is taken for this, so that floats can hold it and its square.
_LEAST = Fraction(1, 10**100)


def _untrained(view: View, threshold: Threshold) -> bool:
    """Whether a capability is ruled out without training the subject for it."""
    if threshold.rule_out is None or threshold.takeover_potential or threshold.judged is not None:
        return False
    tried = any(demand.elicitation in _TRIED for demand in threshold.rule_out.elicitation)
    measured = [part for at in leaves(threshold.reached_when) for part in view.plain(at.measure)]
    return not tried and any(part.kind == "capability" for part in measured)


def no_fine_tuning(view: View, _ways: Ways) -> Iterator[Hit]:
    """Capabilities below the takeover level that prompting alone rules out."""
    for it in view.governing:
        if _untrained(view, it) and it.rule_out is not None:
            asked = listing(demand.elicitation for demand in it.rule_out.elicitation)
            yield Hit(
                f"thresholds.{it.name}.rule_out",
                f"`{it.name}` is ruled out by {asked} alone, which a model can fail on purpose; add `fine-tuned` or "
                f"`rl-fine-tuned`",
            )


def screen_without_fine_tuning(view: View, _ways: Ways) -> Iterator[Hit]:
    """Thresholds that a screen rules out without any fine-tuning."""
    for it in view.governing:
        for way in it.below_if:
            screen = view.policy.thresholds[way.threshold] if isinstance(way, UnderScreen) else None
            if screen is not None and not it.takeover_potential and _untrained(view, screen):
                yield Hit(
                    f"thresholds.{it.name}.below_if",
                    f"the screen `{screen.name}` rules `{it.name}` out without fine-tuning; ask the screen for it too",
                )


def no_sandbagging_evidence(view: View, _ways: Ways) -> Iterator[Hit]:
    """Assumptions that only somebody who is not independent of the evaluations vouches for."""
    used: dict[str, set[str]] = {}
    for it in view.rules:
        for measure in {part for at in it.leaves for part in view.plain(at.measure)}:
            for name in assumptions(measure, it.rule):
                used.setdefault(name, set()).add(it.rule.run_by)
    for name in sorted(used):
        assumption = view.policy.assumptions.get(name)
        if assumption is None or assumption.checked:
            continue
        close = sorted(role for role in used[name] if not view.independent(assumption.by, role))
        if close:
            yield Hit(
                f"assumptions.{name}",
                f"nothing but the word of `{assumption.by}`, which is not `independent_of` {listing(close)}, says that "
                f"`{name}` holds; have it `checked`, or stated by an independent role",
            )


def blunt_check(view: View, _ways: Ways) -> Iterator[Hit]:
    """Certified elicitors of which nobody asks that they ever let anything be ruled out."""
    for name, it in view.policy.assumptions.items():
        if it.checked == CERTIFIED and not it.sharpness:
            yield Hit(
                f"assumptions.{name}",
                f"`{name}` asks for `{CERTIFIED}` without `sharpness`: an elicitor whose bounds are always 1 would do, "
                f"and one that is certified need not be the one that runs; add `sharpness: 0.8`",
            )


def no_external_auditor(view: View, _ways: Ways) -> Iterator[Hit]:
    """Policies in which the developer's evaluations stand on its own word."""
    if not view.runners:
        return
    outside = [name for name, role in view.policy.roles.items() if role.independent_of]
    takes_part = {
        *view.runners,
        *(it.by for it in view.policy.assumptions.values()),
        *(it.by for it in view.attested),
        *(it.judged.by for it in view.governing if it.judged),
    }
    for role in takes_part.intersection(outside):
        if role in view.runners or any(view.independent(role, runner) for runner in view.runners):
            return
    yield Hit(
        "roles",
        f"no role that is independent of {listing(view.runners)}, which runs the evaluations, runs, states or attests "
        f"anything; give an external auditor (`independent_of`) a part in the evidence",
    )


def no_independent_role(view: View, _ways: Ways) -> Iterator[Hit]:
    """Policies in which no mistaken result can be set aside."""
    if not view.policy.independent:
        yield Hit(
            "independent",
            "no role may set a mistaken result aside or repeat the evaluations of a reached ancestor, so both hold for "
            "ever; name an `independent` role",
        )


# -- room


def buffer_not_above_refresh(view: View, _ways: Ways) -> Iterator[Hit]:
    """Buffers that end before the next evaluation is due."""
    found = []
    for it in view.rules:
        if outgrown(it.rule):
            buffer, due = exact(it.rule.buffer.multiple), exact(it.rule.refresh.multiple)
            then = (
                f"the next evaluation is due at {due}x"
                if it.rule.refresh.names_multiple
                else "no growth brings the next evaluation"
            )
            message = (
                f"the buffer of {{names}} covers {buffer}x and {then}: "
                f"a level can be passed unseen between two; widen the buffer or evaluate sooner"
            )
            found.append((f"{it.path}.rule_out.buffer", it.name, message))
    yield from by_message(found)


def outgrown(rule: RuleOut) -> bool:
    """Whether the buffer ends before the next evaluation is due."""
    return rule.buffer.names_multiple and rule.buffer.multiple <= rule.refresh.multiple


def no_buffer(view: View, _ways: Ways) -> Iterator[Hit]:
    """Levels without any room under them."""
    found = [
        (
            f"{it.path}.rule_out.buffer",
            it.name,
            "no buffer is kept under {names}; leave room for what training adds until the next evaluation",
        )
        for it in view.rules
        if roomless(view, it)
    ]
    yield from by_message(found)


def roomless(view: View, rule: Rule) -> bool:
    """Whether no room is kept under a level that may be passed between two evaluations."""
    buffer = rule.rule.buffer
    covers = buffer.names_multiple or (buffer.forecast_by and buffer.multiple > 1)
    return not covers and not buffer.margin and not _one_look(view, rule)


def _one_look(view: View, rule: Rule) -> bool:
    """Of a deployment, or of safeguards: nothing grows between two evaluations."""
    return all(part.on == "deployment" for at in rule.leaves for part in view.plain(at.measure))


def slow_refresh(view: View, _ways: Ways) -> Iterator[Hit]:
    """Results that are relied on for longer than any published policy does."""
    found = []
    for it in view.rules:
        refresh = it.rule.refresh
        if longer(refresh.period, _SLOWEST) or refresh.multiple > _WIDEST:
            message = (
                f"results on {{names}} are relied on for {_growth(refresh)} and {_length(refresh)}; "
                f"evaluate at least every 6x and 6 months"
            )
            found.append(("refresh" if refresh == view.policy.refresh else f"{it.path}.rule_out", it.name, message))
    yield from by_message(found)


def _growth(refresh: Refresh) -> str:
    return f"{exact(refresh.multiple)}x" if refresh.names_multiple else "any growth in compute"


def _length(refresh: Refresh) -> str:
    return spoken(refresh.period) if refresh.names_period else "any length of time"


def low_confidence(view: View, _ways: Ways) -> Iterator[Hit]:
    """Levels that are ruled out on weak evidence."""
    found = [
        (
            f"{it.path}.rule_out.confidence",
            it.name,
            f"{{names}} is decided at a confidence of {exact(it.rule.confidence)}; ask for at least 0.9",
        )
        for it in view.rules
        if it.rule.confidence < _NINE_TENTHS
    ]
    yield from by_message(found)


def low_coverage(view: View, _ways: Ways) -> Iterator[Hit]:
    """Evaluations that may leave out more than a tenth of their samples."""
    found = [
        (
            f"{it.path}.rule_out.coverage",
            it.name,
            f"{{names}} may be decided with {exact(1 - it.rule.coverage)} of the samples unscored; cover 0.9 at least",
        )
        for it in view.rules
        if it.rule.coverage < _NINE_TENTHS
    ]
    yield from by_message(found)


def too_few_samples(view: View, _ways: Ways) -> Iterator[Hit]:
    """Evaluations whose least number of samples rules nothing out, even without a single dangerous one."""
    for threshold in view.deciding:
        rule = threshold.rule_out
        for at, share in _shares(threshold.reached_when, Fraction(1)):
            for measure in view.plain(at.measure):
                if rule is None or measure.name != at.measure or measure.least_samples <= 1:
                    continue
                enough = _enough(view, at, rule, share)
                if measure.least_samples < enough:
                    yield Hit(
                        f"measures.{measure.name}.source.at_least",
                        f"`at_least: {measure.least_samples}` cannot rule `{threshold.name}` out, even if no sample is "
                        f"dangerous: at its confidence and margin it takes {enough}; ask for as many",
                    )


def _shares(expr: Expr | None, share: Fraction) -> Iterator[tuple[At, Fraction]]:
    if isinstance(expr, At):
        yield expr, share
    elif isinstance(expr, AtLeast):
        for part in expr.parts:
            yield from _shares(part, share / expr.count)


def _enough(view: View, at: At, rule: RuleOut, share: Fraction) -> int:
    """The fewest samples that rule the level out if none is dangerous (rules 1 and 2).

    In floats, rounded towards fewer: what is reported is certain.
    """
    scale, alpha = view.scale(at.measure), float(max((1 - rule.confidence) * share, _LEAST))
    gap = float(max((view.line(at, rule) - scale.low) / (scale.high - scale.low), _LEAST))
    if gap >= 1:
        return 1
    binary = scale.low == 0 and scale.high == 1
    samples = math.log(alpha) / math.log1p(-gap) if binary else -math.log(alpha) / (2 * gap * gap)
    return math.ceil(samples * (1 - 1e-9))


def attacker_budget(view: View, _ways: Ways) -> Iterator[Hit]:
    """A smaller post-training budget than published policies assume of whoever gets the weights."""
    share = view.policy.attacker_budget
    if share < _BUDGET:
        said = view.policy.attacker_budget_source
        yield Hit(
            "attacker_budget",
            f"derivatives made with more than {exact(share)} of the training compute do not count against the subject; "
            + (f"the policy's reason: {said}" if said else "say why in `source`, or raise it to 0.01"),
        )


def judged_without_measures(view: View, _ways: Ways) -> Iterator[Hit]:
    """Thresholds that a role judges without any evaluation."""
    for it in view.governing:
        if it.judged is None or it.hole or any(name in view.policy.measures for name in it.judged.on):
            continue
        yield Hit(
            f"thresholds.{it.name}.on",
            f"`{it.judged.by}` judges `{it.name}` on {listing(it.judged.on)}, and on no evaluation; name a measure too",
        )
