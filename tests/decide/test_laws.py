"""The laws of DESIGN 3.4 on generated policies and ledgers, and the rule against a slow second reading of its page."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import rfc8785
from hypothesis import HealthCheck, Phase, assume, event, given, settings
from hypothesis import strategies as st

from decide.cases import DAY, HOUR, SECOND
from decide.reference import Reference
from decide.strategies import Case, cases, more_runs, words
from interlock.decide.decision import lifts, to_json
from interlock.policy.model import Hole, Never

if TYPE_CHECKING:
    from datetime import datetime

slow_or_rare = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
law = settings(max_examples=60, deadline=None, suppress_health_check=slow_or_rare)
data = st.data()


def never_opens(before: Case, after: Case) -> None:
    """The step from `before` to `after` must not turn a hold into a permit."""
    if after.permits:
        event("permits after the step")
        assert before.permits
    elif before.permits:
        event("the step closes the gate")


def seen(case: Case, at: datetime) -> Case:
    """The same question later, to a ledger that has signed a new checkpoint since and learnt nothing."""
    return replace(case.knowing(checkpoint=replace(case.facts.checkpoint, time=at)), at=at)


#: As they are, or with all their evidence gone or stale, so that only what else is there can open a gate.
starved = st.builds(
    lambda case, how: how(case),
    cases(),
    st.sampled_from(
        [
            lambda case: case,
            lambda case: case.knowing(results=()),
            lambda case: seen(case, case.facts.checkpoint.time + 91 * DAY),
        ]
    ),
)


def test_generated_cases_permit_often_enough_for_the_laws_to_mean_something():
    verdicts = []

    @settings(law, max_examples=300, derandomize=True, database=None, phases=[Phase.generate])
    @given(cases())
    def collect(case):
        verdicts.append(case.decide())

    collect()
    permits = [decision for decision in verdicts if decision.verdict == "permit"]
    states = [cell.finding.state for decision in permits for cell in decision.cells]
    share = len(permits) / len(verdicts)
    assert 0.15 < share < 0.85, share
    assert states.count("below") > 20
    assert len(states) - states.count("below") > 20, "no permit by a requirement"


@settings(law, max_examples=300)
@given(starved)
def test_the_rule_is_the_one_that_the_page_tells(case):
    decision = case.decide()
    told = Reference(case.policy, case.facts, case.subject, case.action, case.at).bounds()
    event(decision.verdict)
    got = decision.bounds and (decision.bounds.most_effective_compute, decision.bounds.not_after)
    assert got == told
    assert (decision.verdict == "permit") == (told is not None)


# -- the answer --------------------------------------------------------------------------------------------------------


@law
@given(cases())
def test_reproducible(case):
    first, second = to_json(case.decide()), to_json(case.decide())
    assert rfc8785.dumps(first) == rfc8785.dumps(second)


@law
@given(cases())
def test_a_permit_means_that_nothing_speaks_against_it_and_a_hold_says_what_does(case):
    decision = case.decide()
    if decision.verdict == "permit":
        assert decision.bounds is not None
        assert decision.cells
        assert not decision.holding
        assert not decision.reasons
    else:
        assert decision.bounds is None
        assert decision.reasons or decision.holding
        assert all(cell.finding.reasons for cell in decision.holding)
        assert all(way for cell in decision.holding for way in lifts(cell))


@law
@given(cases(), st.sampled_from(["gate", "cell"]))
def test_nothing_passes_by_vacuity(case, what):
    gates = {action: {} if what == "gate" else dict.fromkeys(cells, ()) for action, cells in case.policy.gates.items()}
    emptied = replace(case, policy=replace(case.policy, gates=gates))
    decision = emptied.decide()
    assert decision.verdict == "hold" or {cell.finding.state for cell in decision.cells} == {"below"}


# -- fail closed, holes ------------------------------------------------------------------------------------------------


@law
@given(cases(), st.lists(st.sampled_from(["results", "attestations", "subjects"]), min_size=1))
def test_fail_closed(case, missing):
    gone = {name: {} if name == "subjects" else () for name in missing}
    if "results" in missing or "subjects" in missing:
        assert not case.knowing(**gone).permits
    else:
        never_opens(case, case.knowing(**gone))


@law
@given(cases())
def test_holes_hold(case):
    for cell in case.decide().cells:
        listed = case.policy.gates[case.action][cell.finding.threshold]
        shut = any(isinstance(case.policy.requirements[name], Hole | Never) for name in listed)
        if shut and cell.finding.state != "below":
            event("a hole that is not ruled out")
            assert not cell.opens
            assert not case.permits


# -- worse, less, adverse ----------------------------------------------------------------------------------------------


@st.composite
def worse(draw, result):
    """The same run, with more dangerous outcomes, fewer scores, or fewer signatures."""
    scored = draw(st.integers(result.correct, result.scored))
    correct = draw(st.integers(result.correct, scored))
    signers = frozenset(r for r in result.signers if draw(st.booleans()))
    return replace(result, scored=scored, correct=correct, signers=signers)


@law
@given(starved, data)
def test_worse(case, draw):
    assume(case.facts.results)
    place = draw.draw(st.integers(0, len(case.facts.results) - 1))
    results = list(case.facts.results)
    results[place] = draw.draw(worse(results[place]))
    never_opens(case, case.knowing(results=tuple(results)))


@law
@given(cases(), data)
def test_less_said(case, draw):
    assume(case.facts.attestations)
    kept = tuple(a for a in case.facts.attestations if draw.draw(st.booleans()))
    never_opens(case, case.knowing(attestations=kept))


@law
@given(cases(), data)
def test_less_reported_of_a_plan_that_is_due(case, draw):
    """A withheld result never helps: its plan is open, which holds once it is due, and at once what is irreversible."""
    due = {
        r.plan.digest
        for r in case.facts.results
        if r.plan
        and (
            min(r.plan.report_by, case.policy.report_within.after(r.plan.at)) <= case.at
            or case.action in {"release-weights", "lend"}
        )
    }
    assume(due)
    withheld = draw.draw(st.sampled_from(sorted(due)))
    kept = tuple(r for r in case.facts.results if r.plan is None or r.plan.digest != withheld)
    never_opens(case, case.knowing(results=kept))


def announced(case: Case) -> set[str]:
    return {plan.digest for plan in case.facts.plans}


@law
@given(starved, data)
def test_adverse(case, draw):
    """A positive result never opens a gate; unless it is sound and its threshold was overdue, or its plan was open."""
    made = draw.draw(more_runs(case.policy)).result
    assume(made is not None)
    assume(made.plan is None or made.plan.digest not in announced(case))
    overdue = any(cell.finding.overdue for cell in case.decide().cells)
    plan = None if overdue else made.plan
    never_opens(case, case.knowing(results=(*case.facts.results, replace(made, correct=made.scored, plan=plan))))


@law
@given(starved, data)
def test_an_unsound_result_never_opens_a_gate(case, draw):
    """A defect takes away a result's power to permit, never its power to hold."""
    made = draw.draw(more_runs(case.policy)).result
    assume(made is not None)
    assume(made.plan is None or made.plan.digest not in announced(case))
    never_opens(case, case.knowing(results=(*case.facts.results, replace(made, signers=frozenset()))))


