"""How each family of models lays out its weights, by the members of its config as transformers reads them.

A family says what it stores and what a token is multiplied with; biases and norms are stored and take no
multiplication. Members that old configs leave out have the meaning that transformers gives them, and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from interlock.subject.compute.architecture import Architecture, Layer, UnknownArchitectureError

_MOST = 2**40  # no member of any config is as large: what is larger is a mistake, and would take forever to add up
_MOST_LAYERS = 10_000
_FULL, _SLIDING = "full_attention", "sliding_attention"
#: Says that a model is more, or less, than its other members say.
_NOT_COUNTED = ("is_encoder_decoder", "add_cross_attention", "pruned_heads")


@dataclass(frozen=True, slots=True)
class Weights:
    """Parameters stored, and how many entries of matrices one token is multiplied with."""

    stored: int = 0
    used: int = 0

    def __add__(self, other: Weights) -> Weights:
        return Weights(self.stored + other.stored, self.used + other.used)

    def times(self, stored: int, used: int) -> Weights:
        """So many copies, of which a token uses so many."""
        return Weights(self.stored * stored, self.used * used)


class Fields:
    """The members of a config, each checked when it is read."""

    def __init__(self, config: Mapping[str, Any], where: str) -> None:
        self._config, self.where = config, where
        for name in _NOT_COUNTED:
            if config.get(name):
                raise self.unknown(name, "none: the formula does not count it")

    def count(self, name: str, default: int | None = None, *, least: int = 1) -> int:
        """A whole number; `default` where it is missing."""
        value = self._config.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < _MOST:
            raise self.unknown(name, f"a whole number, {least} or more")
        return value

    def groups(self, *, needed: bool) -> int:
        """Heads of keys and values; where it is null, or missing and not `needed`, one for each head."""
        if needed and "num_key_value_heads" not in self._config:
            raise self.unknown("num_key_value_heads", "it, as this family has no usual number")
        heads = self.count("num_attention_heads")
        found = heads if self.get("num_key_value_heads") is None else self.count("num_key_value_heads")
        if heads % found:
            raise self.unknown("num_key_value_heads", f"a divisor of {heads}")
        return found

    def truth(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self._config.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.unknown(name, "true or false")
        return default if value is None else value

    def get(self, name: str) -> Any:  # noqa: ANN401  whatever JSON has
        """The raw member, None where it is missing."""
        return self._config.get(name)

    def has(self, name: str) -> bool:
        """Whether the member is there, null or not."""
        return name in self._config

    def no(self, name: str) -> None:
        """Refuse a variant that is not counted."""
        if self._config.get(name):
            raise self.unknown(name, "none: the formula does not count this variant")

    def unknown(self, name: str, expected: str) -> UnknownArchitectureError:
        """The error for a member."""
        got = f"`{str(self._config[name])[:80]}`" if name in self._config else "missing"
        return UnknownArchitectureError(f"{self.where}: `{name}` is {got}, expected {expected}")

    def layers(self, name: str = "num_hidden_layers") -> int:
        """How many layers."""
        found = self.count(name)
        if found > _MOST_LAYERS:
            raise self.unknown(name, f"at most {_MOST_LAYERS}")
        return found

    def share(self, whole: int, parts: str) -> int:
        """`whole` cut into so many equal parts."""
        count = self.count(parts)
        if whole % count:
            raise self.unknown(parts, f"a divisor of {whole}")
        return whole // count


def _matrix(rows: int, columns: int, *, bias: bool = False) -> Weights:
    return Weights(rows * columns + (columns if bias else 0), rows * columns)


def _vector(size: int) -> Weights:
    return Weights(size, 0)


_NOTHING = Weights()


@dataclass(frozen=True, slots=True)
class _Attention:
    weights: Weights
    across: int


@dataclass(frozen=True, slots=True)
class _Norms:
    """Those of each layer, and the one after the last."""

    layer: Weights
    last: Weights


def _heads(
    it: Fields,
    *,
    qkv_bias: bool = False,
    out_bias: bool = False,
    wide: int | None = None,
    groups: int | None = None,
    norms: Callable[[int, int, int], Weights] | None = None,
) -> _Attention:
    """Attention by heads, whose keys and values may be shared (grouped-query attention).

    `wide` is the width of a head, by default the model's over the heads; `groups` are heads of keys and values, by
    default as many as the config says, which must say it. `norms` gets heads, groups and that width.
    """
    width, heads = it.count("hidden_size"), it.count("num_attention_heads")
    groups = it.groups(needed=True) if groups is None else groups
    size = wide or it.share(width, "num_attention_heads")
    weights = (
        _matrix(width, heads * size, bias=qkv_bias)
        + _matrix(width, groups * size, bias=qkv_bias).times(2, 2)
        + _matrix(heads * size, width, bias=out_bias)
    )
    return _Attention(weights + (norms(heads, groups, size) if norms else _NOTHING), heads * 2 * size)


def _own_width(it: Fields) -> int | None:
    """`head_dim`, where the config has one."""
    return it.count("head_dim") if it.get("head_dim") is not None else None


def _gated(width: int, inner: int, *, bias: bool = False) -> Weights:
    """Gate, up and down."""
    return _matrix(width, inner, bias=bias).times(2, 2) + _matrix(inner, width, bias=bias)


def _plain(width: int, inner: int, *, bias: bool) -> Weights:
    """Up and down."""
    return _matrix(width, inner, bias=bias) + _matrix(inner, width, bias=bias)


def _experts(it: Fields, width: int, inner: int, many: int) -> Weights:
    """A router, and experts of which a token passes through `num_experts_per_tok`."""
    chosen = it.count("num_experts_per_tok")
    if chosen > many:
        raise it.unknown("num_experts_per_tok", f"at most the {many} experts there are")
    return _matrix(width, many) + _gated(width, inner).times(many, chosen)


def _windows(it: Fields, sliding: Callable[[int], bool]) -> list[int | None]:
    """Each layer's window: by `layer_types` where the config has them, else by `sliding`, which gets its index."""
    many, types, window = it.layers(), it.get("layer_types"), it.get("sliding_window")
    if types is None:
        slides = [bool(window) and sliding(index) for index in range(many)]
    elif isinstance(types, list) and len(types) == many and set(types) <= {_FULL, _SLIDING}:
        slides = [kind == _SLIDING for kind in types]
    else:
        raise it.unknown("layer_types", f"a list of {many}, each {_FULL} or {_SLIDING}")
    return [it.count("sliding_window") if slide else None for slide in slides]


