"""The formula against published figures, and its own laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.subject.compute import architecture, flop
from subject.compute.models import MODELS, config_of

LLAMA = {"model_type": "llama", "tie_word_embeddings": False, "max_position_embeddings": 8192}


def gpt(layers, width, heads, *, words=50257, positions=2048):
    members = {"n_embd": width, "n_layer": layers, "n_head": heads, "n_positions": positions, "vocab_size": words}
    return architecture.read({"model_type": "gpt2", **members})


def llama(layers, width, inner, heads, groups, words):
    return architecture.read(
        LLAMA
        | {
            "num_hidden_layers": layers,
            "hidden_size": width,
            "intermediate_size": inner,
            "num_attention_heads": heads,
            "num_key_value_heads": groups,
            "vocab_size": words,
        }
    )


#: (model, parameters, tokens, sequence, training FLOP as published, how far the formula may be from that, where)
PUBLISHED = {
    "GPT-3 175B": (gpt(96, 12288, 96), 174.6e9, 300e9, 2048, 3.14e23, 0.04, "Brown et al. 2020, tables 2.1 and D.1"),
    "GPT-3 13B": (gpt(40, 5120, 40), 12.85e9, 300e9, 2048, 2.31e22, 0.08, "Brown et al. 2020, tables 2.1 and D.1"),
    "Llama 3 405B": (
        *(llama(126, 16384, 53248, 128, 8, 128256), 405e9, 15.6e12, 8192, 3.8e25, 0.08),
        "Grattafiori et al. 2024, arXiv:2407.21783, sections 1 and 3.2, table 3",
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_training_compute_is_met_from_above_by_the_share_of_attention(name):
    """The papers' figures leave attention out, or count it by half; the formula counts it in full."""
    made, parameters, tokens, width, published, most, _ = PUBLISHED[name]
    assert made.parameters == pytest.approx(parameters, rel=0.01)
    for kind in ("causal", "full"):
        found = flop.trained(made, tokens=int(tokens), width=width, attention=kind)
        assert published * 0.99 < found < published * (1 + most), (kind, found)
    assert 6 * made.parameters * tokens == pytest.approx(published, rel=0.01)


#: Parameters in all, and those that a token is multiplied with, in units of 10^9.
MIXTURES = {
    "Mixtral 8x7B: 46.7 and 12.9 (Jiang et al. 2024, arXiv:2401.04088, section 2 gives 47 and 13)": (
        {
            "model_type": "mixtral",
            "vocab_size": 32000,
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "num_local_experts": 8,
            "num_experts_per_tok": 2,
            "max_position_embeddings": 32768,
        },
        46.7,
        12.9,
    ),
    "DeepSeek-V3: 671 and 37 (DeepSeek-AI 2024, arXiv:2412.19437, section 4.2)": (
        {
            "model_type": "deepseek_v3",
            "vocab_size": 129280,
            "hidden_size": 7168,
            "intermediate_size": 18432,
            "moe_intermediate_size": 2048,
            "num_hidden_layers": 61,
            "num_attention_heads": 128,
            "n_shared_experts": 1,
            "n_routed_experts": 256,
            "num_experts_per_tok": 8,
            "first_k_dense_replace": 3,
            "q_lora_rank": 1536,
            "kv_lora_rank": 512,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "max_position_embeddings": 4096,
        },
        671,
        37,
    ),
}


@pytest.mark.parametrize("name", MIXTURES)
def test_a_mixture_has_as_many_parameters_in_all_and_in_use_as_published(name):
    config, stored, used = MIXTURES[name]
    made = architecture.read(config)
    assert made.parameters / 1e9 == pytest.approx(stored, rel=0.005)
    assert made.used / 1e9 == pytest.approx(used, rel=0.02)


@given(st.integers(1, 20), st.integers(1, 8), st.integers(1, 64), st.integers(1, 40), st.integers(1, 5000))
def test_a_plain_transformer_takes_what_megatron_counts(layers, heads, rows, width, words):
    """Narayanan et al. 2021, arXiv:2104.04473, appendix: 72 B s l h^2 (1 + s/6h + V/12lh), without recomputation."""
    wide = heads * 8
    made = gpt(layers, wide, heads, words=words, positions=64)
    exact = (
        72 * rows * width * layers * wide**2 + 12 * rows * width**2 * layers * wide + 6 * rows * width * words * wide
    )
    assert flop.training(made, rows=rows, width=width) == exact


@pytest.mark.parametrize("name", MODELS)
def test_no_pair_of_positions_is_counted_twice_or_left_out(name):
    """Causal attention by adding up what each position sees, and in full the most that it can be."""
    made = architecture.read(config_of(name).to_dict())
    for width in (1, 2, 15, 16, 17, 40):
        seen = sum(
            2 * layer.across * sum(min(at + 1, layer.window or at + 1) for at in range(width)) for layer in made.layers
        )
        causal = flop.forward(made, rows=1, width=width, attention="causal")
        assert causal == 2 * width * made.used + seen
        assert causal <= flop.forward(made, rows=1, width=width) == width * flop.per_token(made, width=width) // 3


@given(st.integers(1, 30), st.integers(0, 30), st.integers(1, 4))
def test_answering_takes_no_less_than_reading_the_answers(width, new, rows):
    made = architecture.read(config_of("llama").to_dict())
    answering = flop.generation(made, rows=rows, width=width, new_tokens=new)
    assert answering >= flop.forward(made, rows=rows, width=width + new, attention="causal")
    assert flop.generation(made, rows=rows, width=width, new_tokens=new + 1) > answering


@given(st.integers(1, 10**6), st.integers(1, 128))
def test_training_on_some_tokens_takes_no_less_than_their_share_of_sequences(tokens, width):
    made = architecture.read(config_of("llama").to_dict())
    found = flop.trained(made, tokens=tokens, width=width)
    assert found == tokens * flop.per_token(made, width=width)
    assert flop.trained(made, tokens=tokens, width=width, attention="causal") <= found
