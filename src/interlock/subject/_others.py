"""Whether the weights in a folder are its only ones: nothing beside them that a loader would take for a model, or run.

Evaluations load `model.safetensors`, or the shards that its index names, or of an adapter `adapter_model.safetensors`.
A second model beside them, in another format or a folder within, would be in the manifest, and so would go wherever a
permit lets the first. What a run needs to go on is told by its name, and nothing that loads a model reads that.
What it leaves to the caller: what somebody hides in a file that no loader takes for weights, and unpacks by hand.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from interlock.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What torch, TensorFlow, Keras, flax, numpy, ONNX, llama.cpp and their like load, by the ending of a name.
_FORMATS = re.compile(
    r"safetensors|bin|pt|pt2|pth|pte|ckpt|pkl|pickle|joblib|ot|distcp|nemo|gguf|ggml|llamafile|h5|hdf5|keras|msgpack|npy"
    r"|npz|onnx|onnx_data|ort|pb|index|tflite|litertlm|mlmodel|engine|plan|trt|pdiparams|params|mnn|weights|caffemodel"
    r"|ocdbt"
)
_INDEX = re.compile(r".*\.index(\.[\w-]+)?\.json|.*\.data-[0-9]+-of-[0-9]+", re.IGNORECASE)
#: What Trainer, Lightning and the examples write for a run to go on, at the top of a folder.
_STATE = re.compile(
    r"(adapter/)?((optimizer|scheduler|scaler|loop)\.pt|rng_state(_[0-9]+)?\.pth|training_args\.bin|lightning\.ckpt)"
)
_ZIP = b"PK\x03\x04"  # what `torch.save` writes
#: How files of weights begin, under whatever name: zip and pickle of torch, GGUF, HDF5, numpy.
_BEGINS = (_ZIP, b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"GGUF", b"\x89HDF", b"\x93NUMPY")


def is_training_state(name: str) -> bool:
    """Whether a file, by its name in the manifest, is what a run needs to go on, and no part of the model."""
    return _STATE.fullmatch(name) is not None


def check(files: Mapping[str, Path], folder: Path, *, loaded: frozenset[str]) -> None:
    """Check that of all files, given by name, a loader takes those of `loaded` for weights and no others.

    Raises:
        EvidenceError: one more could be loaded.
    """
    for name, path in sorted(files.items()):
        if name not in loaded and (what := _other(name, path)):
            raise EvidenceError(
                f"`{folder}`: `{name}` {what}, and evaluations do not load it; expected {_shown(loaded)} "
                "and no other weights or code (docs/subjects.md)"
            )


def _other(name: str, path: Path) -> str | None:
    """As what a file could be loaded, in words; None: as nothing."""
    begin = _begin(path)
    if is_training_state(name) and "/" not in name:  # an adapter's folder is listed by itself
        return None if begin.startswith(_ZIP) else "is not what `torch.save` writes"
    ending = name.rpartition("/")[2].lower().rpartition(".")[2]
    if ending == "py":  # `custom_generate/generate.py`, for one, answers in the model's place
        return "is code that a loader may run"
    if _FORMATS.fullmatch(ending) or _INDEX.fullmatch(name):
        return "has the name of weights"
    if begin.startswith(_BEGINS) or _is_safetensors(begin, path):
        return "begins as a file of weights does"
    return None


def _begin(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(9)
    except OSError as error:
        raise EvidenceError(f"`{path}` cannot be read: {error.strerror}") from error


def _is_safetensors(begin: bytes, path: Path) -> bool:
    return len(begin) == 9 and begin[8:] == b"{" and struct.unpack("<Q", begin[:8])[0] <= path.stat().st_size - 8


def _shown(loaded: frozenset[str]) -> str:
    names = sorted(loaded)
    return f"`{names[0]}`" if len(names) == 1 else f"`{names[0]}` to `{names[-1]}`"
