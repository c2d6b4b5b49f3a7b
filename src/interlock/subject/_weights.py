"""Whether the weights in a folder are whole: no shard missing, none cut off.

The digest covers whatever lies there; these checks keep half a download from becoming a subject. Weights are
safetensors. Formats: safetensors (its README, section Format), and the index and shard names of transformers'
`save_pretrained`.
"""

from __future__ import annotations

import json
import re
import struct
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from interlock.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What transformers loads: one file, or the shards that an index names; of an adapter, what peft loads.
WHOLE, INDEX, ADAPTER = "model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors"
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{1,9})-of-(?P<count>[0-9]{1,9})(?P<rest>.*\.safetensors)")
_MOST_HEADER = 100_000_000  # bytes; the limit of the safetensors library
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


def check(files: Mapping[str, Path], folder: Path) -> None:
    """Check every weights file of a folder, given by name.

    Raises:
        EvidenceError: a shard is missing, or named by no index; a tensor is in two of them; or a file is truncated, too
            long or cannot be read.
    """
    named = _shards(files)
    for shard in named:
        if shard not in files:
            raise EvidenceError(f"`{folder}`: the shard `{shard}` is missing; `{INDEX}` names it")
    _check_numbers(files, named, folder)
    tensors = {name: _tensors(path) for name, path in sorted(files.items()) if name.endswith(".safetensors")}
    _check_once({name: tensors[name] for name in named if name in tensors}, folder)


def loaded(files: Mapping[str, Path]) -> frozenset[str]:
    """Of a model's files, those that transformers loads as its weights, and their index.

    Shards lie at the top and are called so: under another name one could be loaded by itself, as a model of its own.

    Raises:
        EvidenceError: the index cannot be read.
    """
    if WHOLE in files or INDEX not in files:
        return frozenset({WHOLE})
    return frozenset({INDEX, *(shard for shard in _shards(files) if "/" not in shard and _SHARD.fullmatch(shard))})


def _shards(files: Mapping[str, Path]) -> list[str]:
    """The files that the index names, if there is one."""
    if INDEX not in files:
        return []
    try:
        with files[INDEX].open("rb") as file:
            read: Any = json.loads(file.read(_MOST_HEADER))
        shards = read["weight_map"].values()
        if not shards or not all(isinstance(shard, str) for shard in shards):
            raise TypeError(shards)
    except _UNREADABLE as error:
        raise EvidenceError(f"`{files[INDEX]}` cannot be read, expected `weight_map` with a file a tensor") from error
    return sorted(set(shards))


def _check_numbers(files: Mapping[str, Path], named: list[str], folder: Path) -> None:
    """Shards say in their names how many there are: each must be here, and an index must name it."""
    series: dict[tuple[str, str, str], dict[int, str]] = defaultdict(dict)
    for name in sorted(files):
        if shard := _SHARD.fullmatch(name):
            series[shard["stem"], shard["count"], shard["rest"]][int(shard["number"])] = name
            if name not in named:
                raise EvidenceError(f"`{folder}`: `{name}` is a shard that no index names")
    for (stem, count, rest), found in series.items():
        if len(found) != int(count) or min(found) != 1 or max(found) != int(count):
            raise EvidenceError(
                f"`{folder}`: `{stem}-...-of-{count}{rest}` has {len(found)} shards, expected {int(count)}"
            )


def _check_once(shards: Mapping[str, list[str]], folder: Path) -> None:
    """A tensor is in one shard: of two, loaders differ in which they take."""
    seen = dict[str, str]()
    for shard, tensors in shards.items():
        for tensor in tensors:
            if tensor in seen:
                raise EvidenceError(f"`{folder}`: `{seen[tensor]}` and `{shard}` both have the tensor {tensor!a:.80}")
            seen[tensor] = shard


def _tensors(path: Path) -> list[str]:
    """The names of the tensors in a safetensors file, which must be as long as its header says."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length <= min(size - 8, _MOST_HEADER) else None
        ends = [int(item["data_offsets"][1]) for name, item in (header or {}).items() if name != "__metadata__"]
    except (struct.error, *_UNREADABLE) as error:
        raise EvidenceError(f"`{path}` is not a safetensors file: its header cannot be read") from error
    if header is None:
        raise EvidenceError(
            f"`{path}` is truncated or altered: {size} bytes with a header of {length}, "
            f"expected a header within the file and of at most {_MOST_HEADER} bytes"
        )
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        raise EvidenceError(f"`{path}` is truncated or altered: {size} bytes, expected {expected}")
    return [name for name in header if name != "__metadata__"]
