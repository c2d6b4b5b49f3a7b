"""Every policy with up to three thresholds, every finding, every requirement met or not: the verdict is the one that
the rule gives by hand, and that the second reading of its page gives.

Each finding is really made by facts. `overdue` is one that nothing was evaluated for.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest

from decide.cases import AT, AUDITOR, HALF_YEAR, MODEL, ask, attested, known, line, named, runs, simple, since
from decide.reference import answer
from interlock.policy.model import At, Attested, Cell

FINDINGS = {"below": 0, "not ruled out": 15, "reached": 60, "overdue": None}
NAMES = "abc"


def under(number):
    """As many thresholds, each on a measure of its own and with a requirement of its own."""
    lines = [line(f"t-{name}", At(name, Fraction("0.20"))) for name in NAMES[:number]]
    needs = [Attested(f"n-{name}", "", AUDITOR, "subject", HALF_YEAR) for name in NAMES[:number]]
    gate = {it.name: Cell((need.name,)) for it, need in zip(lines, needs, strict=True)}
    return simple(*lines, requirements=named(*needs), gates={"scale": gate})


def ledger(row):
    """Facts that make each threshold's finding, and meet each requirement or not."""
    made, words = [], []
    for name, (finding, met) in zip(NAMES, row, strict=False):
        bad = FINDINGS[finding]
        made += [] if bad is None else [runs(name, bad)]
        words += [attested(f"n-{name}")] if met else []
    return known(*made, attestations=words)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_gate_of_so_many_thresholds(number):
    versions = [since(under(number))]
    values = list(product(FINDINGS, [True, False]))
    for row in product(values, repeat=number):
        told = ledger(row)
        decision = ask(told, *versions)
        opens = [finding == "below" or (finding != "overdue" and met) for finding, met in row]
        states = ["not ruled out" if finding == "overdue" else finding for finding, _ in row]
        assert [cell.finding.state for cell in decision.cells] == states, row
        assert [cell.opens for cell in decision.cells] == opens, row
        assert (decision.verdict == "permit") == all(opens), row
        second = answer(versions, told, subject=MODEL, deployment=None, action="scale", at=AT)
        assert second.verdict == decision.verdict, row
        assert [it[2] for it in second.policies["simple"].cells.values()] == opens, row


@pytest.mark.parametrize("verdicts", list(product([True, False], repeat=3)))
def test_every_conjunction_of_three_policies(verdicts):
    policies = []
    for place, permits in enumerate(verdicts):
        level = Fraction("0.20") if permits else Fraction("0.02")
        policies.append(simple(line("t", At("a", level)), id=f"p{place}"))
    decision = ask(known(runs(correct=5)), *policies)
    assert (decision.verdict == "permit") == all(verdicts)
    assert [ruling.verdict == "permit" for ruling in decision.rulings] == list(verdicts)
