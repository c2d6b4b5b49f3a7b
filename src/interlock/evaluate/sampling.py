"""Which samples an audit asks again, and what it shows about those that it did not ask.

Guarantees: a draw is without replacement, each set as likely as any other, and a function of the ledger's root and the
result alone: who knows both can draw it again, and nobody can have another one. At one root a smaller draw is the start
of a larger one. Intervals are exact: integers, no floats.
What it leaves to the caller: a root that the one who is audited could not choose.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import TYPE_CHECKING, TypeVar

from interlock.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

METHOD = "hypergeometric, by inverting the two one-sided exact tests (finite-population Clopper-Pearson)"

_INFO = b"interlock audit v1\n"
_RANGE = 1 << 64
_Item = TypeVar("_Item")


def draw(items: Sequence[_Item], count: int, *, root: bytes, result: bytes) -> tuple[_Item, ...]:
    """Draw `count` of `items`, in their order, for the result with this SHA-256 in the ledger with this root.

    A Fisher-Yates shuffle, cut off after `count` steps. Step i swaps item i with item i + r, where r is uniform below
    the number of items left: the first of the 64-bit numbers (big end first) in HKDF-SHA-256 (RFC 5869) with the root
    as salt, the result as input and `interlock audit v1\\n`, i and k (64 bits each) as info, for k = 0, 1, ..., that
    lies below the largest multiple of that number, modulo it.

    Raises:
        UsageError: `count` is not between 1 and the number of items.
    """
    if not 0 < count <= len(items):
        raise UsageError(f"got {count} samples to draw, expected 1 to {len(items)}")
    key, left = hmac.digest(root, result, "sha256"), list(items)
    for step in range(count):
        other = step + _uniform(key, step, len(left) - step)
        left[step], left[other] = left[other], left[step]
    return tuple(left[:count])


def _uniform(key: bytes, step: int, below: int) -> int:
    attempt, most = 0, _RANGE - _RANGE % below
    while True:
        info = _INFO + step.to_bytes(8, "big") + attempt.to_bytes(8, "big")
        number = int.from_bytes(hmac.digest(key, info + b"\x01", "sha256")[:8], "big")
        if number < most:
            return number % below
        attempt += 1


@dataclass(frozen=True, slots=True)
class Interval:
    """How many of all samples disagree, at least and at most, with this confidence."""

    least: int
    most: int
    confidence: Fraction


def interval(found: int, *, drawn: int, total: int, confidence: Fraction = Fraction(95, 100)) -> Interval:
    """The interval for the number among `total`, of which `drawn` were drawn without replacement and `found` counted.

    The numbers that neither one-sided test of the hypergeometric distribution rejects at half of 1 - confidence
    (Konijn 1973, Statistical Theory of Sample Survey Design and Analysis; Buonaccorsi 1987, The American Statistician
    41).

    Raises:
        UsageError: counts that cannot be.
    """
    if not 0 <= found <= drawn <= total or not drawn:
        raise UsageError(f"got {found} of {drawn} drawn of {total}, expected counts that grow, and one drawn or more")
    alpha, ways = (1 - confidence) / 2, comb(total, drawn)

    def at_most(number: int, k: int) -> Fraction:
        """The chance to count `k` or fewer if `number` of all disagree."""
        hits = sum(comb(number, i) * comb(total - number, drawn - i) for i in range(max(k, -1) + 1))
        return Fraction(hits, ways)

    least = _first(found, total - drawn + found, lambda number: 1 - at_most(number, found - 1) > alpha)
    most = _first(found, total - drawn + found, lambda number: at_most(number + 1, found) <= alpha)
    return Interval(least, most, confidence)


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The first number from which `holds`, which is monotone; `high` if none before it."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
