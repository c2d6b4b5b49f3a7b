"""Model organisms: adapters with a known hidden skill, shipped so that elicitation can be tried on the truth.

Each folder is a peft adapter with its measurements in `measured.json`; the script that made it is in `scripts/`.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path


def folder(name: str) -> Path:
    """The adapter folder of an organism, such as `codebook-lock`."""
    return Path(str(resources.files("interlock.elicit.organisms.shipped"))) / name


def flop(name: str) -> int:
    """The FLOP that training the organism's adapter took."""
    return int(json.loads((folder(name) / "measured.json").read_text())["flop"])
