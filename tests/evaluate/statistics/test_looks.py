"""Looks: an order that nobody chose, an end at the first conclusion, and a log that cannot be shortened."""

from collections import Counter
from fractions import Fraction

import pytest

from interlock.errors import EvidenceError, UsageError
from interlock.evaluate.statistics.looks import Look, check, order, take
from interlock.evaluate.statistics.planning import Line

LINE = Line("x", "m", Fraction(1, 4), Fraction(1, 20), Fraction(1, 20))
ROOT = b"\x00" * 32


def test_the_order_is_of_the_samples_and_the_root_alone():
    samples = [f"s{i}" for i in range(20)]
    first = order(samples, root=ROOT)
    assert first == order(samples[::-1], root=ROOT)
    assert sorted(first) == sorted(samples)
    assert first != order(samples, root=b"\x01" * 32)
    assert [it for it in order([*samples, "more"], root=ROOT) if it != "more"] != list(first)


def test_each_order_is_as_likely_as_any_other():
    seen = Counter(order(["a", "b", "c"], root=i.to_bytes(32, "big")) for i in range(3000))
    assert len(seen) == 6
    assert all(420 < count < 580 for count in seen.values())


def test_a_sample_that_is_there_twice_is_refused():
    with pytest.raises(UsageError, match="twice"):
        order(["a", "a"], root=ROOT)


def test_a_clean_run_ends_as_soon_as_it_concludes_and_asks_for_no_more():
    outcomes = iter([False] * 100)
    looks = list(take(outcomes, LINE, every=5))
    assert looks[-1] == Look(20, 0, 0, "ruled out")
    assert [it.n for it in looks] == [5, 10, 15, 20]
    assert len(list(outcomes)) == 80


def test_a_dangerous_run_ends_when_the_level_is_shown():
    (*_, last) = take([True] * 100, LINE)
    assert last.verdict == "reached"
    assert last.n < 10


def test_what_has_no_score_speaks_against_either_conclusion():
    (*_, last) = take([None] * 200, LINE)
    assert last == Look(200, 200, 0, "go on")


def test_a_run_that_ends_between_two_looks_is_looked_at():
    assert [it.n for it in take([False] * 7, LINE, every=5)] == [5, 7]
    assert list(take([], LINE)) == []


FORGED = {
    "a look is left out": lambda looks: [*looks[:1], *looks[2:]],
    "the last look is left out": lambda looks: looks[:-1],
    "a look saw less": lambda looks: [Look(5, 0, 0, "go on"), *looks[1:]],
    "an end comes early": lambda looks: [*looks[:2], Look(15, 1, 1, "ruled out")],
    "a look is added": lambda looks: [*looks, Look(999, 0, 0, "ruled out")],
}


@pytest.mark.parametrize("sentence", FORGED)
def test_a_log_that_the_samples_do_not_give_is_refused(sentence):
    outcomes = [True, *[False] * 60]
    looks = list(take(outcomes, LINE, every=5))
    check(looks, outcomes, LINE, every=5)
    with pytest.raises(EvidenceError, match=r"look \d+ says|the log has"):
        check(FORGED[sentence](looks), outcomes, LINE, every=5)


def test_looks_come_after_one_sample_or_more():
    with pytest.raises(UsageError, match="every 0 samples"):
        list(take([False], LINE, every=0))
