"""What lies in the weight files of a folder, and a model in memory that is just that (docs/adr/0030).

Guarantees: no weight is rounded; each tensor of the files is in the model, and the model has no other; an adapter is
merged whole, and only where that is what it does beside the weights. Nothing is fetched; no code of the folder runs.
What it leaves to the caller: that the files are those which were hashed, and stay so (`subject`).
"""

# ruff: noqa: ANN401 - models of transformers and peft have no static types worth naming

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interlock.errors import EvidenceError
from interlock.subject import configs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

_FORMATS = {"BF16", "F16", "F32"}  # of what is stored: float32 holds them without a loss
_QUANTISES = {"quantization_config", "compression_config"}
#: Members of an adapter's config that say which low-rank maps it is, and beside what, or that do nothing when it loads.
#: Others have peft change the weights below (by its KaSA, for example), or put something else beside them.
_LOW_RANK = re.compile(
    "peft_type|task_type|auto_mapping|peft_version|base_model_name_or_path|revision|inference_mode|r|target_modules|"
    "exclude_modules|target_parameters|lora_alpha|lora_dropout|fan_in_fan_out|bias|lora_bias|use_rslora|use_dora|"
    "modules_to_save|trainable_token_indices|ensure_weight_tying|layers_to_transform|layers_pattern|rank_pattern|"
    "alpha_pattern|megatron_core|qalora_group_size|eva_config"
)
#: The values of `init_lora_weights` that leave the weights below as they are.
_INITIAL = (True, "gaussian", "eva", "orthogonal")


def formats(folder: Path) -> set[str]:
    """The formats that the weights of a folder are stored in, by safetensors' names for them.

    Raises:
        EvidenceError: a file is damaged.
    """
    return {of.format for of in _tensors(folder).values()}


def first_line(error: Exception) -> str:
    """What an error of a library says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A tensor as it lies in a file: its format, by safetensors' name for it, and how many numbers it has."""

    file: Path
    format: str
    size: int


