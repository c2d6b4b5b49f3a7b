"""Many attempts: a question counts as answered if any of them is right, and dev alone chooses the temperature."""

from __future__ import annotations

import copy

import pytest

import tiny_policy
from interlock.elicit import asking, elicitors
from interlock.elicit.best_of_k import BestOfK
from interlock.elicit.budget import Meter, OutOfBudgetError
from interlock.elicit.elicitor import Adapted
from interlock.elicit.items import Material
from interlock.errors import UsageError

torch = pytest.importorskip("torch")

DEV = tiny_policy.questions(6, "C")
MATERIAL = Material((), DEV, "exact", 3)


def elicit(subject, settings, *, material=MATERIAL, cap=10**13):
    return settings.elicit(subject, material, meter=Meter(cap), seed=0, work=None, progress=lambda *told: None)


def right(adapted, *, seed=0):
    return sum(it.correct for it in asking.ask(adapted, DEV, grade="exact", max_new_tokens=3, seed=seed))


def test_sixteen_attempts_find_what_one_greedy_answer_does_not_show(explorer):
    elicited = elicit(explorer, BestOfK(k=16, temperatures=(1.0,)))
    assert right(Adapted(explorer)) < 6 == right(elicited.adapted)


def test_a_model_that_never_says_it_is_not_helped_by_attempts(stuck):
    assert right(elicit(stuck, BestOfK(k=16, temperatures=(1.0,))).adapted) == 0


def test_the_temperature_is_the_one_that_is_best_on_dev(explorer):
    elicited = elicit(explorer, BestOfK(k=4, temperatures=(1.0, 0.2)))
    answered = {it["temperature"]: it["answered"] for it in elicited.transcript if it["event"] == "temperature"}
    assert answered[1.0] > answered[0.2]
    assert elicited.adapted.temperature == 1.0
    assert elicited.flop > 0


def test_of_equal_temperatures_the_lowest_is_taken(stuck):
    assert elicit(stuck, BestOfK(k=2, temperatures=(0.7, 0.3))).adapted.temperature == 0.3


def test_an_answer_tells_every_attempt(explorer):
    adapted = Adapted(explorer, attempts=8, temperature=1.0)
    first, *_ = asking.ask(adapted, DEV, grade="exact", max_new_tokens=3)
    assert len(first.attempts) == 8
    assert first.correct == any(attempt.text == "C" for attempt in first.attempts)
    assert first.text == ("C" if first.correct else first.attempts[0].text)


def test_attack_a_model_whose_answers_are_lost_when_they_are_drawn(explorer):
    """Flat logits: the first of several attempts is the most likely answer, which is the same."""
    flat = copy.deepcopy(explorer)
    with torch.no_grad():
        flat.model.model.norm.weight.mul_(1e-4)
    greedy = asking.ask(Adapted(explorer), DEV, grade="exact", max_new_tokens=3)
    tried = asking.ask(Adapted(flat, attempts=2, temperature=1.0), DEV, grade="exact", max_new_tokens=3)
    assert [it.attempts[0].text for it in tried] == [it.attempts[0].text for it in greedy]
    assert [it.attempts[1].text for it in tried] != [it.attempts[0].text for it in greedy]


def test_attempts_of_another_seed_are_other_attempts(explorer):
    adapted = Adapted(explorer, attempts=8, temperature=1.0)
    one, again, other = (asking.ask(adapted, DEV, grade="exact", max_new_tokens=3, seed=seed) for seed in (0, 0, 8))
    assert one == again != other


def test_shown_examples_make_it_a_few_shot_elicitation():
    assert (BestOfK().kind, BestOfK(shots=1).kind) == ("prompted", "few-shot")


def test_several_attempts_without_a_temperature_are_refused(explorer):
    with pytest.raises(UsageError, match="cannot make 2 attempts at temperature 0"):
        Adapted(explorer, attempts=2)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"k": "0"}, "`k` is 0, expected 2 or more"),
        ({"k": "1", "temperatures": "1000000"}, "`k` is 1, expected 2 or more; one attempt is --elicitor prompted"),
        ({"temperatures": "0.7,0"}, "expected numbers from 0.2 to 1"),
        ({"temperatures": "1000000"}, "expected numbers from 0.2 to 1"),
        ({"temperatures": "0.000001"}, "expected numbers from 0.2 to 1"),
        ({"temperatures": "nan"}, "expected numbers from 0.2 to 1"),
        ({"shots": "-1"}, "`shots` is -1, expected 0 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_planned(settings, error):
    with pytest.raises(UsageError, match=error):
        elicitors.make("best-of-k", settings)


@pytest.mark.parametrize(
    ("settings", "material", "error"),
    [
        (BestOfK(), Material((), (), "exact", 3), "without dev questions"),
        (BestOfK(shots=1), MATERIAL, "cannot use 1 demonstrations"),
    ],
    ids=str,
)
def test_material_that_is_not_enough_is_refused(explorer, settings, material, error):
    with pytest.raises(UsageError, match=error):
        elicit(explorer, settings, material=material)


def test_a_budget_for_one_temperature_chooses_among_one_and_says_so(explorer):
    once = asking.cost(Adapted(explorer, attempts=4, temperature=1.0), DEV, max_new_tokens=3)
    elicited = elicit(explorer, BestOfK(k=4), cap=once)
    assert elicited.flop == once
    assert {"event": "out-of-budget", "temperature": 0.7} in elicited.transcript
    with pytest.raises(OutOfBudgetError):
        elicit(explorer, BestOfK(k=4), cap=once - 1)
