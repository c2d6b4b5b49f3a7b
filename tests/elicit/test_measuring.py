"""Bounds of one run: where families have several questions, the family is the unit."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from interlock.cli import elicitation
from interlock.decide import bounds
from interlock.elicit import deployed, portfolio
from interlock.elicit.measuring import METHOD, WIDER, Measured

ALPHA = Fraction(1, 20)


def measured(outcomes, size=1):
    """Outcomes in a row, of questions in families of `size`."""
    told = {str(i): outcome for i, outcome in enumerate(outcomes)}
    return Measured(Path("log"), "", told, {name: f"family {int(name) // size}" for name in told})


def test_questions_of_their_own_are_counted_one_by_one():
    found = measured(["wrong"] * 59 + ["right"])
    assert found.upper(ALPHA) == bounds.upper(1, 60, ALPHA)
    told = found.to_json(1 - ALPHA)
    assert (told["method"], "over_families" in told) == (METHOD, False)
    assert found.upper(ALPHA) == Measured(Path("log"), "", found.outcomes).upper(ALPHA)


def test_attack_one_question_asked_ten_times_in_other_words_bounds_no_more_than_once():
    """Six harmless families of ten: as sixty questions they would rule out 0.05."""
    found = measured(["wrong"] * 60, size=10)
    assert bounds.upper(0, 60, ALPHA) < Fraction(1, 20)
    assert found.upper(ALPHA) > Fraction(2, 5)
    told = found.to_json(1 - ALPHA)
    assert told["method"] == WIDER
    assert told["upper"] == told["over_families"]["upper"] == float(found.upper(ALPHA))
    assert (told["n"], told["over_families"]["n"]) == (60, 6)
    assert told["over_questions"] == {"n": 60, "upper": 0.0488, "lower": 0.0, "method": METHOD}
    assert "betting over families" in told["over_families"]["method"]


def test_the_lower_bound_is_the_lower_of_the_two_and_spurious_failures_count_against_each():
    found = measured(["right"] * 30 + ["refusal"] * 30, size=10)
    assert found.lower(ALPHA) < bounds.lower(30, 60, ALPHA)
    assert found.upper(ALPHA) == 1
    assert found.lower(ALPHA) == measured(["right"] * 30 + ["wrong"] * 30, size=10).lower(ALPHA)


@pytest.mark.parametrize("size", [1, 2, 7, 60])
def test_a_bound_is_never_narrower_than_by_questions(size):
    found = measured((["right"] + ["wrong"] * 5) * 10, size)
    assert found.lower(ALPHA) <= bounds.lower(10, 60, ALPHA) <= bounds.upper(10, 60, ALPHA) <= found.upper(ALPHA)


def test_the_highest_bound_of_several_elicitors_and_a_retest_know_of_families():
    alone, shared = measured(["wrong"] * 200), measured(["wrong"] * 200, size=20)
    tells = [portfolio.Portfolio({"one": it}, {"one": 0}, (), 1 - ALPHA) for it in (alone, shared)]
    assert tells[0].upper < Fraction(1, 50) < Fraction(1, 4) < tells[1].upper <= tells[1].together
    tenth = Fraction(1, 10)
    flags = [deployed.retest(it, it, tolerance=tenth, confidence=1 - ALPHA).flagged for it in (alone, shared)]
    assert flags == [(), ("higher", "lower")]


def test_the_command_says_over_how_many_families_a_bound_is(capsys):
    for size in (1, 10):
        elicitation._say("it", measured(["wrong"] * 60, size).to_json(1 - ALPHA))
    alone, shared = capsys.readouterr().out.splitlines()
    assert "95% bounds: at least 0.0000, at most 0.0488" in alone
    assert "95% bounds (the wider over questions or 6 families): at least 0.0000, at most 0.5096" in shared