def _asked_for(it: Fields) -> Callable[[int], bool]:
    """Windows as Qwen has them: only where asked for, and only in later layers."""
    if not it.truth("use_sliding_window", default=False):
        return lambda _: False
    first = it.count("max_window_layers", least=0)
    return lambda index: index >= first


def _made(  # one keyword a difference between families
    it: Fields,
    attention: _Attention,
    blocks: list[Weights],
    *,
    norms: _Norms,
    tied: bool,
    windows: list[int | None] | None = None,
    head_bias: bool = False,
    positions: int = 0,
) -> Architecture:
    """Put together. `blocks` are the MLPs; `positions` are rows of learned positions."""
    width, words = it.count("hidden_size"), it.count("vocab_size")
    seen = windows or [None] * len(blocks)
    parts = [attention.weights + block + norms.layer for block in blocks]
    layers = tuple(Layer(p.stored, p.used, attention.across, w) for p, w in zip(parts, seen, strict=True))
    head = _matrix(width, words, bias=head_bias)
    embeddings = width * (words + positions)
    own = (words if head_bias else 0) if tied else head.stored
    longest = it.count("max_position_embeddings")
    return Architecture(str(it.get("model_type")), layers, embeddings + own + norms.last.stored, head.used, longest)


def _rms(it: Fields, each: int = 2) -> _Norms:
    """So many RMS norms a layer."""
    width = it.count("hidden_size")
    return _Norms(_vector(each * width), _vector(width))


def _layer_norms(it: Fields, each: int = 2) -> _Norms:
    """So many layer norms a layer, each with scale and shift."""
    width = 2 * it.count("hidden_size")
    return _Norms(_vector(each * width), _vector(width))


def _tied(it: Fields, *, default: bool) -> bool:
    return it.truth("tie_word_embeddings", default=default)


def _llama(it: Fields) -> Architecture:
    bias = it.truth("attention_bias", default=False)
    attention = _heads(it, qkv_bias=bias, out_bias=bias, wide=_own_width(it), groups=it.groups(needed=False))
    mlp = _gated(it.count("hidden_size"), it.count("intermediate_size"), bias=it.truth("mlp_bias", default=False))
    return _made(it, attention, [mlp] * it.layers(), norms=_rms(it), tied=_tied(it, default=False))


def _mistral(it: Fields) -> Architecture:
    attention = _heads(it, wide=_own_width(it))
    mlp = _gated(it.count("hidden_size"), it.count("intermediate_size"))
    windows = _windows(it, lambda _: True)
    return _made(it, attention, [mlp] * it.layers(), norms=_rms(it), tied=_tied(it, default=False), windows=windows)


def _qwen2(it: Fields) -> Architecture:
    attention = _heads(it, qkv_bias=True, wide=_own_width(it))
    mlp = _gated(it.count("hidden_size"), it.count("intermediate_size"))
    windows = _windows(it, _asked_for(it))
    return _made(it, attention, [mlp] * it.layers(), norms=_rms(it), tied=_tied(it, default=False), windows=windows)


