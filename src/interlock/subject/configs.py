"""Whether what a folder's configs have loaded is what lies in the folder, and is no code.

The digest of a subject covers the files of its folder. A config in it could send a loader elsewhere: for other weights,
for another tokenizer, for a class or a kernel that is code. Then one digest would be several models.
Sources: what transformers 5 and peft 0.21 read of the files that `is_config` names; a tokenizer's `from_pretrained`
takes members of `tokenizer_config.json` and `special_tokens_map.json` for arguments.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from interlock.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADAPTER = "adapter_config.json"
_CONFIG = re.compile(
    r"(.*/)?(config[^/]*|((tokenizer|generation|processor|preprocessor|adapter)_config|special_tokens_map))\.json",
    re.IGNORECASE,
)
_MOST = 1 << 24  # bytes
#: Members that have something loaded, and what: wherever they stand in a config.
_LOADS = {
    "transformers_weights": "other weights are loaded than those that are hashed",
    "fast_tokenizer_files": "another tokenizer is loaded than the one that is hashed",
    "auto_map": "a loader that trusts it runs code in place of the model that is evaluated",
    "custom_pipelines": "a loader that trusts it runs code in place of the model that is evaluated",
}
#: Opened from wherever they say, but for a record of where a tokenizer was first saved, which no loader opens.
_FILE = re.compile(r"(?!special_tokens_map_file$).*_files?|vocab|merges|init_inputs")
_KERNEL = re.compile(r"_?(attn|experts)_implementation(_internal)?")


def is_config(name: str) -> bool:
    """Whether a file, by its name in the folder, is one that loaders may read as a config."""
    return _CONFIG.fullmatch(name) is not None


def check(path: Path) -> None:
    """Check that a config is one, and has nothing loaded but what lies beside it under the usual names.

    Raises:
        EvidenceError: it is no config, it sends a loader elsewhere, or it is of another adapter than LoRA.
    """
    told = read(path)
    for name, value in _members(told):
        if value and (what := _loads(name, value)):
            raise EvidenceError(f"`{path}` has `{name}`, by which {what}; remove it")
    if path.name.lower() == ADAPTER and told.get("peft_type") != "LORA":
        raise EvidenceError(f"`{path}` has the `peft_type` {told.get('peft_type')!a:.40}, expected 'LORA'")


def members(path: Path) -> list[tuple[str, Any]]:
    """Each member of a config with its value, at any depth.

    Raises:
        EvidenceError: it is no config.
    """
    return list(_members(read(path)))


def read(path: Path) -> dict[str, Any]:
    """A config as a JSON object.

    Raises:
        EvidenceError: it is none.
    """
    try:
        with path.open("rb") as file:
            told: Any = json.loads(file.read(_MOST).decode())
        list(_members(told))  # too deep, if it is
    except OSError as error:
        raise EvidenceError(f"`{path}` cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"`{path}` is not a config in JSON") from error
    if not isinstance(told, dict):
        raise EvidenceError(f"`{path}` is not a config in JSON")
    return told


def _members(value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    """Each member of an object, at any depth."""
    if isinstance(value, dict):
        for name, within in value.items():
            yield name, within
            yield from _members(within)
    elif isinstance(value, list):
        for within in value:
            yield from _members(within)


def _loads(name: str, value: Any) -> str | None:  # noqa: ANN401 - JSON
    """What a member has loaded from elsewhere, in words; None: nothing."""
    if name in _LOADS:
        return _LOADS[name]
    if _FILE.fullmatch(name) and isinstance(value, str | list | dict):
        return "a file is loaded that is not hashed"
    if _KERNEL.fullmatch(name) and "/" in json.dumps(value):
        return "a kernel is loaded that is not hashed"
    return None
