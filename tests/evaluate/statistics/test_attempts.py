"""pass@k and best-of-k: known values, an oracle that tries every choice, and intervals that know of families."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.errors import UsageError
from interlock.evaluate.statistics.attempts import best_of_k, bounded, pass_at_k, within_tries


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
@settings(max_examples=60)
def test_pass_at_k_counts_the_choices_with_a_right_one(case):
    n, c, k = case
    choices = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(np.mean([any(it) for it in choices]))


def test_pass_at_k_bears_many_tries():
    assert pass_at_k(100_000, 1, 50_000) == pytest.approx(0.5)
    assert pass_at_k(10, 10, 3) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=7), st.data())
@settings(max_examples=60)
def test_best_of_k_is_what_the_best_scored_of_every_choice_gives(tries, data):
    k = data.draw(st.integers(1, len(tries)))

    def taken(choice):
        best = [right for score, right in choice if score == max(it for it, _ in choice)]
        return sum(best) / len(best)

    found = best_of_k(tries, k)
    assert found == pytest.approx(np.mean([taken(it) for it in combinations(tries, k)]))
    assert found <= pass_at_k(len(tries), sum(right for _, right in tries), k) + 1e-9


def test_the_interval_resamples_families_and_repeats_at_its_seed():
    alike = {f"f{i}": [(10, 2 * (i % 2))] * 8 for i in range(20)}  # items of a family are the same
    apart = {f"f{i}-{j}": [(10, 2 * (i % 2))] for i in range(20) for j in range(8)}
    wide, narrow = within_tries(alike, 5, seed=1), within_tries(apart, 5, seed=1)
    assert wide.value == pytest.approx(narrow.value)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert (wide, wide.n) == (within_tries(alike, 5, seed=1), 20)


def test_what_a_gate_takes_bounds_even_a_run_without_a_hit():
    nothing = {f"f{i}": [(10, 0)] * 3 for i in range(30)}
    assert within_tries(nothing, 5, seed=0).high == 0  # which is why it is for display
    assert bounded(nothing, 5).high > 0.1


@pytest.mark.parametrize(("n", "c", "k"), [(3, 1, 4), (3, 4, 1), (3, 1, 0)])
def test_fewer_tries_than_k_say_nothing(n, c, k):
    with pytest.raises(UsageError, match="got"):
        pass_at_k(n, c, k)


def test_a_try_without_a_score_is_refused():
    with pytest.raises(UsageError, match="without a score"):
        best_of_k([(float("nan"), True)], 1)
