"""The formula against torch's counter on real passes, and what torch's counter leaves out."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from interlock.errors import UsageError
from interlock.subject.compute import architecture, counted, flop
from interlock.subject.compute.architecture import UnknownArchitectureError
from interlock.subject.compute.counted import GapError, agree, count
from subject.compute.models import MODELS, SMALL, config_of

ROWS, WIDTH = 2, 24


def real(name, *, layers=2, **settings):
    """A model of the table in memory, as a trainer has it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config_of(name, layers=layers), **settings)
    return model.train()


#: One model of each family: what else may vary changes no kind of product.
EACH_FAMILY = sorted({family: name for name, (family, _) in reversed(MODELS.items())}.values())


@pytest.mark.parametrize("name", EACH_FAMILY)
def test_the_formula_is_what_torch_counts_on_a_real_pass(name):
    made = architecture.read(config_of(name, layers=2).to_dict())  # a dense layer, and a sparse one
    found = count(real(name), rows=ROWS, width=WIDTH)
    assert found.flop == flop.training(made, rows=ROWS, width=WIDTH)
    assert agree(made, found) == 0


@pytest.mark.parametrize("name", EACH_FAMILY)
@pytest.mark.parametrize("width", [7, 50])
def test_short_passes_forward_tell_what_training_on_a_sequence_takes(name, width):
    made, model = architecture.read(config_of(name, layers=2).to_dict()), real(name)
    weights = [weight.requires_grad_(requires_grad=False) for weight in model.parameters()]  # frozen ones count, too
    found = counted.forward(model, width=width)
    assert found == counted.Counted(flop.training(made, rows=1, width=width), 1, width)
    assert model.training
    assert all(weight.grad is None for weight in weights)


@pytest.mark.parametrize("name", ["mixtral", "gpt2", "deepseek_v3"])
def test_a_model_without_memory_counts_as_a_real_one(name):
    made = architecture.read(config_of(name, layers=2).to_dict())
    found = counted.of_config(config_of(name, layers=2).to_dict(), rows=ROWS, width=WIDTH)
    assert found == counted.Counted(flop.training(made, rows=ROWS, width=WIDTH), ROWS, WIDTH, recomputes=False)


def test_fused_attention_on_a_cpu_still_counts_for_nothing_in_torch():
    """If this fails, torch counts it now, and `counted._taken_apart` need not take attention apart any more."""
    query = torch.ones(1, 2, 16, 8, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        torch.nn.functional.scaled_dot_product_attention(query, query, query).sum().backward()
    assert counter.get_total_flops() == 0


def _as_it_stands(model):
    with FlopCounterMode(display=False) as counter:
        model(input_ids=torch.zeros((1, 64), dtype=torch.long)).logits.sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize(
    ("name", "settings"),
    [("llama", {"attn_implementation": "sdpa"}), ("mixtral", {"experts_implementation": "grouped_mm"})],
)
def test_what_torch_does_not_count_is_counted_all_the_same(name, settings):
    """Fused attention, and grouped products of experts: the formula finds the gap, and `count` has none."""
    model = real(name, **settings)
    made = counted.of_model(model)
    found = count(model, rows=1, width=64)
    assert found.flop == flop.training(made, rows=1, width=64)
    with pytest.raises(GapError) as caught:
        agree(made, replace(found, flop=_as_it_stands(model)))
    assert f"{found.flop} by torch's counter" not in str(caught.value)
    assert f"takes {found.flop} FLOP by the formula" in str(caught.value)


def test_a_model_is_left_as_it_was():
    model = real("mixtral", attn_implementation="sdpa", experts_implementation="grouped_mm")
    model(input_ids=torch.zeros((1, 4), dtype=torch.long)).logits.sum().backward()
    weights = {name: weight.clone() for name, weight in model.named_parameters()}
    grads = {name: copy.deepcopy(weight.grad) for name, weight in model.named_parameters()}
    model.model.norm.eval()  # a part in another mode than the whole
    count(model, rows=1, width=8)
    assert model.training
    assert [part for part in model.modules() if not part.training] == [model.model.norm]
    assert model.config._attn_implementation == "sdpa"
    assert model.config._experts_implementation == "grouped_mm"
    for name, weight in model.named_parameters():
        assert torch.equal(weight, weights[name])
        assert (weight.grad is None) == (grads[name] is None)
        assert weight.grad is None or torch.equal(weight.grad, grads[name])


def test_gradient_checkpointing_is_said_and_not_counted():
    model = real("llama")
    plain = count(model, rows=ROWS, width=WIDTH)
    model.activation_checkpointing_enable()
    again = count(model, rows=ROWS, width=WIDTH)
    assert (plain.recomputes, again.recomputes) == (False, True)
    assert again.flop == plain.flop
    assert model.is_activation_checkpointing


def test_five_percent_is_accepted_and_a_hair_more_is_not():
    made = architecture.read(config_of("llama", layers=2).to_dict())
    found = count(real("llama"), rows=ROWS, width=WIDTH)
    for part in (100 / 95, 100 / 105):
        near = round(found.flop * part)
        assert agree(made, replace(found, flop=near + (1 if part < 1 else -1))) <= counted.MOST_APART
        with pytest.raises(GapError):
            agree(made, replace(found, flop=round(near * (0.999 if part < 1 else 1.001))))


def test_nothing_counted_is_a_gap():
    made = architecture.read(config_of("llama", layers=2).to_dict())
    with pytest.raises(GapError, match="0 by torch's counter"):
        agree(made, counted.Counted(0, ROWS, WIDTH, recomputes=False))


def test_a_model_with_frozen_weights_is_not_counted_as_one_that_is_trained():
    model = real("llama")
    next(model.parameters()).requires_grad_(requires_grad=False)
    with pytest.raises(UsageError, match="1 of 21 tensors are frozen"):
        count(model, rows=1, width=4)


def test_a_model_that_was_grown_beyond_its_config_is_not_counted_by_it():
    model = real("llama")
    model.model.layers[0].extra = torch.nn.Linear(4, 4)
    with pytest.raises(UnknownArchitectureError, match="the formula does not speak of it"):
        counted.of_model(model)


def test_a_config_that_makes_no_model_is_one_error():
    with pytest.raises(UsageError, match="transformers does not build the model"):
        counted.of_config({"model_type": "no-such-family"}, rows=1, width=4)
    with pytest.raises(UsageError, match="transformers does not build the model"):
        counted.of_config({"model_type": "llama", **SMALL, "hidden_size": -3}, rows=1, width=4)
