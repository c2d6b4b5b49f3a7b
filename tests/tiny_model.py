"""A transformers folder that is small enough for tests: a random Llama over bytes, with a chat template.

The weights are random at a fixed seed, so the answers are nonsense but always the same nonsense.
"""

from __future__ import annotations

from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build(folder: Path, *, seed: int = 0) -> Path:
    """Save a two-layer Llama (d=32, byte vocabulary) and its tokenizer into `folder`, and return the folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=259,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.3,  # wide enough that the largest logit leads clearly
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return folder


def short_of_memory(model, monkeypatch, most: int, *, after: int = 0) -> list[int]:
    """Let a pass of more than `most` rows run out of memory, once `after` passes have gone well; the rows of each."""
    forward, passes = model.model.forward, []

    def limited(**given):
        passes.append(len(given["input_ids"]))
        if passes[-1] > most and len(passes) > after:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")
        return forward(**given)

    monkeypatch.setattr(model.model, "forward", limited)
    return passes


def _tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<|im_start|>", "<|im_end|>", "<|pad|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    byte_level = Tokenizer(models.BPE({token: i for i, token in enumerate(names + letters)}, []))
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_level, bos_token=names[0], eos_token=names[1], pad_token=names[2]
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer
