"""Parameters by formula against the models that transformers builds: every family and its variants."""

from __future__ import annotations

import json

import pytest
import transformers

from interlock.errors import UsageError
from interlock.subject.compute import architecture
from interlock.subject.compute._families import FAMILIES
from interlock.subject.compute.architecture import UnknownArchitectureError
from subject.compute.models import ENDS, MODELS, SMALL, built, config_of, parameters


def test_every_family_is_in_the_table_of_models():
    assert {family for family, _ in MODELS.values()} == set(FAMILIES)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_those_of_the_model_that_transformers_builds(name, tmp_path):
    config = config_of(name)
    expected = parameters(built(config))
    assert architecture.read(config.to_dict()).parameters == expected
    config.save_pretrained(tmp_path)
    saved = architecture.load(tmp_path)
    assert saved.parameters == expected
    assert saved == architecture.load(tmp_path / "config.json")


@pytest.mark.parametrize(
    "name", ["mistral with a window", "qwen2_moe with dense layers", *(name for name in FAMILIES if name in MODELS)]
)
def test_a_member_that_a_config_leaves_out_means_what_transformers_takes_it_to_mean_or_is_refused(name):
    whole = config_of(name).to_dict()
    for member in [name for name in whole if name not in {"model_type", "dtype", *ENDS}]:
        less = {key: value for key, value in whole.items() if key != member}
        try:
            found = architecture.read(less)
        except UnknownArchitectureError as error:
            assert f"`{member}` is missing" in str(error)  # noqa: PT017  it may also be read
            continue
        family = less.pop("model_type")
        config = transformers.AutoConfig.for_model(family, **{k: v for k, v in less.items() if k != "dtype"})
        if config.to_dict() != whole:  # else it is the model of the test above
            assert found.parameters == parameters(built(config)), member


#: Each layer's window, by the model: as transformers says itself.
@pytest.mark.parametrize("name", [name for name in MODELS if "sliding_window" in MODELS[name][1]])
def test_windows_are_those_of_transformers(name):
    config = config_of(name)
    expected = [
        config.sliding_window if kind == "sliding_attention" else None
        for kind in getattr(config, "layer_types", None) or ["sliding_attention"] * config.num_hidden_layers
    ]
    for members in (config.to_dict(), {k: v for k, v in config.to_dict().items() if k != "layer_types"}):
        assert [layer.window for layer in architecture.read(members).layers] == expected


BROKEN = {
    "an unknown architecture": (
        {"model_type": "mamba"},
        "does not know the architecture `mamba`, expected one of deepseek_v2",
    ),
    "none": ({"model_type": None}, "does not know the architecture `None`"),
    "a list": ({"model_type": ["llama"]}, "does not know the architecture"),
    "no width": ({"hidden_size": None}, "`hidden_size` is `None`, expected a whole number, 1 or more"),
    "a width of nothing": ({"hidden_size": 0}, "`hidden_size` is `0`"),
    "a true width": ({"hidden_size": True}, "`hidden_size` is `True`"),
    "a width in text": ({"hidden_size": "48"}, "`hidden_size` is `48`"),
    "a huge width": ({"hidden_size": 2**60}, "`hidden_size`"),
    "too many layers": ({"num_hidden_layers": 10**6}, "`num_hidden_layers` is `1000000`, expected at most 10000"),
    "heads that do not divide": ({"num_attention_heads": 7, "num_key_value_heads": 7}, "expected a divisor of 48"),
    "groups that do not divide": ({"num_key_value_heads": 4}, "expected a divisor of 6"),
    "a bias in text": ({"attention_bias": "no"}, "`attention_bias` is `no`, expected true or false"),
    "an encoder": ({"is_encoder_decoder": True}, "`is_encoder_decoder` is `True`"),
    "cross-attention": ({"add_cross_attention": True}, "`add_cross_attention` is `True`"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_config_that_is_not_understood_is_one_error_and_never_a_guess(name):
    change, message = BROKEN[name]
    with pytest.raises(UnknownArchitectureError) as caught:
        architecture.read({"model_type": "llama", **SMALL, **change}, where="some/config.json")
    assert message in str(caught.value)
    assert str(caught.value).startswith("some/config.json: ")


def test_layers_of_a_kind_that_is_not_known_are_refused():
    config = {"model_type": "qwen3", **SMALL, "head_dim": 8, "layer_types": ["linear_attention"] * 4}
    with pytest.raises(UnknownArchitectureError, match="`layer_types`"):
        architecture.read(config)


def test_more_experts_a_token_than_there_are_is_refused():
    config = {"model_type": "mixtral", **SMALL, "num_local_experts": 2, "num_experts_per_tok": 3}
    with pytest.raises(UnknownArchitectureError, match="at most the 2 experts there are"):
        architecture.read(config)


@pytest.mark.parametrize("text", ["", "[]", "{", "3", "\ud800"])
def test_a_file_that_is_no_config_is_one_error(tmp_path, text):
    file = tmp_path / "config.json"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UsageError, match=r"config\.json"):
        architecture.load(file)
    with pytest.raises(UsageError, match="no such file"):
        architecture.load(tmp_path / "other.json")


def test_a_model_with_eyes_is_not_counted_by_its_words_alone(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": SMALL}))
    with pytest.raises(UnknownArchitectureError, match="gemma3`"):
        architecture.load(tmp_path)
