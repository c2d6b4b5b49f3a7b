"""What the statistics of one result are worth: coverage, clustering, peeking, items saved, power; beside expectations.

    python benchmarks/evaluation_statistics.py [--quick] [--seed 0] [--markdown FILE]

Coverage, peeking, items and power are sums over all outcomes; clustering is drawn at the seed. The exit code is 1 if
something that may decide is wrong more often than it says.
"""

from __future__ import annotations

import argparse
import math
import platform
import sys
import time
from fractions import Fraction
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binom, t

from interlock.decide import bounds, eprocess
from interlock.decide.bounds import Tally
from interlock.evaluate.statistics import intervals, paired, planning
from interlock.evaluate.statistics.planning import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Interval = tuple[float, float]

ALPHA = Fraction(1, 20)
Z = NormalDist().inv_cdf(0.975)
SIZES = (3, 10, 30, 100, 300)
FAMILIES, ITEMS = 50, 10
ICC = (0.1, 0.3, 0.7)
#: Computed independently before any of this was written.
PUBLISHED = {"naive": (0.15, 0.30, 0.47), "robust": (0.046, 0.051, 0.045), "peeking": 0.267, "mixture": 0.019}


# -- coverage ----------------------------------------------------------------------------------------------------------


def normal(k: int, n: int) -> Interval:
    """The normal approximation: what a mean and its standard error give."""
    share = k / n
    half = Z * math.sqrt(share * (1 - share) / n)
    return share - half, share + half


def _ends(method: Callable[[int, int], intervals.Estimate]) -> Callable[[int, int], Interval]:
    def found(k: int, n: int) -> Interval:
        it = method(k, n)
        return it.low, it.high

    return found


METHODS: dict[str, Callable[[int, int], Interval]] = {
    "normal approximation": normal,
    "Wilson": _ends(intervals.wilson),
    "Beta(1, 1)": _ends(intervals.credible),
    "betting (families of one)": _ends(lambda k, n: intervals.families([1.0] * k + [0.0] * (n - k))),
    "Clopper-Pearson": _ends(intervals.clopper_pearson),
}
UPPER: dict[str, Callable[[int, int], Interval]] = {
    "normal approximation": lambda k, n: (0.0, k / n + NormalDist().inv_cdf(0.95) * math.sqrt(k * (n - k) / n**3)),
    "betting (families of one)": _ends(lambda k, n: intervals.families_upper([1.0] * k + [0.0] * (n - k))),
    "Clopper-Pearson": _ends(intervals.clopper_pearson_upper),
}


def coverage(method: Callable[[int, int], Interval], n: int, rates: np.ndarray) -> np.ndarray:
    """The chance at each rate that the interval of n items has it in it, by summing over all counts."""
    low, high = np.array([method(k, n) for k in range(n + 1)]).T
    has = (low <= rates[:, None]) & (rates[:, None] <= high)
    return (binom.pmf(np.arange(n + 1), n, rates[:, None]) * has).sum(axis=1)


def coverage_table(methods: dict[str, Callable[[int, int], Interval]], sizes: Sequence[int]) -> list[list[str]]:
    """A row a method: the mean over uniform rates and the chance at 0.05, for each n; then the least over all."""
    uniform = (np.arange(2000) + 0.5) / 2000
    rows = []
    for name, method in methods.items():
        row, least = [name], 1.0
        for n in sizes:
            all_of_them = coverage(method, n, uniform)
            least = min(least, float(all_of_them.min()))
            row.append(f"{all_of_them.mean():.3f} / {coverage(method, n, np.array([0.05]))[0]:.3f}")
        rows.append([*row, f"{least:.3f}"])
    return rows


# -- clustering --------------------------------------------------------------------------------------------------------


