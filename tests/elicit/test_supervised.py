"""Elicitation by fine-tuning: it takes, repeats, leaves its subject alone, resumes, and says when it failed."""

from __future__ import annotations

import hashlib
import json
import warnings

import pytest

import tiny_model
from interlock.elicit import asking, decoder, examples, lora, supervised, training
from interlock.elicit.budget import Meter, OutOfBudgetError
from interlock.elicit.elicitor import recipe
from interlock.elicit.examples import Example
from interlock.elicit.items import Item, Material
from interlock.elicit.supervised import Supervised
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import local

torch = pytest.importorskip("torch")
models = pytest.importorskip("subject.compute.models")

ADAPTER = Supervised(rank=4, steps=40, learning_rates=(2e-2,), batch=4)
ALL = Supervised(weights="all", steps=40, learning_rates=(5e-3,), batch=4)


def item(text, answer):
    return Item(text, text, ({"role": "user", "content": text},), answer)


SHOWN = (item("ab", "x"), item("cd", "y"))
MATERIAL = Material(SHOWN, (), "exact", 3)
WITH_DEV = Material(SHOWN, (item("ef", "x"), item("gh", "y")), "exact", 3)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return local.load(tiny_model.build(tmp_path_factory.mktemp("tiny") / "model"))


def elicit(elicitor, model, material=MATERIAL, *, cap=None, work=None, progress=lambda *told: None):
    return elicitor.elicit(model, material, meter=Meter(cap), seed=0, work=work, progress=progress)


@pytest.mark.parametrize("elicitor", [ADAPTER, ALL], ids=["adapter", "all"])
def test_the_model_learns_its_demonstrations_and_the_subject_is_unchanged(model, elicitor):
    before = local.fingerprint(model)
    elicited = elicit(elicitor, model)
    answers = asking.ask(elicited.adapted, SHOWN, grade="exact", max_new_tokens=3)
    assert [answer.text for answer in answers] == ["x", "y"]
    assert elicited.adapted.local.dtype == model.dtype == next(elicited.adapted.local.model.parameters()).dtype
    assert local.fingerprint(model) == before
    took = elicited.transcript[-1]
    assert took["event"] == "took"
    assert took["loss_after"] < took["loss_before"]
    assert took["logits_moved"] > 0


def test_all_weights_of_a_model_that_computes_in_bfloat16_learn_too(model):
    half = local.LocalModel(local.ready(_copy(model).to(torch.bfloat16)), model.tokenizer, torch.bfloat16)
    answers = asking.ask(elicit(ALL, half).adapted, SHOWN, grade="exact", max_new_tokens=3)
    assert [answer.text for answer in answers] == ["x", "y"]


@pytest.mark.parametrize("elicitor", [ADAPTER, ALL], ids=["adapter", "all"])
def test_two_runs_at_one_seed_agree_bitwise(model, elicitor):
    one, two = (elicit(elicitor, model) for _ in range(2))
    assert local.fingerprint(one.adapted.local) == local.fingerprint(two.adapted.local)
    assert (one.transcript, one.flop) == (two.transcript, two.flop)


def _others():
    from transformers import (
        Gemma3ForCausalLM,
        Gemma3TextConfig,
        GPT2Config,
        GPT2LMHeadModel,
        GPTNeoXConfig,
        GPTNeoXForCausalLM,
        Phi3Config,
        Phi3ForCausalLM,
        Qwen2Config,
        Qwen2ForCausalLM,
    )

    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    common = {"vocab_size": 259, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, **ends}
    gated = {**common, "intermediate_size": 64, "num_key_value_heads": 2}
    return {
        "gpt-2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=259, n_embd=32, n_layer=3, n_head=4, **ends)),
        "gpt-neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(intermediate_size=64, **common)),
        "gemma 3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(head_dim=8, sliding_window=8, **gated)),
        "qwen 2": lambda: Qwen2ForCausalLM(Qwen2Config(**gated)),
        "phi 3": lambda: Phi3ForCausalLM(Phi3Config(**gated)),
    }


