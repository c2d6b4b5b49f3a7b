"""A reference ladder: runs of one recipe at several sizes, each with its training FLOP and its loss.

All losses of a ladder, and that of the model which is compared with it, are on one and the same frozen held-out set
with one tokenizer. Nothing here can check that, so the file says which set it is, and whoever signs the figure vouches
for it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interlock.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

#: Fewer sizes than this leave too little to tell three numbers of a curve from the noise.
FEWEST = 5
_MOST = 10_000
_COLUMNS = ("flop", "loss")


@dataclass(frozen=True, slots=True)
class Rung:
    """One run: FLOP of its training, and its loss (nats a token, or whatever the file says)."""

    flop: float
    loss: float


@dataclass(frozen=True, slots=True)
class Ladder:
    """Runs by rising FLOP. `sha256` is of the file's bytes; `name`, `source` and `held_out` are what it says itself."""

    rungs: tuple[Rung, ...]
    sha256: str
    name: str
    source: str | None
    held_out: str | None

    @property
    def least(self) -> float:
        """FLOP of the smallest run."""
        return self.rungs[0].flop

    @property
    def most(self) -> float:
        """FLOP of the largest run."""
        return self.rungs[-1].flop


def load(path: Path) -> Ladder:
    """Read a ladder from JSON or CSV.

    JSON is `{"runs": [{"flop": 1e18, "loss": 3.1}, ...]}` with `name`, `source` and `held_out` if you like; CSV has the
    columns `flop` and `loss`. Other members and columns are for people, and are not read.

    Raises:
        UsageError: no such file, not of that form, a number that is not positive and finite, or runs of fewer than
            `FEWEST` different sizes.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else error
        raise UsageError(f"`{path}`: expected a ladder of runs, as JSON or CSV: {what}") from error
    said, rows = _json(text, path) if text.lstrip().startswith(("{", "[")) else ({}, _csv(text, path))
    if len(rows) > _MOST:
        raise UsageError(f"`{path}`: {len(rows)} runs, expected at most {_MOST}")
    rungs = sorted((_rung(row, f"`{path}`, run {at}") for at, row in enumerate(rows, 1)), key=lambda rung: rung.flop)
    sizes = len({rung.flop for rung in rungs})
    if sizes < FEWEST:
        raise UsageError(
            f"`{path}`: runs of {sizes} different sizes, expected {FEWEST} or more: a curve has three numbers"
        )
    name, source, held_out = (_said(said, member, path) for member in ("name", "source", "held_out"))
    return Ladder(tuple(rungs), hashlib.sha256(data).hexdigest(), name or path.name, source, held_out)


def _json(text: str, path: Path) -> tuple[dict[str, Any], list[Any]]:
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"`{path}`: not JSON: {error}") from error
    runs = found.get("runs") if isinstance(found, dict) else found
    if not isinstance(runs, list):
        raise UsageError(f'`{path}`: expected {{"runs": [{{"flop": ..., "loss": ...}}, ...]}}')
    return (found if isinstance(found, dict) else {}), runs


def _csv(text: str, path: Path) -> list[Any]:
    rows = list(csv.DictReader(io.StringIO(text), skipinitialspace=True))
    missing = [name for name in _COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise UsageError(
            f"`{path}`: expected a ladder as JSON, or as CSV with the columns flop and loss and a row a run"
        )
    return rows


def _rung(row: object, where: str) -> Rung:
    if not isinstance(row, dict):
        raise UsageError(f"{where} is `{str(row)[:80]}`, expected flop and loss")
    return Rung(*(_positive(row.get(name), f"{where}: `{name}`") for name in _COLUMNS))


def _positive(value: object, what: str) -> float:
    found = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            found = math.nan
    if not (math.isfinite(found) and 0 < found < 1e40):
        raise UsageError(
            f"{what} is {'missing' if value is None else f'`{str(value)[:80]}`'}, expected a number over 0"
        )
    return found


def _said(said: dict[str, Any], name: str, path: Path) -> str | None:
    value = said.get(name)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"`{path}`: `{name}` is `{str(value)[:80]}`, expected text")
    return value or None