def clustering(icc: float, *, runs: int, seed: int) -> dict[str, float]:
    """How often a true null is rejected at 5 %: paired differences, and rule-outs at a true rate of 0.2.

    Families of 10 items whose chances are Beta with this intra-class correlation.
    """
    chance = np.random.default_rng(seed)
    spread = 1 / icc - 1
    robust_from = float(t.ppf(0.975, FAMILIES - 1))
    found = dict.fromkeys(("naive", "mcnemar", "robust", "flip", "exact items", "betting", "hoeffding"), 0)
    for _ in range(runs):
        first = chance.binomial(ITEMS, chance.beta(spread / 2, spread / 2, FAMILIES))
        sums, all_of_them = 2 * first - ITEMS, FAMILIES * ITEMS
        mean = sums.sum() / all_of_them
        found["naive"] += abs(mean) > Z * math.sqrt((1 - mean**2) / all_of_them)
        found["mcnemar"] += paired.mcnemar(int(first.sum()), int(all_of_them - first.sum())) <= ALPHA
        left = sums - ITEMS * mean
        found["robust"] += (
            abs(mean) > robust_from * math.sqrt((left**2).sum() * FAMILIES / (FAMILIES - 1)) / all_of_them
        )
        found["flip"] += paired.sign_flip([int(it) for it in sums]) <= float(ALPHA)
        counts = chance.binomial(ITEMS, chance.beta(0.2 * spread, 0.8 * spread, FAMILIES))
        level, total = Fraction(1, 5), int(counts.sum())
        found["exact items"] += bounds.rules_out(total, all_of_them, level, ALPHA)
        found["betting"] += intervals.families_upper(counts / ITEMS).high < 0.2
        found["hoeffding"] += Tally(FAMILIES, Fraction(total, ITEMS), Fraction(total, ITEMS), binary=False).puts_under(
            level, ALPHA
        )
    return {name: count / runs for name, count in found.items()}


# -- peeking -----------------------------------------------------------------------------------------------------------


def peeking(
    rules_out: Callable[[int, int, Fraction, Fraction], bool], level: Fraction, *, every: int, items: int
) -> float:
    """The chance that a true rate at the level is ruled out at some look: exactly, by carrying all counts along."""
    p, chances, wrong = float(level), np.ones(1), 0.0
    for n in range(1, items + 1):
        chances = np.append(chances * (1 - p), 0.0) + np.append(0.0, chances * p)
        if n % every == 0:
            most = _most(rules_out, n, level)
            wrong += float(chances[: most + 1].sum())
            chances[: most + 1] = 0.0
    return wrong


def _most(rules_out: Callable[[int, int, Fraction, Fraction], bool], n: int, level: Fraction) -> int:
    low, high = -1, n
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if rules_out(middle, n, level, ALPHA) else (low, middle - 1)
    return low


# -- items saved -------------------------------------------------------------------------------------------------------


def saved(level: Fraction, planned: Fraction, truths: Iterable[Fraction]) -> list[list[str]]:
    """A row a truth: both designs have alpha 0.05 and power 0.8 at the planned rate; one looks after every item."""
    line = Line("", "", level, Fraction(0), ALPHA)
    fixed, most = planning.needed(line, planned), planning.looks_needed(line, planned)
    rows = []
    for truth in truths:
        by_looks = planning.looks(line, truth, items=most.items)
        rows.append(
            [
                f"{float(level):g} for {float(planned):g}",
                f"{float(truth):g}",
                f"{fixed.items}",
                f"{planning.power(line, fixed.items, truth):.3f}",
                f"{most.items}",
                f"{by_looks.expected:.1f}",
                f"{by_looks.ninetieth}",
                f"{by_looks.power:.3f}",
                f"{1 - by_looks.expected / fixed.items:+.0%}",
            ]
        )
    return rows