def _tensors(folder: Path) -> dict[str, _Stored]:
    """The tensors in the weight files of a folder, by name.

    Raises:
        EvidenceError: the first file that is cut off or not a safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    found = dict[str, _Stored]()
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118  it is no mapping
                    part = tensors.get_slice(name)
                    found[name] = _Stored(file, part.get_dtype(), math.prod(part.get_shape()))
        except (SafetensorError, OSError) as error:
            raise EvidenceError(f"`{file}` is not a complete safetensors file: {first_line(error)}") from error
    return found


def _check_formats(stored: Mapping[str, _Stored]) -> None:
    for name, of in stored.items():
        if of.format not in _FORMATS:
            expected = ", ".join(sorted(_FORMATS))
            raise EvidenceError(f"`{of.file}`: `{name}` is stored as {of.format}, expected one of {expected}")


def model(folder: Path, dtype: torch.dtype) -> Any:
    """The model in a folder, computing in `dtype`, which has to hold what is stored.

    Raises:
        EvidenceError: a file is damaged or stored in another format, the weights do not fit the configuration, or that
            would have them quantised.
    """
    from transformers import AutoModelForCausalLM

    told = [name for name, value in configs.members(folder / "config.json") if value and name in _QUANTISES]
    if told:
        raise EvidenceError(f"`{folder}/config.json` has `{told[0]}`, by which weights would be rounded")
    stored = _tensors(folder)
    read: Any = AutoModelForCausalLM.from_pretrained
    given = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
    try:
        made, report = read(folder, dtype=dtype, output_loading_info=True, **given)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, ImportError) as error:
        raise EvidenceError(f"cannot load the model in `{folder}`: {first_line(error)}") from error
    kinds = ("missing_keys", "mismatched_keys", "unexpected_keys")  # what is left over may be a layer that is left out
    if wrong := sorted({str(key) for kind in kinds for key in report[kind]}):
        raise EvidenceError(f"weights in `{folder}` do not fit its `config.json`: {len(wrong)} such as `{wrong[0]}`")
    needed = {name: of for name, of in stored.items() if name in made.state_dict() or not _is_known(name, of, made)}
    _check_formats(needed)
    if wrong := _left_over(made, needed):
        raise EvidenceError(
            f"weights in `{folder}` do not fit its `config.json`: with `{wrong[0]}` and others like it they have more "
            "numbers than the model, or fewer"
        )
    for name, other in made.get_expanded_tied_weights_keys(all_submodels=True).items():
        if made.get_parameter_or_buffer(name).data_ptr() != made.get_parameter_or_buffer(other).data_ptr():
            raise EvidenceError(
                f"`{folder}/config.json` ties `{name}` to `{other}`, and the weights have two that differ; "
                "say `tie_word_embeddings: false`, or store one"
            )
    return made


def _left_over(causal: Any, stored: Mapping[str, _Stored]) -> list[str]:
    """The names of tensors that only the files have, or only the model, unless they come to as many numbers.

    transformers reports no tensor whose name its class passes over, be it a whole layer. It may load some under another
    name, or in other parts, but never more or fewer numbers; tied tensors share their memory, and count once.
    """
    held = causal.state_dict()
    named = {tensor.data_ptr() for name, tensor in held.items() if name in stored}
    alone = {tensor.data_ptr(): name for name, tensor in held.items() if tensor.data_ptr() not in named}
    left = sorted(name for name in stored if name not in held)
    if sum(stored[name].size for name in left) == sum(held[name].numel() for name in alone.values()):
        return []
    return left or sorted(alone.values())


def _is_known(name: str, of: _Stored, causal: Any) -> bool:
    """Whether a tensor is one of those that older models were saved with, and any has of its own: a causal mask, what
    it puts in the place of what is masked, or the frequencies of its positions."""
    import torch
    from safetensors import safe_open

    leaf = name.rpartition(".")[2]
    if leaf not in {"bias", "masked_bias", "inv_freq"}:
        return False
    with safe_open(of.file, framework="pt") as tensors:
        tensor = tensors.get_tensor(name)
    if leaf == "bias":
        return tensor.dim() == 4 and torch.equal(tensor.float(), torch.ones(1, 1, *tensor.shape[2:]).tril())
    if leaf == "masked_bias":
        return bool(tensor.numel() == 1)
    its = [buffer.float() for place, buffer in causal.named_buffers() if place.rpartition(".")[2] == leaf]
    return any(tensor.shape == it.shape and torch.allclose(tensor.float(), it, rtol=1e-2) for it in its)


def merged(causal: Any, adapter: Path) -> Any:
    """`causal` with the LoRA adapter in a folder merged into its weights, which are used up. Call it within `quiet`.

    Raises:
        EvidenceError: a file is damaged or stored in another format, the adapter does not fit its configuration or the
            model, or merging makes another model of it than it is beside the weights.
    """
    from peft import LoraConfig, PeftModel

    _check_formats(_tensors(adapter))
    if name := _beyond_low_rank(adapter / configs.ADAPTER):
        raise EvidenceError(
            f"`{adapter}/{configs.ADAPTER}` has `{name}`, by which it is more than low-rank maps beside the weights; "
            "save it as a plain LoRA adapter"
        )
    try:
        warnings.simplefilter("ignore", UserWarning)  # inside `quiet`; what peft warns of is checked below
        config = LoraConfig.from_pretrained(str(adapter), local_files_only=True)
        adapted = PeftModel(causal, config)
        report = adapted.load_adapter(str(adapter), "default", local_files_only=True)  # `from_pretrained` does not tell
        once = _merges_as_it_serves(adapted)
        whole = adapted.merge_and_unload()
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise EvidenceError(f"cannot load the adapter in `{adapter}`: {first_line(error)}") from error
    if wrong := sorted({*report.missing_keys, *report.unexpected_keys}):
        raise EvidenceError(
            f"weights in `{adapter}` do not fit its `{configs.ADAPTER}`: {len(wrong)} such as `{wrong[0]}`"
        )
    if not once:
        raise EvidenceError(
            f"`{adapter}/{configs.ADAPTER}` adapts weights that stand in several places: merged into the weights it is "
            "another model than beside them"
        )
    return whole


def _beyond_low_rank(path: Path) -> str | None:
    """The first member of an adapter's config by which it is more than its low-rank maps; None: it is not."""
    for name, value in sorted(configs.read(path).items()):
        initial = name == "init_lora_weights" and value in _INITIAL
        none = value is None or value is False or (name == "loftq_config" and value == {})  # another {}: as usual
        if not (none or initial or _LOW_RANK.fullmatch(name)):
            return name
    return None


def _merges_as_it_serves(adapted: Any) -> bool:
    """Whether each weight that an adapter changes is of one module only, so that merging it changes nothing else."""
    from peft.tuners.lora import LoraLayer

    changed = [part.get_base_layer() for part in adapted.modules() if isinstance(part, LoraLayer)]
    places = Counter(own.data_ptr() for part in adapted.modules() for own in part.parameters(recurse=False))
    return {places[own.data_ptr()] for part in changed for own in part.parameters(recurse=False)} <= {1}
