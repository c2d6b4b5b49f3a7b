"""The benchmark of the statistics in small: what may decide keeps its word, and what is shown beside it does not."""

import importlib.util
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from interlock.decide import bounds, eprocess

FILE = Path(__file__).parents[2] / "benchmarks" / "evaluation_statistics.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("evaluation_statistics", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_normal_approximation_covers_too_seldom_and_clopper_pearson_never(bench):
    uniform = (np.arange(500) + 0.5) / 500
    normal = [bench.coverage(bench.normal, n, uniform).mean() for n in (3, 10, 30)]
    assert normal == pytest.approx([0.50, 0.77, 0.88], abs=0.01)
    assert bench.coverage(bench.normal, 3, np.array([0.05]))[0] == pytest.approx(0.14, abs=0.01)
    for methods in (bench.METHODS, bench.UPPER):
        for name in ("Clopper-Pearson", "betting (families of one)"):
            assert min(bench.coverage(methods[name], n, uniform).min() for n in (3, 10, 30)) >= 0.95


def test_families_bring_rejections_of_a_true_null_back_to_five_percent(bench):
    found = bench.clustering(0.3, runs=150, seed=0)
    assert min(found["naive"], found["mcnemar"]) > 0.2
    assert found["exact items"] > 0.1
    assert max(found["flip"], found["betting"], found["hoeffding"]) < 0.1


def test_peeking_breaks_the_fixed_test_and_not_the_e_process(bench):
    half = Fraction(1, 2)
    assert bench.peeking(bounds.rules_out, half, every=200, items=200) <= 0.05
    assert bench.peeking(bounds.rules_out, half, every=10, items=200) > 0.15
    assert bench.peeking(eprocess.rules_out, half, every=1, items=200) <= 0.05


def test_looks_save_more_than_half_of_the_items_where_the_truth_is_far_and_cost_items_at_the_level(bench):
    far, near = bench.saved(Fraction(1, 2), Fraction(35, 100), (Fraction(1, 20), Fraction(1, 2)))
    assert (far[-1], near[-1]) == ("+88%", "-84%")
