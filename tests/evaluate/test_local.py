"""Running a local model: answers that depend on nothing but the prompt, and clear refusals."""

from __future__ import annotations

import sys

import pytest

import tiny_model
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import local

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def model(folder):
    return local.load(folder)


def ask(text):
    return [{"role": "system", "content": "Answer."}, {"role": "user", "content": text}]


PROMPTS = [ask("x" * (1 + 7 * i % 40)) for i in range(37)]


def test_an_answer_does_not_depend_on_its_neighbours_or_their_order(model):
    together = local.generate(model, PROMPTS, max_new_tokens=6)
    order = sorted(range(len(PROMPTS)), key=lambda i: (i * 17) % len(PROMPTS))
    shuffled = local.generate(model, [PROMPTS[i] for i in order], max_new_tokens=6)
    assert [together[i] for i in order] == shuffled
    assert [local.generate(model, [prompt], max_new_tokens=6)[0] for prompt in PROMPTS[:5]] == together[:5]


def test_logits_are_bitwise_equal_in_every_row(model, monkeypatch):
    seen = []
    monkeypatch.setattr(local, "_argmax", lambda logits: seen.append(logits.clone()) or logits.argmax(-1))
    local.generate(model, [PROMPTS[0], *PROMPTS[4:9]], max_new_tokens=1)
    local.generate(model, [*PROMPTS[20:25], PROMPTS[0]], max_new_tokens=1)
    local.generate(model, [PROMPTS[0]], max_new_tokens=1)
    alone = seen[-1][0]
    rows = [row for logits in seen for row in logits]
    assert sum(torch.equal(row, alone) for row in rows) >= 2 + local.ROWS


def test_answers_equal_those_of_transformers(model):
    text = model.tokenizer.apply_chat_template(ask("hello"), tokenize=False, add_generation_prompt=True)
    tokens = model.tokenizer(text, return_tensors="pt", add_special_tokens=False)
    reference = model.model.generate(**tokens, max_new_tokens=6, do_sample=False)
    width = tokens["input_ids"].shape[1]
    (answer,) = local.generate(model, [ask("hello")], max_new_tokens=6)
    assert answer.text == model.tokenizer.decode(reference[0][width:], skip_special_tokens=True)
    assert answer.input_tokens == width
    assert answer.output_tokens == reference.shape[1] - width


def test_no_prompts_and_no_tokens_are_answered_with_nothing(model):
    assert local.generate(model, [], max_new_tokens=3) == []
    (answer,) = local.generate(model, [ask("hello")], max_new_tokens=0)
    assert (answer.text, answer.output_tokens) == ("", 0)


def test_non_finite_logits_are_refused(folder):
    broken = local.load(folder)
    with torch.no_grad():
        next(iter(broken.model.parameters())).fill_(float("nan"))
    with pytest.raises(EvidenceError, match="non-finite logits"):
        local.generate(broken, [ask("hello")], max_new_tokens=1)


def test_a_folder_without_a_configuration_is_not_a_model(tmp_path):
    with pytest.raises(UsageError, match=r"has no `config\.json`"):
        local.load(tmp_path)


def test_weights_that_are_not_safetensors_are_not_read(tmp_path):
    folder = tiny_model.build(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"has no `\*\.safetensors` file"):
        local.load(folder)


@pytest.mark.parametrize("kept", [0, 4, 5000, -1])
def test_a_truncated_weight_file_is_named(tmp_path, kept):
    folder = tiny_model.build(tmp_path / "model")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(EvidenceError, match=r"model\.safetensors` is not a complete safetensors file") as caught:
        local.load(folder)
    assert "\n" not in str(caught.value)


def test_missing_weights_are_refused_rather_than_made_up(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tiny_model.build(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EvidenceError, match=r"1 such as `model\.layers\.1\.mlp\.up_proj\.weight`"):
        local.load(folder)


def test_weights_of_another_size_are_refused(tmp_path):
    folder = tiny_model.build(tmp_path / "model")
    configuration = folder / "config.json"
    configuration.write_text(configuration.read_text().replace('"intermediate_size": 64', '"intermediate_size": 96'))
    with pytest.raises(EvidenceError, match=r"do not fit its `config\.json`|cannot load the model"):
        local.load(folder)


def test_an_adapter_is_merged_into_the_weights(folder, model, tmp_path):
    from interlock.elicit import lora

    shape = lora.Shape(rank=2, layers=1)
    adapted = lora.attach(local.load(folder).model, shape)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    with local.quiet():
        adapted.save_pretrained(tmp_path)
    merged = local.load(folder, adapter=tmp_path)
    assert local.fingerprint(merged) != local.fingerprint(model)
    assert local.fingerprint(merged) == local.fingerprint(local.load(folder, adapter=tmp_path))
    assert {name for name, _ in merged.model.named_parameters()} == {name for name, _ in model.model.named_parameters()}


def test_a_missing_adapter_is_named(folder, tmp_path):
    with pytest.raises(UsageError, match="not a transformers adapter folder"):
        local.load(folder, adapter=tmp_path)


def test_an_absent_dependency_comes_with_the_install_command(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UsageError, match=r"pip install 'interlock\[local\]'"):
        local.load(folder)
