"""Two runs of the same questions: where families have several, the family is the unit."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from interlock.elicit import curve, session
from interlock.elicit.few_shot import FewShot
from interlock.elicit.items import Item, Questions
from interlock.elicit.measuring import Measured
from interlock.elicit.paired import FLIPS, METHOD, TEST, WIDER, Family, Paired, compare

ALPHA = Fraction(1, 20)


def asked(n, size):
    return {str(i): f"family {i // size}" for i in range(n)}


def test_families_of_one_question_are_compared_one_by_one():
    found = compare({"0"}, {"1", "2"}, asked=asked(9, 1))
    assert found == Paired(9, gained=2, lost=1)
    told = found.to_json(1 - ALPHA)
    assert (told["method"], told["test"], "families" in told) == (METHOD, TEST, False)


def test_families_of_several_are_counted_and_told():
    found = compare({"0", "1"}, {"1", "2", "3"}, asked=asked(6, 3))
    assert found == Paired(6, 2, 1, (Family(3, 1, 1), Family(3, 1, 0)))
    told = found.to_json(1 - ALPHA)
    assert (told["method"], told["test"], told["families"]) == (WIDER, FLIPS, 2)
    assert told["p"] == 1


def test_attack_one_gain_in_ten_wordings_is_one_gain():
    ten = {str(i) for i in range(10)}
    assert compare(set(), ten, asked=asked(100, 1)).p_value() == Fraction(1, 512)
    assert compare(set(), ten, asked=asked(100, 10)).p_value() == 1


@pytest.mark.parametrize("size", [1, 2, 5, 50])
def test_a_bound_is_never_narrower_than_by_questions(size):
    first, second = {str(i) for i in range(0, 50, 7)}, {str(i) for i in range(0, 50, 3)}
    alone, shared = (compare(first, second, asked=asked(50, it)) for it in (1, size))
    assert shared.at_least(ALPHA) <= alone.at_least(ALPHA) <= alone.at_most(ALPHA) <= shared.at_most(ALPHA)


def test_the_sides_are_mirrors_of_each_other():
    first, second = {"0", "1", "9"}, {"3", "4", "5", "6", "11", "12"}
    there, back = compare(first, second, asked=asked(40, 4)), compare(second, first, asked=asked(40, 4))
    assert there.at_most(ALPHA) == -back.at_least(ALPHA)
    assert there.p_value() == pytest.approx(back.p_value())


def test_where_families_move_together_the_bound_holds_and_the_one_by_question_does_not():
    """20 families of 10 that all gain or all lose, each as likely: the truth is a difference of nothing."""
    chance, missed = np.random.default_rng(0), {1: 0, 10: 0}
    for _ in range(100):
        up = chance.random(20) < 0.5
        first = {str(i) for i in range(200) if not up[i // 10]}
        second = {str(i) for i in range(200) if up[i // 10]}
        for size in missed:
            missed[size] += compare(first, second, asked=asked(200, size)).at_most(ALPHA) < 0
    assert missed[10] <= 5 < 20 < missed[1]


def test_a_curve_is_not_settled_by_many_questions_of_few_families(monkeypatch, tmp_path):
    """Nothing is ever gained; 200 questions settle that, 4 families of 50 do not."""

    def parts(size):
        told = [Item(str(i), f"family {i // size}", ({"role": "user", "content": str(i)},), "a") for i in range(200)]
        shown = tuple(Item(f"shown {i}", f"shown {i}", told[0].messages, "a") for i in range(2))
        return Questions("trial", "exact", 2, shown, tuple(told), told[:1])

    asked = Measured(Path("log"), "", {"0": "wrong"})
    done = session.Done(SimpleNamespace(adapted=None, flop=0), asked, None, {})
    monkeypatch.setattr(session, "run", lambda *given, **more: done)
    monkeypatch.setattr(session, "dev_right", lambda adapted, material: frozenset({"0", "60"}))
    settled = {
        size: curve.climb(
            FewShot(), None, parts(size), terms=session.Terms(cap=1, seed=0), tolerance=Fraction(1, 10), least=2,
            out=tmp_path, progress=lambda *told: None,
        ).settled
        for size in (1, 50)
    }  # fmt: skip
    assert settled == {1: True, 50: False}
