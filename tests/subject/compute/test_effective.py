"""Effective compute by a ladder: what the interval covers, and where it is refused."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest

from interlock.errors import UsageError
from interlock.subject.compute import effective as by
from interlock.subject.compute import estimate, ladder
from interlock.subject.compute.effective import Efficiency, by_efficiency, effective, fit
from interlock.subject.compute.ladder import Ladder, Rung

FLOOR, SCALE, EXPONENT = 1.7, 2.0, 0.15
LEAST, MOST = 1e18, 1e21


def curve(flop):
    return FLOOR + SCALE * (flop / LEAST) ** -EXPONENT


def climbed(noise, *, runs=6, seed=0, most=MOST):
    """A ladder of known truth."""
    draw = random.Random(seed)  # noqa: S311  noise, not a secret
    sizes = [LEAST * (most / LEAST) ** (index / (runs - 1)) for index in range(runs)]
    return Ladder(tuple(Rung(size, curve(size) + draw.gauss(0, noise)) for size in sizes), "0" * 64, "made", None, None)


def test_the_curve_is_found_again():
    found = fit(climbed(0.001, runs=12))
    assert (found.floor, found.exponent) == (pytest.approx(FLOOR, abs=0.05), pytest.approx(EXPONENT, abs=0.01))
    assert found.noise == pytest.approx(0.001, rel=0.6)
    assert found.n == 12
    for flop in (LEAST, 3e19, MOST):
        assert found.loss(flop) == pytest.approx(curve(flop), abs=0.003)
        assert found.flop(found.loss(flop)) == pytest.approx(flop)
    assert found.flop(found.floor) == math.inf


@pytest.mark.parametrize(("runs", "noise"), [(5, 0.003), (5, 0.03), (8, 0.01)])
def test_each_end_misses_the_truth_about_as_often_as_it_says(runs, noise):
    """300 ladders of known truth, ends at 95 %: 15 misses expected of each, and of such a binomial 99.9 % under 28.

    Whether an end misses is asked of the likelihood at the truth, which is what the ends are cut by.
    """
    true = LEAST * 30
    loss, t = curve(true), by._student(0.95, runs - 3)
    missed = {"above": 0, "below": 0}
    for seed in range(300):
        rungs = climbed(noise, runs=runs, seed=seed)
        found = fit(rungs)
        if by._rejected(rungs, found, loss, true, t):
            missed["above" if found.flop(loss) < true else "below"] += 1
    assert all(3 <= count <= 27 for count in missed.values()), missed


def test_the_ends_are_where_the_likelihood_is_cut():
    rungs, loss = climbed(0.01), curve(LEAST * 30)
    found, cut, t = effective(rungs, loss, loss), fit(rungs), by._student(0.95, 3)
    for end, step in ((found.low, 0.999), (found.high, 1.001)):
        assert by._rejected(rungs, cut, loss, end * step, t)
        assert not by._rejected(rungs, cut, loss, end / step**2, t)
    assert found.low < found.estimate < found.high
    assert (found.n, found.past, found.confidence) == (6, (1.0, 1.0), 0.95)


def test_more_confidence_more_noise_and_a_loss_less_certain_make_it_wider():
    loss = curve(LEAST * 30)
    usual = effective(climbed(0.01), loss, loss)
    for wider in (
        effective(climbed(0.01), loss, loss, confidence=0.99),
        effective(climbed(0.02), loss, loss),
        effective(climbed(0.01), loss - 0.01, loss + 0.01),
    ):
        assert wider.low < usual.low
        assert wider.high > usual.high


def test_a_lower_loss_is_never_less_compute():
    rungs = climbed(0.01)
    ends = [effective(rungs, curve(flop), curve(flop)) for flop in (3e18, 1e19, 1e20, 5e20)]
    assert [it.low for it in ends] == sorted(it.low for it in ends)
    assert [it.high for it in ends] == sorted(it.high for it in ends)


def test_past_the_ladder_an_end_is_moved_as_far_again_and_said():
    rungs, loss = climbed(0.002), curve(1.5 * MOST)
    found = effective(rungs, loss, loss)
    assert found.past[0] == 1
    assert 1.5 < found.past[1] < by.MOST_PAST
    assert found.high == pytest.approx(MOST * found.past[1] ** 2)
    assert found.low <= MOST  # the runs themselves show no more than that it lies past them
    loss = curve(LEAST / 1.5)
    found = effective(rungs, loss, loss)
    assert found.past[1] == 1
    assert found.low == pytest.approx(LEAST / found.past[0] ** 2)
    assert found.high >= LEAST


@pytest.mark.parametrize(
    ("loss", "side"),
    [(curve(5 * MOST), "above"), (FLOOR, "above"), (FLOOR / 2, "above"), (curve(LEAST / 5), "below"), (50, "below")],
)
def test_too_far_past_the_ladder_is_refused(loss, side):
    with pytest.raises(UsageError, match=f"says too little about a loss of .*: {side}, its interval would end"):
        effective(climbed(0.002), loss, loss)


def test_a_ladder_too_noisy_to_bound_it_is_refused_and_not_guessed():
    with pytest.raises(UsageError, match="says too little"):
        effective(climbed(0.3, runs=5), curve(MOST), curve(MOST))


def test_a_ladder_whose_loss_does_not_fall_is_refused():
    rungs = climbed(0.01)
    rising = replace(rungs, rungs=tuple(Rung(it.flop, 6 - it.loss) for it in rungs.rungs))
    with pytest.raises(UsageError, match="loss does not fall as compute grows"):
        fit(rising)


def test_a_ladder_that_was_computed_and_not_measured_is_refused():
    with pytest.raises(UsageError, match="without any noise"):
        effective(climbed(0.0), 2.5, 2.5)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (2, 1), (math.nan, 2), (2, math.inf), (2, math.nan)])
def test_a_loss_that_is_none_is_refused(low, high):
    with pytest.raises(UsageError, match="expected numbers over 0"):
        effective(climbed(0.01), low, high)


@pytest.mark.parametrize("confidence", [0, 0.5, 1, 95, math.nan])
def test_a_confidence_that_is_none_is_refused(confidence):
    with pytest.raises(UsageError, match="confidence"):
        effective(climbed(0.01), 2.5, 2.5, confidence=confidence)


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 6.313752), (2, 2.919986), (3, 2.353363), (9, 1.833113)])
def test_students_quantiles_are_those_of_the_tables(freedom, quantile):
    assert by._student(0.95, freedom) == pytest.approx(quantile, abs=1e-6)


def test_the_fallback_says_whose_figure_it_is_and_widens_with_the_years():
    found = by_efficiency(10**24, 2)
    assert (found.low, found.high) == (pytest.approx(10**24 * 2 ** (24 / 22)), pytest.approx(10**24 * 2**12))
    assert "Ho et al. 2024" in found.method
    assert by_efficiency(10**24, 0).high == 10**24 == by_efficiency(10**24, 0).low
    own = by_efficiency(10**24, 1, Efficiency(6, 12, "a study"))
    assert (own.low, own.high) == (2 * 10**24, 4 * 10**24)
    assert own.method.endswith(": a study")
    for years, months in ((-1, (2, 22)), (21, (2, 22)), (math.nan, (2, 22)), (1, (3, 2)), (1, (0, 2)), (10, (1, 2))):
        with pytest.raises(UsageError):
            by_efficiency(10**24, years, Efficiency(*months, "a study"))


# -- the file of a ladder ----------------------------------------------------------------------------------------------

RUNS = [{"flop": rung.flop, "loss": rung.loss} for rung in climbed(0.01).rungs]


def written(folder, text):
    file = folder / "ladder"
    file.write_text(text)
    return file


def test_a_ladder_reads_the_same_from_json_and_from_csv_in_any_order(tmp_path):
    whole = {"name": "ours", "source": "us", "held_out": "a set", "runs": RUNS[::-1]}
    found = ladder.load(written(tmp_path, json.dumps(whole)))
    assert (found.name, found.source, found.held_out) == ("ours", "us", "a set")
    table = "name,loss,flop\n" + "".join(f"x,{it['loss']!r},{it['flop']!r}\n" for it in RUNS)
    other = ladder.load(written(tmp_path, table))
    assert other.rungs == found.rungs == climbed(0.01).rungs
    assert (other.name, len(other.sha256)) == ("ladder", 64)
    assert other.sha256 != found.sha256


BROKEN = {
    "nothing": ("", "columns flop and loss"),
    "half of it": ('{"runs": [', "not JSON"),
    "no runs": ("{}", "expected {"),
    "four runs": (json.dumps({"runs": RUNS[:4]}), "runs of 4 different sizes, expected 5 or more"),
    "five of four sizes": (json.dumps([*RUNS[:4], RUNS[0]]), "runs of 4 different sizes"),
    "no loss": (json.dumps([*RUNS, {"flop": 1e20}]), "run 7: `loss` is missing"),
    "a loss of nothing": (
        json.dumps([*RUNS, {"flop": 1e20, "loss": 0}]),
        "run 7: `loss` is `0`, expected a number over 0",
    ),
    "no number": (json.dumps([*RUNS, {"flop": "many", "loss": 1}]), "`flop` is `many`"),
    "not finite": (json.dumps([*RUNS, {"flop": float("inf"), "loss": 1}]), "`flop` is `inf`"),
    "true": (json.dumps([*RUNS, {"flop": True, "loss": 1}]), "`flop` is `True`"),
    "a run of text": (json.dumps([*RUNS, "run"]), "run 7 is `run`"),
    "a name that is a number": (json.dumps({"name": 3, "runs": RUNS}), "`name` is `3`, expected text"),
    "a column short": ("flop\n1\n", "columns flop and loss"),
    "a cell short": ("flop,loss\n1\n2,3\n", "run 1: `loss` is missing"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_ladder_that_is_none_is_one_error(tmp_path, name):
    text, match = BROKEN[name]
    with pytest.raises(UsageError) as caught:
        ladder.load(written(tmp_path, text))
    assert match in str(caught.value)
    assert "ladder" in str(caught.value)


def test_a_ladder_that_is_not_there_is_one_error(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        ladder.load(tmp_path / "none")


# -- the file of an estimate -------------------------------------------------------------------------------------------

GOOD = {
    "interlock": estimate.KIND,
    "training": {"flop": "1000", "method": "counting"},
    "effective_compute": {"low": "5", "high": "7", "method": "fitting", "ladder": {"sha256": "ab" * 32}},
}


def test_an_estimate_says_its_figures_how_they_were_found_and_its_digest(tmp_path):
    found = estimate.load(written(tmp_path, json.dumps(GOOD)))
    assert (found.training, found.effective) == (1000, (5, 7))
    ladders = "ab" * 32
    expected = f"training compute by counting; effective compute by fitting, on the ladder of SHA-256 {ladders}"
    assert found.how == expected
    only = estimate.load(written(tmp_path, json.dumps(GOOD | {"training": None})))
    assert (only.training, only.effective) == (None, (5, 7))
    assert only.sha256 != found.sha256


def bad(**changes):
    return json.dumps(GOOD | changes)


NO_ESTIMATE = {
    "nothing": ("", "not JSON"),
    "a list": ("[]", "expected `compute-estimate/v1`"),
    "another kind": (bad(interlock="compute-estimate/v9"), "`interlock` is `compute-estimate/v9`"),
    "neither": (bad(training=None, effective_compute=None), "neither training compute nor effective compute"),
    "a number": (bad(training={"flop": 1000, "method": "x"}), "`flop` is `1000`, expected FLOP in decimal digits"),
    "a fraction": (bad(training={"flop": "1.5", "method": "x"}), "`flop` is `1.5`"),
    "nothing spent": (bad(training={"flop": "0", "method": "x"}), "`flop` is `0`"),
    "no method": (bad(training={"flop": "1"}), "`method` is `None`"),
    "ends the wrong way round": (
        bad(effective_compute={"low": "7", "high": "5", "method": "x"}),
        "the lower end first",
    ),
    "an end too few": (bad(effective_compute={"low": "7", "method": "x"}), "`high` is `None`"),
    "text": (bad(effective_compute="7"), "`effective_compute` is `7`, expected an object or null"),
}


@pytest.mark.parametrize("name", NO_ESTIMATE)
def test_an_estimate_that_is_none_is_one_error(tmp_path, name):
    text, match = NO_ESTIMATE[name]
    with pytest.raises(UsageError) as caught:
        estimate.load(written(tmp_path, text))
    assert match in str(caught.value)
