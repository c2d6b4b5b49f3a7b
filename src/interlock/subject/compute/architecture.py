"""What a transformer is made of, as far as its FLOP go: read from the `config.json` of a transformers model.

Guarantees: the number of parameters is that of the model which transformers builds from the same config, exactly (tests
build each family); a config that is not understood in full is refused with one error, never guessed at.
What it leaves to the caller: that the config is the model's. `Architecture.parameters` is there to be compared.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interlock.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG = "config.json"


class UnknownArchitectureError(UsageError):
    """The formula does not know this architecture, or this variant of it."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: parameters stored, weights that a token is multiplied with, and its attention.

    `used` counts the entries of the matrices that one token passes through: of a mixture of experts, the router, what
    is shared and the experts that are chosen. `across` is heads times the widths of a query and of a value, so that a
    pair of positions takes 2 x `across` operations. `window`: positions that a token sees; None: all before it.
    """

    stored: int
    used: int
    across: int
    window: int | None = None


@dataclass(frozen=True, slots=True)
class Architecture:
    """A transformer. `outside` is stored outside of the layers; `head` is what the output matrix multiplies with.

    `positions` is the longest sequence that the config allows, in tokens.
    """

    family: str
    layers: tuple[Layer, ...]
    outside: int
    head: int
    positions: int

    @property
    def parameters(self) -> int:
        """All parameters, each counted once: tied ones, and every expert of a mixture."""
        return self.outside + sum(layer.stored for layer in self.layers)

    @property
    def used(self) -> int:
        """Weights that one token is multiplied with: half of the FLOP of a forward pass without attention."""
        return self.head + sum(layer.used for layer in self.layers)


def load(path: Path) -> Architecture:
    """Read a model folder or a config file.

    Raises:
        UsageError: there is no such file, or it is not a JSON object.
        UnknownArchitectureError: see `read`.
    """
    return read(load_config(path), where=str(path))


def load_config(path: Path) -> dict[str, Any]:
    """The members of the config of a model folder, or of a config file.

    Raises:
        UsageError: there is no such file, or it is not a JSON object.
    """
    file = path / CONFIG if path.is_dir() else path
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else error
        raise UsageError(
            f"`{file}`: expected the {CONFIG} of a transformers model, or a folder with one: {what}"
        ) from error
    if not isinstance(found, dict):
        raise UsageError(f"`{file}`: expected the JSON object of a transformers config, got {type(found).__name__}")
    return found


def read(config: Mapping[str, Any], *, where: str = "config") -> Architecture:
    """The architecture by the members of a transformers config.

    Raises:
        UnknownArchitectureError: the family is not known, a member is missing or out of range, or the variant is one
            that the formula does not count.
    """
    from interlock.subject.compute._families import FAMILIES, Fields

    family = config.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise UnknownArchitectureError(
            f"{where}: the FLOP formula does not know the architecture `{str(family)[:80]}`, "
            f"expected one of {', '.join(sorted(FAMILIES))}"
        )
    return FAMILIES[family](Fields(config, f"{where}: {family}"))