def _per_head(_heads: int, _groups: int, size: int) -> Weights:
    """A norm on queries and one on keys, over the width of a head."""
    return _vector(2 * size)


def _qwen3_attention(it: Fields, wide: int | None) -> _Attention:
    bias = it.truth("attention_bias", default=False)
    return _heads(it, qkv_bias=bias, out_bias=bias, wide=wide, norms=_per_head)


def _qwen3(it: Fields) -> Architecture:
    mlp = _gated(it.count("hidden_size"), it.count("intermediate_size"))
    blocks, windows = [mlp] * it.layers(), _windows(it, _asked_for(it))
    attention = _qwen3_attention(it, it.count("head_dim", 128))
    return _made(it, attention, blocks, norms=_rms(it), tied=_tied(it, default=False), windows=windows)


def _sparse(it: Fields, sparse: Weights) -> list[Weights]:
    """Blocks of Qwen's mixtures: `sparse` in every `decoder_sparse_step`-th layer that is not named as dense."""
    step, named = it.count("decoder_sparse_step", 1), it.get("mlp_only_layers") or []
    if not isinstance(named, list):
        raise it.unknown("mlp_only_layers", "a list of layers")
    dense = _gated(it.count("hidden_size"), it.count("intermediate_size"))
    return [dense if index in named or (index + 1) % step else sparse for index in range(it.layers())]


def _qwen2_moe(it: Fields) -> Architecture:
    width = it.count("hidden_size")
    bias = it.truth("qkv_bias", default=True)
    shared = _gated(width, it.count("shared_expert_intermediate_size")) + _matrix(width, 1)
    sparse = _experts(it, width, it.count("moe_intermediate_size"), it.count("num_experts")) + shared
    blocks, windows = _sparse(it, sparse), _windows(it, _asked_for(it))
    attention = _heads(it, qkv_bias=bias)
    return _made(it, attention, blocks, norms=_rms(it), tied=_tied(it, default=False), windows=windows)


def _qwen3_moe(it: Fields) -> Architecture:
    many = it.count("num_local_experts" if it.get("num_experts") is None else "num_experts")
    sparse = _experts(it, it.count("hidden_size"), it.count("moe_intermediate_size"), many)
    windows = _windows(it, lambda _: it.truth("use_sliding_window", default=False))
    attention, blocks = _qwen3_attention(it, _own_width(it)), _sparse(it, sparse)
    return _made(it, attention, blocks, norms=_rms(it), tied=_tied(it, default=False), windows=windows)


def _mixtral(it: Fields) -> Architecture:
    width = it.count("hidden_size")
    block = _experts(it, width, it.count("intermediate_size"), it.count("num_local_experts"))
    windows, attention = _windows(it, lambda _: True), _heads(it, wide=_own_width(it))
    return _made(it, attention, [block] * it.layers(), norms=_rms(it), tied=_tied(it, default=False), windows=windows)


def _latent(it: Fields) -> _Attention:
    """Multi-head latent attention, with keys and values laid out in full as training does (DeepSeek-AI 2024,
    arXiv:2405.04434, section 2.1).
    """
    width, heads = it.count("hidden_size"), it.count("num_attention_heads")
    plain, turned, value = it.count("qk_nope_head_dim"), it.count("qk_rope_head_dim"), it.count("v_head_dim")
    bias, rank = it.truth("attention_bias", default=False), it.count("kv_lora_rank")
    query = heads * (plain + turned)
    if not it.has("q_lora_rank"):
        raise it.unknown("q_lora_rank", "a whole number, or null")
    if it.get("q_lora_rank") is None:
        queries = _matrix(width, query)
    else:
        low = it.count("q_lora_rank")
        queries = _matrix(width, low, bias=bias) + _vector(low) + _matrix(low, query)
    weights = (
        queries
        + _matrix(width, rank + turned, bias=bias)
        + _vector(rank)
        + _matrix(rank, heads * (plain + value))
        + _matrix(heads * value, width, bias=bias)
    )
    return _Attention(weights, heads * (plain + turned + value))


def _deepseek(it: Fields) -> Architecture:
    width, inner = it.count("hidden_size"), it.count("moe_intermediate_size")
    shared = it.count("n_shared_experts", least=0)
    sparse = _experts(it, width, inner, it.count("n_routed_experts"))
    sparse += _gated(width, inner * shared) if shared else _NOTHING
    bias = it.truth("mlp_bias", default=False)
    if bias:
        raise it.unknown("mlp_bias", "false: the formula does not count this variant")
    dense = _gated(width, it.count("intermediate_size"))
    first = it.count("first_k_dense_replace", least=0)
    blocks = [dense if index < first else sparse for index in range(it.layers())]
    return _made(it, _latent(it), blocks, norms=_rms(it), tied=_tied(it, default=False))