@law
@given(cases(), data)
def test_an_announced_plan_never_opens_a_gate(case, draw):
    made = draw.draw(more_runs(case.policy)).plan
    assume(made is not None)
    never_opens(case, case.knowing(plans=(*case.facts.plans, made)))


@law
@given(cases(), data)
def test_a_word_of_a_role_that_the_policy_does_not_ask_opens_nothing(case, draw):
    said = replace(draw.draw(words(case.policy)), signers=frozenset({"lab", "nobody"}))
    never_opens(case, case.knowing(attestations=(*case.facts.attestations, said)))


# -- later, more compute -----------------------------------------------------------------------------------------------

spans = st.sampled_from([SECOND, HOUR, DAY, 10 * DAY, 29 * DAY, 60 * DAY, 400 * DAY])


@law
@given(cases(), spans)
def test_later(case, span):
    assume(case.at >= max(case.policy.effective, case.facts.checkpoint.time))
    never_opens(case, replace(case, at=case.at + span))
    never_opens(seen(case, case.at), seen(case, case.at + span))


@law
@given(cases())
def test_a_permit_stands_until_it_ends_if_nothing_new_is_said(case):
    bounds = case.decide().bounds
    assume(bounds is not None)
    assert seen(case, bounds.not_after - SECOND).permits


@law
@given(cases(), st.sampled_from(["training_compute", "ec_high"]), st.sampled_from([2, 10, 1000]))
def test_more_compute_never_permits_nor_reaches_further(case, what, times):
    assume(case.subject in case.facts.subjects)
    model = case.facts.subjects[case.subject]
    larger = replace(model, **{what: getattr(model, what) * times})
    after = case.knowing(subjects={**case.facts.subjects, case.subject: larger})
    never_opens(case, after)
    if after.permits:
        assert after.decide().bounds.most_effective_compute <= case.decide().bounds.most_effective_compute


@law
@given(cases())
def test_no_permit_reaches_further_than_refresh_and_lease(case):
    decision = case.decide()
    assume(decision.bounds is not None)
    model = case.facts.subjects[case.subject]
    assert model.ec_high <= decision.bounds.most_effective_compute <= model.ec_low * case.policy.refresh_multiple
    assert case.at < decision.bounds.not_after <= case.policy.permits.lease.after(case.at)
