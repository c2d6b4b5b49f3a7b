"""Running a local model: answers that depend on nothing but the prompt, and clear refusals."""

from __future__ import annotations

import json
import shutil
import sys
import warnings

import pytest

import tiny_model
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import local, weights

torch = pytest.importorskip("torch")
models = pytest.importorskip("subject.compute.models")


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


def solved(*pairs):
    return [
        {"role": role, "content": text}
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


#: After examples: two sets of them in turn, one longer than the other, and one prompt that shares what it begins with.
SHOWN = [
    [*solved(*[(f"question {k} {j}", f"answer {j}") for j in range(3 + k)]), *ask("x" * (1 + 7 * i % 40))[1:]]
    for i in range(37)
    for k in [i % 2]
] + [[*solved(*[(f"question 0 {j}", f"answer {j}") for j in range(2)]), *ask("question 0 2")[1:]]]


def test_an_answer_after_examples_does_not_depend_on_its_neighbours_or_their_order(model):
    assert {it.shared > 0 for it in local._prompts(model, SHOWN)} == {True}
    together = local.generate(model, SHOWN, max_new_tokens=6)
    order = sorted(range(len(SHOWN)), key=lambda i: (i * 17) % len(SHOWN))
    assert [together[i] for i in order] == local.generate(model, [SHOWN[i] for i in order], max_new_tokens=6)
    for i in (0, 1, 36, 37):
        assert local.generate(model, [SHOWN[i]], max_new_tokens=6) == [together[i]]


def test_what_prompts_begin_with_is_read_once(model):
    seen = []
    hook = model.model.register_forward_pre_hook(
        lambda _, __, named: seen.append(tuple(named["input_ids"].shape)), with_kwargs=True
    )
    try:
        local.generate(model, SHOWN[:36:2], max_new_tokens=1)
    finally:
        hook.remove()
    alone = [shape for shape in seen if shape[0] == 1]
    assert len(alone) == 1
    assert all(shape[1] < alone[0][1] for shape in seen if shape[0] == local.ROWS)


def test_answers_after_examples_are_those_of_one_pass_over_the_whole_prompt(model, monkeypatch):
    apart = local.generate(model, SHOWN, max_new_tokens=6)
    monkeypatch.setattr(local, "LEAST_SHARED", 10**9)
    whole = local.generate(model, SHOWN, max_new_tokens=6)
    same = sum(a == b for a, b in zip(apart, whole, strict=True))
    assert same >= 0.9 * len(SHOWN)  # sums in another order may tip a choice between equals
    assert [it.input_tokens for it in apart] == [it.input_tokens for it in whole]


@pytest.mark.parametrize("config", [{"sliding_window": 8}, {"layer_types": ["sliding_attention", "full_attention"]}])
def test_nothing_is_kept_apart_for_a_model_that_does_not_look_at_all_that_came_before(config):
    from types import SimpleNamespace

    from interlock.evaluate.prefixes import suits

    told = SimpleNamespace(get_text_config=lambda: SimpleNamespace(**config))
    assert not suits(SimpleNamespace(config=told))
    assert suits(SimpleNamespace(config=SimpleNamespace(get_text_config=SimpleNamespace)))


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


@pytest.fixture
def adapter(folder, tmp_path):
    """An adapter on all linear maps of the last layer, which changes something."""
    from interlock.elicit import lora

    adapted = lora.attach(local.load(folder).model, lora.Shape(rank=2, layers=1))
    with torch.no_grad():
        for parameter in adapted.parameters():
            parameter.add_(0.1)
    with local.quiet():
        adapted.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def _configure(folder, **members):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | members))


def _restored(file, change):
    """A file of weights, changed, in which nothing else is other."""
    from safetensors.torch import load_file, save_file

    weights = load_file(file)
    change(weights)
    save_file(weights, file, metadata={"format": "pt"})


def test_attack_an_adapters_config_leaves_out_what_there_are_weights_for(folder, adapter):
    local.load(folder, adapter=adapter)
    _configure(adapter, target_modules=["model.layers.1.self_attn.q_proj"])
    with pytest.raises(EvidenceError, match=r"do not fit its `adapter_config\.json`: \d+ such as `.*down_proj"):
        local.load(folder, adapter=adapter)