def _gemma(it: Fields) -> Architecture:
    bias = it.truth("attention_bias", default=False)
    attention = _heads(it, qkv_bias=bias, out_bias=bias, wide=it.count("head_dim", 256))
    mlp = _gated(it.count("hidden_size"), it.count("intermediate_size"))
    return _made(it, attention, [mlp] * it.layers(), norms=_rms(it), tied=_tied(it, default=True))


def _gemma2(it: Fields) -> Architecture:
    bias = it.truth("attention_bias", default=False)
    attention = _heads(it, qkv_bias=bias, out_bias=bias, wide=it.count("head_dim", 256))
    mlp = _gated(it.count("hidden_size"), it.count("intermediate_size"))
    windows = _windows(it, lambda index: index % 2 == 0)
    tied = _tied(it, default=True)
    return _made(it, attention, [mlp] * it.layers(), norms=_rms(it, 4), tied=tied, windows=windows)


def _gemma3(it: Fields) -> Architecture:
    bias = it.truth("attention_bias", default=False)
    attention = _heads(it, qkv_bias=bias, out_bias=bias, wide=it.count("head_dim", 256), norms=_per_head)
    mlp = _gated(it.count("hidden_size"), it.count("intermediate_size"))
    older = it.count("_sliding_window_pattern", 6)
    every = it.count("sliding_window_pattern", older)
    windows = _windows(it, lambda index: (index + 1) % every != 0)
    tied = _tied(it, default=True)
    return _made(it, attention, [mlp] * it.layers(), norms=_rms(it, 4), tied=tied, windows=windows)


def _olmo2(it: Fields) -> Architecture:
    bias = it.truth("attention_bias", default=False)
    attention = _heads(
        it,
        qkv_bias=bias,
        out_bias=bias,
        groups=it.groups(needed=False),
        norms=lambda heads, groups, size: _vector((heads + groups) * size),
    )
    mlp = _gated(it.count("hidden_size"), it.count("intermediate_size"))
    return _made(it, attention, [mlp] * it.layers(), norms=_rms(it), tied=_tied(it, default=False))


def _phi3(it: Fields) -> Architecture:
    windows, mlp = _windows(it, lambda _: True), _gated(it.count("hidden_size"), it.count("intermediate_size"))
    attention = _heads(it, groups=it.groups(needed=False))
    return _made(it, attention, [mlp] * it.layers(), norms=_rms(it), tied=_tied(it, default=False), windows=windows)


def _phi(it: Fields) -> Architecture:
    it.no("qk_layernorm")
    width = it.count("hidden_size")
    mlp = _plain(width, it.count("intermediate_size"), bias=True)
    return _made(
        it,
        _heads(it, qkv_bias=True, out_bias=True, groups=it.groups(needed=False)),
        [mlp] * it.layers(),
        norms=_layer_norms(it, 1),
        tied=_tied(it, default=False),
        head_bias=True,
    )


def _gpt_neox(it: Fields) -> Architecture:
    width, bias = it.count("hidden_size"), it.truth("attention_bias", default=True)
    mlp = _plain(width, it.count("intermediate_size"), bias=True)
    return _made(
        it,
        _heads(it, qkv_bias=bias, out_bias=bias, groups=it.count("num_attention_heads")),
        [mlp] * it.layers(),
        norms=_layer_norms(it),
        tied=_tied(it, default=False),
    )


#: GPT-2's own names for what others call otherwise.
_GPT2 = {
    "n_embd": "hidden_size",
    "n_head": "num_attention_heads",
    "n_layer": "num_hidden_layers",
    "n_positions": "max_position_embeddings",
}


def _gpt2(given: Fields) -> Architecture:
    names = ("model_type", "vocab_size", "n_inner", "tie_word_embeddings")
    members = {name: given.get(name) for name in names if given.has(name)} | {
        new: given.count(old if given.get(new) is None else new) for old, new in _GPT2.items()
    }
    it = Fields(members, given.where)
    width = it.count("hidden_size")
    mlp = _plain(width, 4 * width if it.get("n_inner") is None else it.count("n_inner"), bias=True)
    return _made(
        it,
        _heads(it, qkv_bias=True, out_bias=True, groups=it.count("num_attention_heads")),
        [mlp] * it.layers(),
        norms=_layer_norms(it),
        tied=_tied(it, default=True),
        positions=it.count("max_position_embeddings"),
    )


#: By `model_type`.
FAMILIES: dict[str, Callable[[Fields], Architecture]] = {
    "llama": _llama,
    "granite": _llama,
    "mistral": _mistral,
    "mixtral": _mixtral,
    "qwen2": _qwen2,
    "qwen2_moe": _qwen2_moe,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen3_moe,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "olmo2": _olmo2,
    "phi": _phi,
    "phi3": _phi3,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "deepseek_v2": _deepseek,
    "deepseek_v3": _deepseek,
}
