"""Looking before the end: an order of the samples that stood beforehand, and every look kept.

An e-process bears any number of looks (`interlock.decide.eprocess`) if the order was not chosen for what it would
show, and if no look, and no sample passed on the way, is left out. So the order is drawn from bytes that nobody could
choose, and a log of looks is worth what it is when it is made again from the samples.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from interlock.decide import eprocess
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate.sampling import draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from interlock.evaluate.statistics.planning import Line

Verdict = Literal["ruled out", "reached", "go on"]

_INFO = b"interlock item order v1\n"


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw: of the first `n` samples in order, `dangerous` at the most and `harmless` at the least were
    dangerous (they differ by the samples without a score).
    """

    n: int
    dangerous: int
    harmless: int
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """One line of a log of looks."""
        return {"n": self.n, "dangerous": self.dangerous, "harmless": self.harmless, "verdict": self.verdict}


def order(samples: Sequence[str], *, root: bytes) -> tuple[str, ...]:
    """The samples (their ids) in the order in which they are to be run: each as likely as any other, a function of
    their names and `root` alone, however they were listed (`interlock.evaluate.sampling.draw`).

    `root` is what commits to the order: the ledger's when the plan was made, or a seed that the plan names.

    Raises:
        UsageError: there are none, or one is there twice.
    """
    listed = sorted(samples)
    if len(set(listed)) < len(listed):
        raise UsageError("got a sample twice, expected each once")
    digest = hashlib.sha256(_INFO)
    for name in listed:
        digest.update(hashlib.sha256(name.encode()).digest())
    return draw(listed, len(listed), root=root, result=digest.digest())


def take(outcomes: Iterable[bool | None], line: Line, *, every: int = 1) -> Iterator[Look]:
    """Look after every so many samples in order, and at the last; end at the first look that concludes.

    An outcome is whether the sample was dangerous; None, without a score, counts as dangerous when ruling out and as
    harmless when showing. No sample is taken from `outcomes` after the look that concludes.

    Raises:
        UsageError: `every` is not 1 or more.
    """
    if every < 1:
        raise UsageError(f"got a look every {every} samples, expected 1 or more")
    n = dangerous = harmless = 0
    look = None
    for outcome in outcomes:
        n += 1
        dangerous += outcome is not False
        harmless += outcome is True
        look = Look(n, dangerous, harmless, verdict(line, n, dangerous, harmless))
        if n % every == 0:
            yield look
            if look.verdict != "go on":
                return
    if look is not None and n % every:
        yield look


def check(told: Sequence[Look], outcomes: Iterable[bool | None], line: Line, *, every: int = 1) -> None:
    """Make a log of looks again from the samples in order, and compare.

    Raises:
        EvidenceError: a look is missing, was added, or saw something else; names the first.
    """
    made = list(take(outcomes, line, every=every))
    for place, (ours, theirs) in enumerate(zip(made, told, strict=False), start=1):
        if ours != theirs:
            raise EvidenceError(f"look {place} says {theirs.to_json()}, the samples give {ours.to_json()}")
    if len(made) != len(told):
        raise EvidenceError(f"the log has {len(told)} looks, the samples give {len(made)}")


def verdict(line: Line, n: int, dangerous: int, harmless: int) -> Verdict:
    """What a look after n samples says of a line: `dangerous` of them at the most were so, `harmless` at the least."""
    if eprocess.rules_out(dangerous, n, line.target, line.alpha):
        return "ruled out"
    return "reached" if eprocess.shows(harmless, n, line.level, line.alpha) else "go on"
