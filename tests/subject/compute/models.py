"""Small models of every family that the FLOP formula knows, with the variants that change a count."""

from __future__ import annotations

import torch
import transformers

SMALL = {
    "vocab_size": 99,
    "hidden_size": 48,
    "intermediate_size": 56,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
#: Without groups.
EACH = {name: value for name, value in SMALL.items() if name != "num_key_value_heads"}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}
LATENT = {
    "q_lora_rank": 20,
    "kv_lora_rank": 12,
    "qk_nope_head_dim": 10,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    "num_key_value_heads": 6,
    "n_routed_experts": 8,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
GPT2 = {"vocab_size": 99, "n_embd": 48, "n_layer": 3, "n_head": 6, "n_positions": 64, **ENDS}

#: A config of each kind, by what is special about it.
MODELS = {
    "llama": ("llama", SMALL),
    "llama with tied embeddings, biases and wide heads": (
        "llama",
        {**SMALL, "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True, "head_dim": 10},
    ),
    "granite": ("granite", SMALL),
    "mistral with a window": ("mistral", {**SMALL, "sliding_window": 16}),
    "mistral with wide heads and none": ("mistral", {**SMALL, "head_dim": 12, "sliding_window": None}),
    "mixtral": ("mixtral", {**SMALL, "num_local_experts": 5, "num_experts_per_tok": 2}),
    "qwen2": ("qwen2", SMALL),
    "qwen2 with windows in the later layers": (
        "qwen2",
        {**SMALL, "use_sliding_window": True, "sliding_window": 16, "max_window_layers": 2},
    ),
    "qwen2_moe": ("qwen2_moe", {**SMALL, **EXPERTS, "num_experts": 6, "shared_expert_intermediate_size": 40}),
    "qwen2_moe with dense layers": (
        "qwen2_moe",
        {
            **SMALL,
            **EXPERTS,
            "num_experts": 6,
            "shared_expert_intermediate_size": 40,
            "decoder_sparse_step": 2,
            "mlp_only_layers": [3],
            "qkv_bias": False,
        },
    ),
    "qwen3": ("qwen3", {**SMALL, "head_dim": 10}),
    "qwen3 with biases": ("qwen3", {**SMALL, "head_dim": 8, "attention_bias": True, "tie_word_embeddings": True}),
    "qwen3_moe": ("qwen3_moe", {**SMALL, **EXPERTS, "num_experts": 6, "head_dim": 10, "mlp_only_layers": [0]}),
    "gemma": ("gemma", {**SMALL, "head_dim": 10}),
    "gemma2": ("gemma2", {**SMALL, "head_dim": 10, "sliding_window": 16}),
    "gemma3_text": ("gemma3_text", {**SMALL, "num_hidden_layers": 7, "head_dim": 10, "sliding_window": 16}),
    "olmo2": ("olmo2", SMALL),
    "phi": ("phi", SMALL),
    "phi3": ("phi3", {**SMALL, "sliding_window": 16}),
    "gpt2": ("gpt2", GPT2),
    "gpt2 with an inner width": ("gpt2", {**GPT2, "n_inner": 70}),
    "gpt_neox": ("gpt_neox", EACH),
    "gpt_neox without biases, tied": ("gpt_neox", {**EACH, "attention_bias": False, "tie_word_embeddings": True}),
    "deepseek_v2": ("deepseek_v2", {**SMALL, **EXPERTS, **LATENT}),
    "deepseek_v2 without a latent query": ("deepseek_v2", {**SMALL, **EXPERTS, **LATENT, "q_lora_rank": None}),
    "deepseek_v3": ("deepseek_v3", {**SMALL, **EXPERTS, **LATENT}),
}


def config_of(name, *, layers=None):
    """The config of a model of the table, as transformers has it; with fewer layers, where that is enough."""
    family, members = MODELS[name]
    fewer = {} if layers is None else {"n_layer" if family == "gpt2" else "num_hidden_layers": layers}
    return transformers.AutoConfig.for_model(family, **{**members, **fewer})


def built(config):
    """The model of a config, without memory."""
    with torch.device("meta"):
        return transformers.AutoModelForCausalLM.from_config(config)


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())
