"""A number that is never told alone: with its n, its interval, the confidence, and the name of the method."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from interlock.errors import UsageError

#: Two-sided unless a method says otherwise.
CONFIDENCE = Fraction(95, 100)


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate and its interval: `n` units (samples, families, queries), at `confidence`, by `method`.

    Of a one-sided bound the other end is that of the scale. Floats are for people: nothing is decided by them.

    Raises:
        UsageError: one of the numbers is none, the ends are turned round, or the method is not named.
    """

    value: float
    low: float
    high: float
    n: int
    unit: str
    confidence: Fraction
    method: str

    def __post_init__(self) -> None:
        if any(math.isnan(it) for it in (self.value, self.low, self.high)) or self.low > self.high:
            raise UsageError(f"got {self.value} in [{self.low}, {self.high}], expected numbers, and ends in order")
        if self.n < 0 or not self.method:
            raise UsageError(f"got n = {self.n} by `{self.method}`, expected 0 or more, and a method")

    def to_json(self) -> dict[str, Any]:
        """All of it, for `--json` and records."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "unit": self.unit,
            "confidence": float(self.confidence),
            "method": self.method,
        }

    def __str__(self) -> str:
        percent = f"{float(self.confidence * 100):g} %"
        return (
            f"{self.value:.4g} ({percent}: {self.low:.4g} to {self.high:.4g}; n = {self.n}, {self.unit}; {self.method})"
        )


def counted(k: int, n: int) -> None:
    """Refuse counts that cannot be.

    Raises:
        UsageError: not `0 <= k <= n`, or no samples.
    """
    if not 0 <= k <= n or n == 0:
        raise UsageError(f"got {k} of {n}, expected one sample or more, and 0 to all of them")


def sure(confidence: Fraction) -> Fraction:
    """The chance to be wrong that a confidence leaves.

    Raises:
        UsageError: the confidence is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise UsageError(f"got a confidence of {float(confidence):g}, expected more than 0 and less than 1")
    return 1 - confidence
