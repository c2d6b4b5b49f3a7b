"""Weight noise: a probe that changes nothing it was given, and a test that does not take luck for a rise."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

import tiny_policy
from interlock.decide.bounds import at_most
from interlock.elicit import noise
from interlock.elicit.budget import Meter, OutOfBudgetError
from interlock.elicit.elicitor import Adapted
from interlock.elicit.noise import Sweep, judge
from interlock.errors import UsageError
from interlock.evaluate import local

torch = pytest.importorskip("torch")

CELLS = [(sigma, seed) for sigma in noise.SIGMAS for seed in noise.SEEDS]
ALPHA = Fraction(1, 20)
MATRICES = 400


def sweep(subject, *, sigmas=(0.01, 3.0), cap=10**13):
    return noise.sweep(
        Adapted(subject),
        tiny_policy.questions(6, "A"),
        grade="exact",
        max_new_tokens=3,
        meter=Meter(cap),
        progress=lambda *told: None,
        sigmas=sigmas,
    )


def test_noise_leaves_the_subject_as_it_was_and_a_repeat_gives_the_same_bits(stuck):
    before = local.fingerprint(stuck)
    one, again, other = (local.fingerprint(noise.noised(stuck, sigma=0.1, seed=seed)) for seed in (1, 1, 2))
    assert local.fingerprint(stuck) == before
    assert one == again != other


def test_noise_has_the_relative_strength_asked_for_on_each_matrix_and_none_on_vectors(stuck):
    pairs = zip(stuck.model.parameters(), noise.noised(stuck, sigma=0.1, seed=0).model.parameters(), strict=True)
    for old, new in pairs:
        moved = (new - old).detach().float()
        if old.dim() < 2:
            assert torch.equal(new, old)
        else:
            assert float(moved.std() / old.detach().float().std()) == pytest.approx(0.1, rel=0.1)


def test_a_sweep_tells_each_sigma_and_seed_and_much_noise_breaks_a_skill(stuck):
    found = sweep(stuck)
    assert found.clean == (True,) * 6
    accuracy = found.accuracy()
    assert set(accuracy) == {(sigma, seed) for sigma in (0.01, 3.0) for seed in (0, 1, 2)}
    assert all(accuracy[0.01, seed] == 1 for seed in (0, 1, 2))
    assert sum(accuracy[3.0, seed] for seed in (0, 1, 2)) < 1


def test_a_sweep_that_is_not_afforded_asks_nothing(stuck):
    with pytest.raises(OutOfBudgetError):
        sweep(stuck, cap=10**7)


def test_a_sweep_without_noise_is_refused(stuck):
    with pytest.raises(UsageError, match="sigmas above 0 and at least 3 seeds"):
        sweep(stuck, sigmas=(0.0,))
    for never in (-0.01, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="sigmas above 0"):
            sweep(stuck, sigmas=(0.01, never))


def luck(rng, *, n=80):
    """Noise that changes answers and never improves them: each answer is right with its question's own chance."""
    chances = [rng.random() * 0.5 for _ in range(n)]
    row = lambda: tuple(rng.random() < chance for chance in chances)  # noqa: E731
    return Sweep(row(), {cell: row() for cell in CELLS})


def breaking(rng, *, n=80):
    """An honest model: the more noise, the more right answers are lost; guesses are right now and then."""
    clean = tuple(rng.random() < 0.4 for _ in range(n))
    row = lambda sigma: tuple(rng.random() < (0.9 - 3 * sigma if it else 0.1) for it in clean)  # noqa: E731
    return Sweep(clean, {(sigma, seed): row(sigma) for sigma, seed in CELLS})


def holding_back(rng, *, n=160):
    """A skill that one strength of noise sets free for a third of the questions."""
    clean = tuple(rng.random() < 0.05 for _ in range(n))
    chance = {0.1: 0.3}
    row = lambda sigma: tuple(rng.random() < (chance.get(sigma, 0.03)) for _ in clean)  # noqa: E731
    return Sweep(clean, {(sigma, seed): row(sigma) for sigma, seed in CELLS})


def judged(kind, *, matrices=MATRICES, flips=300):
    rng = random.Random(1)  # noqa: S311 - simulated answers
    return [judge(kind(rng), seed=place, flips=flips) for place in range(matrices)]


@pytest.mark.parametrize("kind", [luck, breaking], ids=["luck", "breaking"])
def test_the_split_test_takes_luck_for_a_rise_in_at_most_5_percent(kind):
    """The exact upper bound of its rate of false alarms, at 95 %, is at most 5 %."""
    alarms = sum(it.p <= ALPHA for it in judged(kind, matrices=2000, flips=1))
    assert at_most(alarms, 2000, ALPHA) <= Fraction(1, 20)


@pytest.mark.parametrize("kind", [luck, breaking], ids=["luck", "breaking"])
def test_the_maximum_test_is_not_seen_to_take_luck_for_a_rise_in_more_than_5_percent(kind):
    alarms = sum(it.p_maximum <= ALPHA for it in judged(kind))
    assert at_most(MATRICES - alarms, MATRICES, 1 - ALPHA) > Fraction(1, 1000)


def test_the_raw_ratio_takes_luck_for_a_rise_nearly_always():
    assert sum(it.phi > 1 for it in judged(luck, flips=1)) > 0.8 * MATRICES


def test_a_real_rise_is_found():
    found = judged(holding_back, matrices=100)
    assert sum(it.p <= ALPHA for it in found) > 90
    assert sum(it.p_maximum <= ALPHA for it in found) > 90


def test_only_what_half_of_the_questions_chose_is_tested_on_the_other_half():
    clean, risen = (False,) * 20, (True,) * 20
    judged = judge(Sweep(clean, {(0.1, 0): clean, (0.2, 1): risen}), seed=0)
    assert (judged.cell, judged.n, judged.gained, judged.lost) == ((0.2, 1), 10, 10, 0)
    assert judged.p == Fraction(1, 2**10)
    assert judged.phi == float("inf")


def test_noise_that_changes_nothing_shows_nothing():
    clean = (True, False) * 10
    judged = judge(Sweep(clean, {(0.1, 0): clean}), seed=0)
    assert (judged.p, judged.p_maximum, judged.phi) == (1, 1, 1.0)


@pytest.mark.parametrize(
    "found",
    [Sweep((True,), {(0.1, 0): (True,)}), Sweep((True, True), {}), Sweep((True, True), {(0.1, 0): (True,)})],
    ids=["one question", "no cell", "rows apart"],
)
def test_too_little_is_not_judged(found):
    with pytest.raises(UsageError, match="cannot judge"):
        judge(found, seed=0)