# -- all of it ---------------------------------------------------------------------------------------------------------


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(it) + " |" for it in (heads, ["---"] * len(heads), *rows)]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, print, and say whether something that may decide broke its word."""
    parser = argparse.ArgumentParser(description="What the statistics of one result are worth.")
    parser.add_argument("--quick", action="store_true", help="small sizes and few runs, for a look")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", type=Path, help="keep the tables")
    asked = parser.parse_args()
    began, parts, broken = time.process_time(), [], []
    sizes, runs = (SIZES[:3], 200) if asked.quick else (SIZES, 4000)

    two, one = coverage_table(METHODS, sizes), coverage_table(UPPER, sizes)
    heads = ["method", *(f"n = {n}" for n in sizes), "least at any rate"]
    parts.append(
        "## Coverage of nominal 95 %: mean over uniform rates / at a rate of 0.05\n\nTwo-sided:\n\n" + table(heads, two)
    )
    parts.append("One-sided upper bounds, as for ruling out:\n\n" + table(heads, one))
    broken += [f"{row[0]} covers too seldom" for row in (*two, *one) if row[0][0] in "bC" and float(row[-1]) < 0.95]

    seen = {icc: clustering(icc, runs=runs, seed=asked.seed) for icc in ICC}
    names = {
        "naive": "paired: item by item, normal",
        "mcnemar": "paired: item by item, McNemar",
        "robust": "paired: cluster-robust t(49)",
        "flip": "paired: **sign flips of families**, exact",
        "exact items": "rule-out: item by item, Clopper-Pearson",
        "betting": "rule-out: **betting over families**",
        "hoeffding": "rule-out: Hoeffding over families, as `decide` has it",
    }
    rows = [[told, *(f"{seen[icc][name]:.3f}" for icc in ICC)] for name, told in names.items()]
    parts.append(
        f"## Rejections of a true null at 5 %: {FAMILIES} families of {ITEMS} items, {runs} runs\n\n"
        + table(["test", *(f"ICC {icc}" for icc in ICC)], rows)
        + f"\nComputed before: {PUBLISHED['naive']} for the first row, {PUBLISHED['robust']} for the third.\n"
    )
    noise = 3 * math.sqrt(0.05 * 0.95 / runs)
    broken += [
        f"{name} at ICC {icc}"
        for icc in ICC
        for name in ("flip", "betting", "hoeffding")
        if seen[icc][name] > 0.05 + noise
    ]

    most = 100 if asked.quick else 500
    levels = [Fraction(1, 2), Fraction(1, 5), Fraction(1, 10), Fraction(1, 20)]
    rows = []
    for level in levels:
        at_end, looks, each, ours, ours_each = (
            peeking(bounds.rules_out, level, every=most, items=most),
            peeking(bounds.rules_out, level, every=10, items=most),
            peeking(bounds.rules_out, level, every=1, items=most),
            peeking(eprocess.rules_out, level, every=10, items=most),
            peeking(eprocess.rules_out, level, every=1, items=most),
        )
        rows.append([f"{float(level):g}", *(f"{it:.3f}" for it in (at_end, looks, each, ours, ours_each))])
        broken += [f"the e-process at {level}"] if max(ours, ours_each) > 0.05 else []
    parts.append(
        f"## Peeking: the chance to rule out a level that is the truth, up to {most} items\n\n"
        + table(
            [
                "level",
                "exact test, at the end",
                "every 10 items",
                "every item",
                "e-process, every 10 items",
                "every item",
            ],
            rows,
        )
        + f"\nComputed before: {PUBLISHED['peeking']} for the exact test every 10 items (0.044 at the end) and "
        f"{PUBLISHED['mixture']} for a mixture e-process, at a level that was not noted.\n"
    )

    rows = []
    for level, planned in (("0.5", "0.35"), ("0.5", "0.4"), ("0.2", "0.1"), ("0.05", "0.02")):
        it, near = Fraction(level), Fraction(planned)
        rows += saved(it, near, (Fraction(0), it / 10, it / 4, near, it, it * 3 / 2, it * 2))
    parts.append(
        "## Items: a fixed number beside looks after every item, alpha 0.05 and power 0.8 at the planned rate\n\n"
        + table(
            [
                "level, planned rate",
                "truth",
                "fixed n",
                "rules out",
                "at most",
                "mean",
                "9 in 10",
                "rules out",
                "saved",
            ],
            rows,
        )
        + "\nLooks also end once the level is shown to be reached; a fixed number is run to its end.\n"
    )

    shares = ((0.12, 0.02), (0.15, 0.05), (0.25, 0.15))
    rows = [
        [f"{n}", *(f"{paired.mcnemar_power(n, *it):.3f}" for it in shares), f"{paired.least_detectable(n, 0.2):.3f}"]
        for n in (100, 400)
    ]
    parts.append(
        "## Power of McNemar's exact test, two-sided 5 %, a true gap of 10 points\n\n"
        + table(
            ["n", *(f"{a:.0%} / {b:.0%} differ" for a, b in shares), "least gap at power 0.8, 20 % differing"], rows
        )
        + "\nComputed before: 0.70, 0.54, 0.29 at n = 100 and 1.00, 0.99, 0.86 at n = 400.\n"
    )

    text = "\n".join(parts)
    text += (
        f"\n{time.process_time() - began:.0f} seconds of CPU; Python {platform.python_version()}, seed {asked.seed}.\n"
    )
    text += f"\nBroke their word: {', '.join(broken) or 'none'}.\n"
    print(text)
    if asked.markdown:
        asked.markdown.write_text(text, encoding="utf-8")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