@pytest.mark.parametrize("replaced", [True, False], ids=["under another name", "not there"])
def test_attack_an_adapters_tensor_that_is_not_loaded(folder, adapter, replaced):
    def change(weights):
        name = next(name for name in weights if "up_proj.lora_B" in name)
        tensor = weights.pop(name)
        if replaced:
            weights[name.replace("up_proj", "upper_proj")] = tensor

    _restored(adapter / "adapter_model.safetensors", change)
    with pytest.raises(EvidenceError, match=r"do not fit its `adapter_config\.json`: [12] such as"):
        local.load(folder, adapter=adapter)


def test_attack_an_adapter_that_is_another_model_when_it_is_merged(folder, tmp_path):
    """On an embedding that is the output map, too."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, task_type="CAUSAL_LM", target_modules=["embed_tokens"])
    with local.quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        get_peft_model(local.load(folder).model, config).save_pretrained(tmp_path / "adapter")
    with pytest.raises(EvidenceError, match="adapts weights that stand in several places: merged"):
        local.load(folder, adapter=tmp_path / "adapter")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("init_lora_weights", "pissa"),
        ("init_lora_weights", "olora"),
        ("kasa_config", {"beta": 1e-4}),
        ("kasa_config", {}),
        ("layer_replication", [[0, 2], [1, 2]]),
        ("alora_invocation_tokens", [3]),
        ("a_member_of_later", True),
    ],
)
def test_attack_an_adapter_that_changes_the_weights_below_it(folder, adapter, name, value):
    """By its start, of which peft takes a part from the weights whenever it loads; served by others, it does not."""
    _configure(adapter, **{name: value})
    with pytest.raises(EvidenceError, match=rf"has `{name}`, by which it is more than low-rank maps beside"):
        local.load(folder, adapter=adapter)


@pytest.mark.parametrize("start", [True, False, None, "gaussian", "orthogonal"])
def test_how_an_adapter_started_is_no_matter_where_that_leaves_the_weights_alone(folder, adapter, start):
    expected = local.fingerprint(local.load(folder, adapter=adapter))
    _configure(adapter, init_lora_weights=start)
    assert local.fingerprint(local.load(folder, adapter=adapter)) == expected


def test_attack_an_output_map_that_the_config_says_is_the_embedding(tmp_path):
    """transformers takes the map that is stored; a loader that goes by the config takes the embedding."""
    folder = tiny_model.build(tmp_path / "model")
    head = "lm_head.weight"

    def with_head(change):
        return lambda weights: weights.update({head: change(weights["model.embed_tokens.weight"])})

    _restored(folder / "model.safetensors", with_head(torch.clone))
    before = local.fingerprint(local.load(folder))
    _restored(folder / "model.safetensors", with_head(torch.neg))
    with pytest.raises(EvidenceError, match=rf"ties `{head}` to `model\.embed_tokens\.weight`, and the weights"):
        local.load(folder)
    configuration = folder / "config.json"
    configuration.write_text(json.dumps(json.loads(configuration.read_text()) | {"tie_word_embeddings": False}))
    assert local.fingerprint(local.load(folder)) != before


def test_what_is_longer_than_the_models_context_is_refused(model):
    """Beyond it a model writes what says nothing of its skill."""
    asked = [[{"role": "user", "content": "a " * length}] for length in (1, 600)]
    assert len(local.encode(model, asked[1])) > 1024
    with pytest.raises(UsageError, match=r"a prompt and its answer may have \d+ tokens, expected at most 1024"):
        local.generate(model, asked, max_new_tokens=2)
    with pytest.raises(UsageError, match="a prompt and its answer may have 1025 tokens"):
        local.sample(model, asked[:1], seeds=[0], temperature=1.0, max_new_tokens=_room(model, asked[0]) + 1)


def _room(model, conversation):
    """The most new tokens that fit, of which the last is not read."""
    return 1024 - len(local.encode(model, conversation)) + 1


def _in_bfloat16(folder):
    def rounded(weights):
        weights.update({name: tensor.bfloat16() for name, tensor in weights.items()})

    _restored(folder / "model.safetensors", rounded)


def test_attack_weights_that_are_rounded_to_the_number_format_of_the_cpu(tmp_path, adapter, monkeypatch):
    """What two neurons leave of each other in float32 can be a skill, of which bfloat16 keeps nothing."""
    monkeypatch.setattr(local, "number_format", lambda: torch.bfloat16)
    folder = tiny_model.build(tmp_path / "model")
    whole = local.load(folder)
    assert {tensor.dtype for tensor in whole.model.state_dict().values()} == {whole.dtype} == {torch.float32}
    _in_bfloat16(folder)
    assert local.load(folder).dtype == torch.bfloat16
    merged = local.load(folder, adapter=adapter)
    assert merged.dtype == torch.float32
    base = local.load(folder).model.state_dict()
    other = {name for name, tensor in merged.model.state_dict().items() if not torch.equal(tensor, base[name].float())}
    assert {name.split(".")[2] for name in other} == {"1"}

    ones = {"model.norm.weight": torch.ones(32).double()}
    _restored(folder / "model.safetensors", lambda weights: weights.update(ones))
    with pytest.raises(EvidenceError, match=r"`model\.norm\.weight` is stored as F64, expected one of BF16, F16, F32"):
        local.load(folder)


@pytest.mark.parametrize("name", ["x.rotary_emb.inv_freq.model.layers.0.mlp.up_proj.weight", "rotary_emb.inv_freq"])
def test_attack_weights_whose_name_transformers_passes_over(tmp_path, name):
    folder = tiny_model.build(tmp_path / "model")
    _restored(folder / "model.safetensors", lambda weights: weights.update({name: torch.ones(7)}))
    with pytest.raises(EvidenceError, match=rf"do not fit its `config\.json`: with `{name}`"):
        local.load(folder)


@pytest.mark.parametrize("name", models.MODELS)
def test_a_model_of_any_family_fits_what_transformers_saved_of_it(name, tmp_path):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(models.config_of(name, layers=2))
    model.save_pretrained(tmp_path)
    loaded = weights.model(tmp_path, torch.float32).state_dict()
    assert loaded.keys() == model.state_dict().keys()


def _as_first_published(folder, name, tensor):
    _restored(folder / "model.safetensors", lambda weights: weights.update({name: tensor}))


def test_constants_that_older_models_were_saved_with_are_known_by_what_they_are(tmp_path):
    from transformers import AutoModelForCausalLM

    mask, layer = torch.ones(1, 1, 8, 8).tril(), "gpt_neox.layers.0.attention"
    told = {
        "h.0.attn.bias": ("gpt2", mask),
        "h.1.attn.bias": ("gpt2", mask.bool()),
        f"{layer}.bias": ("gpt_neox", mask.bool()),
        f"{layer}.masked_bias": ("gpt_neox", torch.tensor(-1e4).half()),
    }
    for name, (family, tensor) in told.items():
        AutoModelForCausalLM.from_config(models.config_of(family, layers=2)).save_pretrained(tmp_path / name)
        _as_first_published(tmp_path / name, name, tensor)
        weights.model(tmp_path / name, torch.float32)
    _as_first_published(tmp_path / "h.0.attn.bias", "h.0.attn.bias", mask + mask.flip(3))
    with pytest.raises(EvidenceError, match=r"with `h\.0\.attn\.bias` and others like it they have more numbers"):
        weights.model(tmp_path / "h.0.attn.bias", torch.float32)

    llama = tiny_model.build(tmp_path / "llama")
    (own,) = [it for name, it in local.load(llama).model.named_buffers() if name.endswith("rotary_emb.inv_freq")]
    _as_first_published(llama, "model.layers.0.self_attn.rotary_emb.inv_freq", own.half())
    local.load(llama)
    _as_first_published(llama, "model.layers.0.self_attn.rotary_emb.inv_freq", own.half() + 1)
    with pytest.raises(EvidenceError, match="have more numbers"):
        local.load(llama)


def test_attack_a_config_has_the_weights_rounded(tmp_path):
    folder = tiny_model.build(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    online = {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"}
    for told in (online, {"quant_method": "hqq"}, {"quant_method": "gptq"}):
        (folder / "config.json").write_text(json.dumps(config | {"quantization_config": told}))
        with pytest.raises(EvidenceError, match="has `quantization_config`, by which weights would be"):
            local.load(folder)


def test_a_tokenizer_is_the_one_in_its_folder(tmp_path, monkeypatch):
    """Whatever else a config may have it loaded from."""
    folder = tiny_model.build(tmp_path / "model")
    told = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = told["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (tmp_path / "elsewhere.json").write_text(json.dumps(told))
    (folder / "special_tokens_map.json").write_text(json.dumps({"tokenizer_file": str(tmp_path / "elsewhere.json")}))
    with pytest.raises(EvidenceError, match="by which a file is loaded that is not hashed"):
        local.load(folder)
    monkeypatch.setattr("interlock.subject.configs.check", lambda _: None)
    with pytest.raises(EvidenceError, match=r"has loaded is not the one in its `tokenizer\.json`"):
        local.load(folder)
    (folder / "special_tokens_map.json").unlink()
    local.load(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises((EvidenceError, UsageError), match="tokenizer"):
        local.load(folder)


def test_attack_a_config_brings_code_that_is_run(tmp_path, monkeypatch):
    folder = tiny_model.build(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    auto = {"AutoConfig": "other.Other", "AutoModelForCausalLM": "other.Other"}
    (folder / "other.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.setattr("builtins.input", lambda _: "y")
    for told in (config | {"auto_map": auto}, config | {"auto_map": auto, "model_type": "other"}):
        (folder / "config.json").write_text(json.dumps(told))
        with pytest.raises(EvidenceError, match="`auto_map`, by which a loader that trusts it runs code"):
            local.load(folder)
    assert not (tmp_path / "ran").exists()


def test_what_frames_a_model_is_known_again_wherever_it_lies_and_whatever_was_padded(folder, model, tmp_path):
    again = local.load(shutil.copytree(folder, tmp_path / "copy"))
    assert local.framing(again) == local.framing(model)
    again.tokenizer(["a", "longer"], padding=True)
    assert local.framing(again) == local.framing(model)


FRAMES = {
    "config.json": ("10000.0", "77.0"),
    "chat_template.jinja": ("<|im_start|>", "<|im_start|> "),
    "generation_config.json": ('"eos_token_id": 1', '"eos_token_id": 0'),
}


@pytest.mark.parametrize("name", FRAMES)
def test_another_configuration_or_chat_template_is_another_frame_of_the_same_weights(folder, model, tmp_path, name):
    copy = shutil.copytree(folder, tmp_path / "copy")
    file, (old, new) = copy / name, FRAMES[name]
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    other = local.load(copy)
    assert local.fingerprint(other) == local.fingerprint(model)
    assert local.framing(other) != local.framing(model)


def test_a_missing_adapter_is_named(folder, tmp_path):
    with pytest.raises(UsageError, match="not a transformers adapter folder"):
        local.load(folder, adapter=tmp_path)


def test_an_absent_dependency_comes_with_the_install_command(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UsageError, match=r"pip install 'interlock\[local\]'"):
        local.load(folder)


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ 'word' if m['role'] == 'user' else m['content'] }}\n{% endfor %}",
        "{{ messages[0]['content'] }}\n",
        "{% for m in messages | reverse %}{{ m['content'] }}\n{% endfor %}",
    ],
    ids=["the questions", "all but the first turn", "their order"],
)
def test_attack_a_chat_template_leaves_out_what_was_asked(folder, template):
    model = local.load(folder)
    turns = [
        {"role": "user", "content": "what is one?"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "and now?"},
    ]
    assert local.encode(model, turns)
    model.tokenizer.chat_template = template
    with pytest.raises(EvidenceError, match="chat template leaves out what was said"):
        local.encode(model, turns)


def test_attack_a_tokenizer_reads_every_question_as_the_same(folder):
    from tokenizers import Regex, normalizers

    model = local.load(folder)
    assert local.encode(model, [{"role": "user", "content": "what is one?"}])
    model.tokenizer.backend_tokenizer.normalizer = normalizers.Replace(Regex("one|two"), "a")
    with pytest.raises(EvidenceError, match="tokenizer leaves out what was said: `what is one"):
        local.encode(model, [{"role": "user", "content": "what is one?"}])


def test_attack_a_config_leaves_out_a_layer_that_there_are_weights_for(tmp_path):
    model = tiny_model.build(tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    config["num_hidden_layers"] -= 1
    config.pop("layer_types", None)
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(EvidenceError, match=r"do not fit its `config\.json`: \d+ such as `model\.layers\."):
        local.load(model)