@pytest.mark.parametrize("name", ["gpt-2", "gpt-neox", "gemma 3", "qwen 2", "phi 3"])
def test_models_of_other_makes_are_tuned_too(model, name):
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        made = _others()[name]().to(model.dtype)
    other = local.LocalModel(local.ready(made), model.tokenizer, model.dtype)
    elicitor = Supervised(rank=4, layers=1, steps=30, learning_rates=(2e-2,))
    took = elicit(elicitor, other).transcript[-1]
    assert took["loss_after"] < took["loss_before"]
    kept = examples.prepare(other.model, [examples.answered(other, one, grade="exact") for one in SHOWN], lowest=2)
    assert all(one.hidden is not None for one in kept)


@pytest.mark.parametrize("family", ["mixtral", "qwen2_moe", "qwen3_moe", "deepseek_v3"])
def test_an_adapter_is_refused_where_it_would_leave_the_experts_as_they_are(model, family):
    mixture = models.built(models.config_of(family, layers=2))
    with pytest.raises(UsageError, match=r"does not reach all matrices .*`fine-tune-full`, or `weights=all`"):
        lora.attach(mixture, lora.Shape(rank=2, layers=1))


def test_of_no_layers_an_adapter_is_on_every_one(model):
    def adapted(layers):
        made = lora.attach(_copy(model), lora.Shape(rank=2, layers=layers))
        return {name for name, weight in made.named_parameters() if weight.requires_grad}

    assert adapted(1) < adapted(0) == adapted(2) == adapted(99)


def test_what_lower_layers_give_is_computed_once_and_changes_no_bit(model):
    told = [examples.answered(model, one, grade="exact") for one in (*SHOWN, item("a longer question than those", "z"))]
    tuned = lora.attach(_copy(model), lora.Shape(4, 1))
    causal = tuned.get_base_model()
    kept = examples.prepare(causal, told, lowest=1)
    whole = [examples.Prepared(one.tokens, one.positions, one.target) for one in kept]
    results = []
    for batch in (kept, whole):
        value = examples.loss(causal, batch, lowest=1)
        tuned.zero_grad()
        value.backward()
        results.append([value, *[p.grad for p in tuned.parameters() if p.requires_grad]])
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


def _copy(model):
    import copy

    return copy.deepcopy(model.model)


def test_a_model_that_cannot_be_entered_midway_is_trained_whole(model):
    causal = _copy(model)
    lower, upper = decoder.layers(causal)
    seen = []
    lower.register_forward_hook(lambda _, given, out: seen.append(out))
    real = upper.forward
    upper.forward = lambda hidden, **named: real(hidden + seen[-1].mean(), **named)
    kept = examples.prepare(causal, [examples.answered(model, one, grade="exact") for one in SHOWN], lowest=1)
    assert [one.hidden for one in kept] == [None, None]


def test_an_imitated_example_has_no_loss_before_training_and_some_after(model):
    tokens = local.encode(model, SHOWN[0].messages)
    tuned = lora.attach(_copy(model), lora.Shape(4, 1))
    causal = tuned.get_base_model()
    (one,) = examples.prepare(causal, [Example(tuple(tokens), (3, 5), imitate=True)], lowest=1)
    assert one.target.shape == (2, 259)
    assert examples.loss(causal, [one], lowest=1).item() == pytest.approx(0, abs=2e-3)
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.5)
    assert examples.loss(causal, [one], lowest=1).item() > 0.1


def test_long_batches_go_through_the_model_in_parts_with_the_same_loss(model, monkeypatch):
    told = [examples.answered(model, item("q" * n, "x"), grade="exact") for n in (3, 40, 90, 20)]
    causal = _copy(model).float()
    kept = examples.prepare(causal, told)
    monkeypatch.setattr(examples, "TOKENS", 160)
    parts = examples.split(kept)
    assert [len(part) for part in parts] == [2, 1, 1]
    summed = sum(examples.loss(causal, part).item() for part in parts)
    assert summed == pytest.approx(examples.loss(causal, kept).item(), rel=1e-5)


