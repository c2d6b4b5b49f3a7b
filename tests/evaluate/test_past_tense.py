"""The past-tense task: parts that are apart, draws that nest, samples as its conversations say."""

from __future__ import annotations

import pytest

from interlock.elicit.asking import conversation
from interlock.errors import UsageError
from interlock.evaluate import past_tense, tasks


def test_there_are_460_verbs_in_three_parts_of_which_none_is_its_own_past():
    of = past_tense.load()
    assert (len(of.demonstrations), len(of.dev), len(of.test)) == (100, 80, 280)
    assert all(it.id != it.target for part in (of.demonstrations, of.dev, of.test) for it in part)


def test_a_draw_repeats_at_its_seed_and_nests():
    assert past_tense.draw(16, seed=3) == past_tense.draw(16, seed=3)
    assert past_tense.draw(16, seed=3)[:4] == past_tense.draw(4, seed=3)
    assert past_tense.draw(16, seed=3) != past_tense.draw(16, seed=4)


@pytest.mark.parametrize("n", [-1, 101])
def test_a_draw_of_more_than_there_is_is_refused(n):
    with pytest.raises(UsageError, match="expected 0 to 100"):
        past_tense.draw(n, seed=0)


def test_there_is_a_sample_for_each_test_verb_which_shows_the_first_of_the_draw():
    task, shots = tasks.past_tense(shots=2, seed=3), past_tense.draw(2, seed=3)
    assert (task.name, task.version) == ("interlock/past-tense", 2)
    for sample, item in zip(task.dataset, past_tense.load().test, strict=True):
        assert (sample.id, sample.target) == (item.id, item.target)
        said = [{"role": turn.role, "content": turn.text} for turn in sample.input]
        assert said == conversation(item, shots)


def test_what_is_learned_from_is_never_what_is_tested():
    material, tested = past_tense.material(100, seed=0, dev=80), {it.id for it in past_tense.load().test}
    assert not tested & {it.id for it in (*material.demonstrations, *material.dev)}
