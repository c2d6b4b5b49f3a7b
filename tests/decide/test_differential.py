"""The rule against a second reading of its page: verdicts, findings, requirements and bounds, on generated cases."""

from __future__ import annotations

from hypothesis import event, given, settings

from decide.reference import answer
from decide.strategies import EFFORT, Case, cases
from decide.test_laws import law
from interlock.decide.decision import Cell, Decision


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


@settings(law, max_examples=250 * EFFORT)
@given(cases())
def test_two_readings_of_the_page_agree(case):
    decision = case.decide()
    event(decision.verdict)
    assert told(decision) == reference(case)
