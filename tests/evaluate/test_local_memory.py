"""Answering when memory runs out: fewer rows at once, the same answers, said once; one clear error at the end."""

from __future__ import annotations

import logging

import pytest

import tiny_model
from interlock.errors import UsageError
from interlock.evaluate import local

torch = pytest.importorskip("torch")

PROMPTS = [[{"role": "user", "content": "x" * (1 + 7 * i % 40)}] for i in range(37)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("tiny") / "model")


def machine(folder, monkeypatch, most, *, after=0):
    """A model on a machine on which `most` rows fit in memory, once `after` passes have gone well; and its passes."""
    model = local.load(folder)
    return model, tiny_model.short_of_memory(model, monkeypatch, most, after=after)


def drawn(model, prompts=PROMPTS):
    return local.sample(model, prompts, seeds=range(len(prompts)), temperature=2.0, max_new_tokens=6)


@pytest.mark.parametrize("most", [8, 3, 1])
def test_greedy_answers_are_the_same_however_few_rows_fit(folder, monkeypatch, caplog, most):
    expected = local.generate(local.load(folder), PROMPTS, max_new_tokens=6)
    small, passes = machine(folder, monkeypatch, most)
    with caplog.at_level(logging.WARNING):
        assert local.generate(small, PROMPTS, max_new_tokens=6) == expected
    assert max(rows for rows in passes if rows <= most) == {8: 8, 3: 2, 1: 1}[most]
    assert len([it for it in caplog.records if "the batch is halved" in it.message]) == 1


def test_drawn_answers_are_the_same_if_memory_runs_out_in_the_middle_of_a_batch(folder, monkeypatch):
    """What was drawn for a batch that did not fit must not shift what is drawn for it again."""
    expected = drawn(local.load(folder))
    small, _ = machine(folder, monkeypatch, 8, after=3)
    found = drawn(small)
    assert [it.tokens for it in found] == [it.tokens for it in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=0.1)


def test_a_second_call_does_not_try_again_what_did_not_fit_and_says_nothing_more(folder, monkeypatch, caplog):
    small, passes = machine(folder, monkeypatch, 8)
    drawn(small)
    passes.clear()
    caplog.clear()
    local.generate(small, PROMPTS, max_new_tokens=2)
    assert max(passes) <= 8
    assert not caplog.records


def test_with_fewer_rows_an_answer_still_does_not_depend_on_its_neighbours_or_their_order(folder, monkeypatch):
    small, _ = machine(folder, monkeypatch, 4)
    together = local.generate(small, PROMPTS, max_new_tokens=6)
    order = sorted(range(len(PROMPTS)), key=lambda i: (i * 17) % len(PROMPTS))
    assert local.generate(small, [PROMPTS[i] for i in order], max_new_tokens=6) == [together[i] for i in order]


def test_a_prompt_that_does_not_fit_alone_is_one_clear_error(folder, monkeypatch):
    none, _ = machine(folder, monkeypatch, 0)
    for answer in (lambda: local.generate(none, PROMPTS, max_new_tokens=6), lambda: drawn(none)):
        with pytest.raises(UsageError, match=r"^out of memory: a prompt and its answer of \d+ tokens do not fit even"):
            answer()


def test_another_error_of_the_model_is_not_taken_for_memory(folder, monkeypatch):
    model = local.load(folder)

    def broken(**_):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(model.model, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        local.generate(model, PROMPTS, max_new_tokens=6)
