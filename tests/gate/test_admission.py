"""What a token takes, as the gate counts it before training begins: not by what is said of the model in memory."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch.utils._python_dispatch import _disable_current_modes

import training_lab as made
from interlock.gate import admission
from interlock.gate.permit import Held
from interlock.subject.compute import architecture, counted, flop
from subject.compute.models import MODELS

MEMBERS = {**MODELS["mixtral"][1], "num_hidden_layers": 2}


@pytest.fixture(scope="module")
def _folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixture")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model("mixtral", **MEMBERS))
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def mixture(_folder):
    """A mixture of 5 experts, 2 a token, as a trainer has it in memory, and its folder."""
    return made.load(_folder).train(), _folder


def _cost(model, folder, *, sequence=48, counted_flop=None):
    return admission.cost(model, folder, sequence=sequence, counted_flop=counted_flop)


@pytest.mark.parametrize("sequence", [1, 16, 32, 33, 128, 100_000])
def test_an_honest_model_takes_what_the_formula_says_at_any_length(mixture, sequence):
    model, folder = mixture
    assert _cost(model, folder, sequence=sequence) == flop.per_token(architecture.load(folder), width=sequence)


def test_counting_leaves_no_trace_in_what_the_run_will_draw(mixture):
    before, (model, folder) = torch.get_rng_state(), mixture
    _cost(model, folder)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert all(weight.grad is None for weight in model.parameters())


def test_a_config_that_was_edited_after_loading_holds(mixture):
    """The routers took their number of experts when they were built, and the weights are as many as before."""
    model, folder = mixture
    model.config.num_experts_per_tok = 1
    with pytest.raises(Held, match="another config than"):
        _cost(model, folder)


def test_a_model_that_was_loaded_with_more_experts_than_were_registered_holds(mixture):
    _, folder = mixture
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, num_experts_per_tok=4, local_files_only=True)
    with pytest.raises(Held, match="another config than"):
        _cost(model, folder)
    model.config.num_experts_per_tok = 2  # and says that it was not
    with pytest.raises(Held, match=r"does not speak of what the model does: .* apart"):
        _cost(model, folder)


def test_layers_that_are_passed_twice_hold(mixture):
    model, folder = mixture
    for layer in model.model.layers:
        once = layer.forward
        layer.forward = lambda hidden, *rest, once=once, **more: once(once(hidden, *rest, **more), *rest, **more)
    with pytest.raises(Held, match="does not speak of what the model does"):
        _cost(model, folder)


def test_attention_that_is_dearer_than_the_formula_knows_holds_at_the_length_where_it_counts(mixture):
    """Over 16 tokens it is a fraction of the count, and over 100,000 nearly all of it: short passes tell."""
    model, folder = mixture
    attention = model.model.layers[0].self_attn
    once = attention.forward

    def twice(hidden_states, *rest, **more):
        size = hidden_states.shape[1]
        torch.ones(size, 30) @ torch.ones(30, size)  # pairs of positions, and nothing else
        return once(hidden_states, *rest, **more)

    attention.forward = twice
    assert _cost(model, folder, sequence=16) > flop.per_token(architecture.load(folder), width=16)
    with pytest.raises(Held, match="apart"):
        _cost(model, folder, sequence=100_000)


def test_a_gap_that_is_accepted_counts_for_the_dearer(mixture):
    model, folder = mixture
    once = model.lm_head.forward
    model.lm_head.forward = lambda hidden: once(hidden + hidden @ torch.ones(48, 10) @ torch.ones(10, 48))
    takes = 2 * 48 * 10 * 2
    assert _cost(model, folder) == flop.per_token(architecture.load(folder), width=48) + flop.TRAINING * takes
    assert flop.TRAINING * takes < _cost(model, folder) * counted.MOST_APART


def test_a_model_that_cannot_be_counted_holds(mixture, monkeypatch):
    model, folder = mixture
    monkeypatch.setattr(model.model, "forward", None)
    with pytest.raises(Held, match="torch's counter does not get through it"):
        _cost(model, folder)


def test_a_part_that_was_compiled_is_counted_as_it_was_written(mixture):
    """What a compiler made of it may have products that torch's counter does not know."""
    (model, folder), called = mixture, list[int]()
    honest = _cost(model, folder)

    def unseen(graph, _):
        def compiled(*given):
            called.append(1)
            with _disable_current_modes():
                return graph(*given)

        return compiled

    model.model.layers[0].self_attn.compile(backend=unseen)
    with torch.no_grad():
        model(input_ids=torch.zeros((1, 16), dtype=torch.long))
    assert called == [1]
    assert _cost(model, folder) == honest
    assert called == [1]


def test_a_registered_config_that_the_formula_does_not_know_holds(mixture, monkeypatch):
    model, folder = mixture
    load = architecture.load_config
    monkeypatch.setattr(architecture, "load_config", lambda path: load(path) | {"add_cross_attention": True})
    with pytest.raises(Held, match=r"unknown: .*add_cross_attention.*give counted_flop"):
        _cost(model, folder)
    with pytest.raises(Held, match="counted_flop is not believed: got 1 FLOP a token"):
        _cost(model, folder, counted_flop=1)
