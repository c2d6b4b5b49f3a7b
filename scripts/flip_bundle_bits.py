"""Change every single bit of a sample bundle, one at a time, and see that each change is refused.

Run by `make proofs`, with `tests` on the path, where the sample comes from. Prints the count; exit code 1 on a change
that is not refused, or that ends in anything but one of the two errors.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import story
from interlock.errors import EvidenceError, LedgerError
from interlock.evidence import bundle
from interlock.ledger._signed import Log

STRIPE = 256  # bytes in one piece of work


def survivors(data: bytes, log: Log, start: int) -> list[tuple[int, str]]:
    """The bits of one stripe whose change is not refused, and what happened instead."""
    return list(_survivors(data, log, range(8 * start, 8 * min(start + STRIPE, len(data)))))


def _survivors(data: bytes, log: Log, bits: range) -> Iterator[tuple[int, str]]:
    for bit in bits:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            bundle.verify(bytes(changed), log)
        except (EvidenceError, LedgerError):
            continue
        except Exception as error:  # noqa: BLE001  any other end of it is what this looks for
            yield bit, f"{type(error).__name__}: {error}"
        else:
            yield bit, "accepted"


def main() -> int:
    """Try them all."""
    sample = story.honest()
    data, started = sample.bundle(), time.monotonic()
    bundle.verify(data, sample.log, policy=sample.digest)
    starts, found = range(0, len(data), STRIPE), list[tuple[int, str]]()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for done, bad in enumerate(pool.map(partial(survivors, data, sample.log), starts), start=1):
            found += bad
            if sys.stderr.isatty():
                print(f"\r  {done}/{len(starts)} stripes", end="", file=sys.stderr)
    for bit, what in found:
        print(f"byte {bit // 8}, bit {bit % 8}: {what}")
    refused = 8 * len(data) - len(found)
    print(f"{refused} of {8 * len(data)} single-bit changes refused, in {time.monotonic() - started:.0f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