def test_learning_rate_and_checkpoint_are_chosen_on_dev(model):
    elicitor = Supervised(rank=4, steps=20, learning_rates=(1e-6, 2e-2), batch=4, checkpoints=2)
    dev = (item("ab!", "x"), item("cd!", "y"))
    elicited = elicit(elicitor, model, Material(SHOWN, dev, "exact", 3))
    tried = [event for event in elicited.transcript if event["event"] == "candidate"]
    assert [(it["learning_rate"], it["step"]) for it in tried] == [(1e-6, 20), (1e-6, 10), (2e-2, 20), (2e-2, 10)]
    (chosen,) = [event for event in elicited.transcript if event["event"] == "chosen"]
    best = max(it["dev_correct"] for it in tried)
    first = next(it for it in tried if it["dev_correct"] == best)
    assert chosen == {"event": "chosen", **{name: first[name] for name in ("learning_rate", "step", "dev_correct")}}
    assert best == sum(a.correct for a in asking.ask(elicited.adapted, dev, grade="exact", max_new_tokens=3)) > 0


@pytest.mark.parametrize(
    "elicitor",
    [
        Supervised(rank=4, steps=12, learning_rates=(1e-2, 2e-2), checkpoints=3),
        Supervised(weights="all", steps=12, learning_rates=(5e-3,), checkpoints=2),
    ],
    ids=["adapter", "all"],
)
def test_killed_anywhere_and_resumed_it_gives_the_same_bits(model, tmp_path, monkeypatch, elicitor):
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    whole = elicit(elicitor, model, WITH_DEV)

    class KilledError(Exception):
        pass

    def killing(after):
        calls = []

        def progress(*told):
            calls.append(told)
            if len(calls) == after:
                raise KilledError

        return progress

    for after in (3, 2, 4, 4, 5):  # each time a little further
        with pytest.raises(KilledError):
            elicit(elicitor, model, WITH_DEV, work=tmp_path, progress=killing(after))
    resumed = elicit(elicitor, model, WITH_DEV, work=tmp_path)
    assert local.fingerprint(resumed.adapted.local) == local.fingerprint(whole.adapted.local)
    assert (resumed.transcript, resumed.flop) == (whole.transcript, whole.flop)


def test_a_folder_of_another_run_is_refused(model, tmp_path):
    elicit(ADAPTER, model, work=tmp_path)
    with pytest.raises(UsageError, match="holds another job"):
        elicit(ADAPTER, model, Material(SHOWN[:1], (), "exact", 3), work=tmp_path)


