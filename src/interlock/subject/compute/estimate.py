"""What `interlock compute estimate` found, as the file that `interlock subject add --estimate` reads.

Guarantees: reading is strict about what goes into a subject's statement, and gives the SHA-256 of the bytes that were
read, so that the statement names the file it rests on. What else the file says is for people.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interlock.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from interlock.subject.compute.effective import Effective
    from interlock.subject.compute.ladder import Ladder

KIND = "compute-estimate/v1"
_FLOP = re.compile(r"[1-9][0-9]{0,39}")
_MOST_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Estimate:
    """FLOP of training and the ends of effective compute, as far as the file has them; how, and the file's SHA-256."""

    training: int | None
    effective: tuple[int, int] | None
    how: str
    sha256: str


def effective_to_json(found: Effective, loss: tuple[float, float] | None, ladder: Ladder | None) -> dict[str, Any]:
    """Effective compute with its method, and the ladder that it rests on by its SHA-256."""
    rests = ladder and {
        "name": ladder.name,
        "sha256": ladder.sha256,
        "source": ladder.source,
        "held_out": ladder.held_out,
        "runs": len(ladder.rungs),
        "flop": [ladder.least, ladder.most],
    }
    return {
        "low": str(found.low),
        "high": str(found.high),
        "estimate": found.estimate,
        "confidence_of_each_end": found.confidence,
        "n": found.n,
        "method": found.method,
        "times_past_the_ladder": {"below": found.past[0], "above": found.past[1]},
        "loss": loss and list(loss),
        "ladder": rests,
    }


def load(path: Path) -> Estimate:
    """Read the file that `interlock compute estimate --json` wrote.

    Raises:
        UsageError: no such file, or not of that kind.
    """
    try:
        data = path.read_bytes()
        found = json.loads(data.decode()) if len(data) <= _MOST_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else f"not JSON: {error}"
        raise UsageError(f"`{path}`: expected what `interlock compute estimate --json` wrote: {what}") from error
    if not isinstance(found, dict) or found.get("interlock") != KIND:
        got = found.get("interlock") if isinstance(found, dict) else type(found).__name__
        raise UsageError(f"`{path}`: `interlock` is `{str(got)[:80]}`, expected `{KIND}`")
    training = _part(found, "training", path)
    effective = _part(found, "effective_compute", path)
    if training is None and effective is None:
        raise UsageError(f"`{path}`: neither training compute nor effective compute, expected one of them")
    ends = None
    if effective is not None:
        ends = _flop(effective, "low", path), _flop(effective, "high", path)
        if ends[0] > ends[1]:
            raise UsageError(f"`{path}`: effective compute is {ends[0]} to {ends[1]}, expected the lower end first")
    flop = None if training is None else _flop(training, "flop", path)
    return Estimate(flop, ends, _how(training, effective, path), hashlib.sha256(data).hexdigest())


def _part(found: dict[str, Any], name: str, path: Path) -> dict[str, Any] | None:
    part = found.get(name)
    if part is not None and not isinstance(part, dict):
        raise UsageError(f"`{path}`: `{name}` is `{str(part)[:80]}`, expected an object or null")
    return part


def _flop(part: dict[str, Any], name: str, path: Path) -> int:
    value = part.get(name)
    if not isinstance(value, str) or not _FLOP.fullmatch(value):
        raise UsageError(f"`{path}`: `{name}` is `{str(value)[:80]}`, expected FLOP in decimal digits, as a string")
    return int(value)


def _how(training: dict[str, Any] | None, effective: dict[str, Any] | None, path: Path) -> str:
    """The methods in one line, with the ladder's SHA-256."""
    parts = []
    if training is not None:
        parts.append(f"training compute by {_text(training, 'method', path)}")
    if effective is not None:
        on = effective.get("ladder")
        digest = on.get("sha256") if isinstance(on, dict) else None
        ladder = f", on the ladder of SHA-256 {digest[:64]}" if isinstance(digest, str) else ""
        parts.append(f"effective compute by {_text(effective, 'method', path)}{ladder}")
    return "; ".join(parts)


def _text(part: dict[str, Any], name: str, path: Path) -> str:
    value = part.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 1000:
        raise UsageError(f"`{path}`: `{name}` is `{str(value)[:80]}`, expected the name of a method")
    return value
