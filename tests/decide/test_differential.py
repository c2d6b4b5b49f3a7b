"""The rule against a second reading of its page: verdicts, findings, requirements and bounds, on generated cases."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import event, given, settings
from hypothesis import strategies as st

from decide.cases import (
    AT,
    AUDITOR,
    CHILD,
    DAY,
    FOUNDATION,
    HALF_YEAR,
    HONEST,
    MODEL,
    SIBLING,
    facts,
    named,
    runs,
    simple,
    stated,
)
from decide.reference import answer
from decide.strategies import EFFORT, Case, cases, families, since, snapshots
from decide.test_laws import law, told_more_of_a_near_miss
from interlock.decide.decision import Cell, Decision
from interlock.decide.facts import Check
from interlock.policy.model import Assumption


def told(decision: Decision) -> dict:
    """What both say of a decision; of a policy that does not govern, only that."""
    bounds = decision.bounds
    return {
        "verdict": decision.verdict,
        "bounds": bounds and (bounds.most_effective_compute, bounds.not_after),
        "policies": {
            it.policy: (it.verdict, {cell.finding.threshold: row(cell) for cell in it.cells}) if it.governs else None
            for it in decision.rulings
        },
    }


def row(cell: Cell) -> tuple:
    """State, overdue, opens, requirements."""
    met = {it.name: it.met for it in cell.requirements}
    return cell.finding.state, cell.finding.overdue is not None, cell.opens, met


def reference(case: Case) -> dict:
    """The same of the second reading."""
    found = answer(case.versions, case.facts, **case.question)
    permit = found.verdict == "permit"
    return {
        "verdict": found.verdict,
        "bounds": (found.most_effective_compute, found.not_after) if permit else None,
        "policies": {name: (it.verdict, it.cells) if it.governs else None for name, it in found.policies.items()},
    }


@settings(law, max_examples=30 * EFFORT)
@given(told_more_of_a_near_miss(), st.booleans())
def test_they_agree_on_what_outweighs_what_an_earlier_version_has_seen(asked, sound):
    case, result = asked
    result = result if sound else replace(result, signers=frozenset())
    after = case.knowing(results=(*case.facts.results, result))
    assert told(case.decide()) == reference(case)
    assert told(after.decide()) == reference(after)


#: Wrong answers of 100, and whether a check passed; each with how many days ago.
RESULTS = st.tuples(st.sampled_from([0, 0, 15]), st.sampled_from([60, 60, 30]))
CHECKS = st.tuples(st.sampled_from([True, True, False]), st.sampled_from([50, 9, 8, 7, 5]))


@st.composite
def snapshots_of_a_run(draw) -> Case:
    """What one run saved, copies of it among them: results and checks on any of it, and a budget that is amended."""
    subject, other = draw(st.permutations([MODEL, CHILD, SIBLING]))[:2]
    kin = draw(families())
    kin |= {it: replace(kin[it], steps=way) for it, way in draw(snapshots(subject, other)).items()}
    rule = Assumption(HONEST, AUDITOR, HALF_YEAR, checked="a-check", coverage=Fraction(1, 2))
    begins = AT - draw(st.sampled_from([45, 45, 20])) * DAY
    budgets = [Fraction(draw(st.sampled_from(["0", "1/100", "1/5"]))) for _ in range(2)]
    first, second = (simple(assumptions=named(rule), attacker_budget=it) for it in budgets)
    check = Check("a-check", passed=True, caught=20, organisms=20)
    made, words = [runs(subject=subject, planned_at=AT - 10 * DAY)], []
    for it in (FOUNDATION, *draw(st.permutations([MODEL, CHILD, SIBLING]))):
        for correct, days in draw(st.lists(RESULTS, max_size=2)):
            made += [runs(correct=correct, subject=it, planned_at=AT - days * DAY, seed=len(made))]
        for passed, days in draw(st.lists(CHECKS, max_size=2)):
            words += [stated(HONEST, about=it, check=replace(check, passed=passed), at=AT - days * DAY)]
    words += [stated(HONEST, about=subject, check=check, at=AT - 6 * DAY)]
    known = facts(*made, subjects=kin, attestations=words)
    versions = since(first, "1", AT - 200 * DAY), since(second, "2", begins)
    action = draw(st.sampled_from(["scale", "scale", "scale", "deploy-api"]))
    return Case(versions[: draw(st.integers(1, 2))], known, subject, action, AT)


@settings(law, max_examples=200 * EFFORT)
@given(snapshots_of_a_run())
def test_they_agree_on_what_speaks_along_the_line(case):
    decision = case.decide()
    event(decision.verdict)
    assert told(decision) == reference(case)


@settings(law, max_examples=250 * EFFORT)
@given(cases())
def test_two_readings_of_the_page_agree(case):
    decision = case.decide()
    event(decision.verdict)
    assert told(decision) == reference(case)