def test_a_budget_stops_training_in_time_and_the_transcript_says_so(model):
    full = elicit(ADAPTER, model).flop
    elicited = elicit(ADAPTER, model, cap=full // 2)
    assert full // 3 < elicited.flop <= full // 2
    (stopped,) = [event for event in elicited.transcript if event["event"] == "out-of-budget"]
    assert stopped["of"] == 40
    with pytest.raises(OutOfBudgetError, match="of 1e\\+06 are left"):
        elicit(ADAPTER, model, cap=10**6)


def test_compute_is_an_upper_bound_by_formula(model):
    told = [examples.answered(model, one, grade="exact") for one in SHOWN]
    step = examples.cost(model.model, examples.prepare(model.model, told))
    flop = elicit(ADAPTER, model).flop
    assert 40 * step < flop < 40 * step * 1.2  # the adapter's own parameters, and the passes before and after


def test_progress_is_told_after_every_step(model):
    seen = []
    elicit(Supervised(steps=3), model, progress=lambda *told: seen.append(told[:3]))
    assert seen == [("fine-tuning", 1, 3), ("fine-tuning", 2, 3), ("fine-tuning", 3, 3)]


def test_memory_that_does_not_suffice_halves_the_batch_and_the_transcript_says_so(model, monkeypatch):
    real = examples.loss

    def tight(causal, batch, *, lowest=0):
        if torch.is_grad_enabled() and len(batch) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")
        return real(causal, batch, lowest=lowest)

    monkeypatch.setattr(examples, "loss", tight)
    events = elicit(ADAPTER, model).transcript
    assert {"event": "batch-halved", "step": 0, "examples_at_once": 1} in events


def tight(model, monkeypatch, most, *, after=0):
    """A copy of the model on a machine on which passes of `most` rows fit in memory; and the rows of its passes."""
    small = local.LocalModel(local.ready(_copy(model)), model.tokenizer, model.dtype)
    return small, tiny_model.short_of_memory(small, monkeypatch, most, after=after)


@pytest.mark.parametrize("after", [0, 1], ids=["in the first pass", "in the second, which compares"])
@pytest.mark.parametrize("most", [2, 1])
def test_memory_that_does_not_suffice_to_prepare_halves_the_batch_and_is_said_once(
    model, monkeypatch, caplog, most, after
):
    told = [examples.answered(model, item("q" * n, "x"), grade="exact") for n in (9, 2, 40, 30, 3, 8, 7)]
    plain = examples.prepare(model.model, told, lowest=1)
    small, passes = tight(model, monkeypatch, most, after=after)
    with caplog.at_level("WARNING"):
        kept = examples.prepare(small.model, told, lowest=1, fitting=small.fitting)
    assert max(passes[after:][-2:]) <= most
    assert len([it for it in caplog.records if "the batch is halved" in it.message]) == 1
    assert [one.tokens for one in kept] == [one.tokens for one in told]
    for one, other in zip(kept, plain, strict=True):
        assert torch.equal(one.target, other.target)
        assert torch.allclose(one.hidden.float(), other.hidden.float(), atol=0.05)


def test_a_demonstration_that_does_not_fit_alone_is_one_clear_error(model, monkeypatch):
    small, _ = tight(model, monkeypatch, 0)
    with pytest.raises(
        UsageError, match=r"^out of memory: a prompt and its answer of \d+ tokens do not fit even alone$"
    ):
        elicit(ADAPTER, small)


def test_the_loss_before_and_after_is_taken_of_fewer_at_once_when_memory_runs_out(model, monkeypatch):
    prepared = examples.prepare(model.model, [examples.answered(model, one, grade="exact") for one in SHOWN])
    small, passes = tight(model, monkeypatch, 1)
    assert supervised._mean_loss(small, prepared) == pytest.approx(supervised._mean_loss(model, prepared), abs=0.05)
    assert passes == [2, 1, 1]


REFUSED = {
    "no demonstrations": (ADAPTER, Material((), (), "exact", 3), UsageError, "0 demonstrations"),
    "a learning rate that moves nothing": (
        Supervised(steps=2, learning_rates=(1e-30,)),
        MATERIAL,
        EvidenceError,
        "no weight of the model changed",
    ),
    "a loss that is not finite": (
        Supervised(steps=9, learning_rates=(1e30,)),
        MATERIAL,
        EvidenceError,
        "expected a finite number",
    ),
    "a loss that rises": (
        Supervised(weights="all", steps=3, learning_rates=(3.0,)),
        MATERIAL,
        EvidenceError,
        "the loss went from",
    ),
    "a choice without dev": (
        Supervised(learning_rates=(1e-3, 1e-2)),
        MATERIAL,
        UsageError,
        "among 2 settings without dev questions",
    ),
    "a demonstration that is too long": (
        ADAPTER,
        Material((item("a" * 1100, "b"),), (), "exact", 3),
        UsageError,
        "expected at most 1024, the context of the model",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(model, name):
    elicitor, material, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        elicit(elicitor, model, material)


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"rank": 0},
        {"checkpoints": 3, "steps": 2},
        {"learning_rates": ()},
        {"learning_rates": (1e-3, 0.0)},
        {"learning_rates": (-0.01,)},
        {"learning_rates": (float("nan"),)},
        {"learning_rates": (float("inf"),)},
        {"weights": "some"},
        {"warm_up": -1},
        {"layers": -1},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(UsageError, match="expected"):
        Supervised(**settings)


def test_an_adapter_that_was_not_loaded_is_noticed(model, monkeypatch):
    """As if the trained weights had gone to a copy that nobody asks."""
    monkeypatch.setattr("interlock.elicit.took._logits", lambda one, probe: torch.zeros(3))
    with pytest.raises(EvidenceError, match="same logits as before"):
        elicit(ADAPTER, model)


def test_a_model_that_knows_the_answers_already_is_no_failure(model):
    knows = elicit(ALL, model).adapted.local
    took = elicit(Supervised(weights="all", steps=2, learning_rates=(1e-4,)), knows).transcript[-1]
    assert took["loss_after"] <= supervised.LEARNED


def test_the_recipe_names_every_setting():
    told = {recipe(ADAPTER), recipe(ALL), recipe(Supervised()), recipe(Supervised(learning_rates=(6e-4, 1e-3)))}
    assert len(told) == 4
    said = {"name": "fine-tune-lora", "kind": "fine-tuned", "settings": dict(Supervised().describe())}
    expected = hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    assert recipe(Supervised()) == expected
