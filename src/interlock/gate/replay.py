"""An auditor trains again: some segments of a run between snapshots, drawn by the ledger, compared bit for bit.

Guarantees: the transcript hangs together, and the ledger names its head at every snapshot that it tells of; the folders
that a segment starts and ends with are the ones of the transcript, byte for byte; on another machine, with another
number of threads or other versions, the verdict is `not comparable`, whatever comes out.
What it leaves to the caller: the code that trains a segment again, which must be the run's own, and its data.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import sampling
from interlock.gate import transcript
from interlock.subject import manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from interlock.evidence.read import Evidence
    from interlock.gate.transcript import Line

Verdict = Literal["agrees", "differs", "not comparable"]


@dataclass(frozen=True, slots=True)
class Segment:
    """The steps from one snapshot, or from the weights that the run began with, to the next snapshot.

    `losses` are those of the transcript, one a step, in hexadecimal; `start` and `end` digests of folders.
    """

    start: str
    end: str
    first_step: int
    last_step: int
    losses: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people: the steps that it takes."""
        return f"steps {self.first_step + 1} to {self.last_step}"


@dataclass(frozen=True, slots=True)
class Report:
    """What training again gave: of `total` segments those `drawn`, by the ledger's `root`; how each of them `differs`;
    and what the `environment` has otherwise, as (recorded, here).
    """

    total: int
    drawn: tuple[str, ...]
    root: str
    differs: Mapping[str, str]
    environment: Mapping[str, tuple[Any, Any]]

    @property
    def verdict(self) -> Verdict:
        """`agrees` only where all bits can be compared, and are the same."""
        if self.environment:
            return "not comparable"
        return "differs" if self.differs else "agrees"

    def detects(self, altered: int) -> Fraction:
        """The chance that at least one of so many altered segments was among those drawn (hypergeometric)."""
        missed = comb(max(self.total - altered, 0), len(self.drawn))
        return 1 - Fraction(missed, comb(self.total, len(self.drawn)))


def segments(evidence: Evidence, lines: Sequence[Line]) -> tuple[Segment, ...]:
    """The segments of a transcript, each of which ends in a snapshot of the ledger.

    Raises:
        EvidenceError: it tells of a snapshot that the ledger does not have, or has with another head, or begins
            elsewhere than its permit; or it tells of steps out of turn.
    """
    begin = lines[0].members if lines else {}
    if begin.get("permit") not in {permit.digest for permit in evidence.permits}:
        raise EvidenceError("the transcript's permit is not in the ledger")
    named = {(it.subject, it.terms.transcript) for it in evidence.snapshots if it.terms.permit == begin["permit"]}
    found, losses = list[Segment](), list[str]()
    start, before, step = begin["weights"], begin["optimizer_step"], begin["optimizer_step"]
    for line in lines[1:]:
        if line.tells == "step":
            step += 1
            losses.append(line.members["loss"])
        if line.members["optimizer_step"] != step:
            raise EvidenceError(f"the transcript tells of step {line.members['optimizer_step']}, expected {step}")
        if line.tells == "snapshot":
            if (line.members["digest"], line.digest) not in named:
                raise EvidenceError(f"the ledger has no snapshot of step {step} with this transcript's head")
            if step > before:  # a stop right after a snapshot tells of it twice
                found.append(Segment(start, line.members["digest"], before, step, tuple(losses)))
            start, before, losses = line.members["digest"], step, []
    return tuple(found)


def replay(
    evidence: Evidence,
    data: bytes,
    *,
    count: int,
    folders: Sequence[Path],
    again: Callable[[Path, Segment, Path], Sequence[Any]],
) -> Report:
    """Train `count` segments of a transcript again, drawn by the root of the ledger, and compare weights and losses.

    `folders` are those of the start and of the snapshots, in any order. `again` trains one segment from its start
    folder into an empty folder, and gives the loss of each step.

    Raises:
        EvidenceError: the transcript is not the ledger's, or a folder is missing or altered.
        UsageError: it has no segment, or fewer than are to be drawn.
    """
    lines = transcript.read(data)
    found = segments(evidence, lines)
    if not 1 <= count <= len(found):
        raise UsageError(f"{count} segments are to be trained again, and the transcript has {len(found)}")
    root = evidence.facts.checkpoint.root
    head = next(line.digest for line in reversed(lines) if line.tells == "snapshot")
    drawn = sampling.draw(found, count, root=bytes.fromhex(root), result=bytes.fromhex(head))
    places = {manifest.of(folder).digest: folder for folder in folders}
    told = {one.name: _compare(one, places, again) for one in drawn}
    here, begin = transcript.machine(), lines[0].members
    environment = {name: (begin[name], here[name]) for name in here if begin[name] != here[name]}
    differs = {name: how for name, how in told.items() if how is not None}
    return Report(len(found), tuple(told), root, differs, environment)


def _compare(
    one: Segment, places: Mapping[str, Path], again: Callable[[Path, Segment, Path], Sequence[Any]]
) -> str | None:
    """How training a segment again differs from what is recorded; None: in no bit."""
    for digest in (one.start, one.end):
        if digest not in places:
            raise EvidenceError(f"{one.name}: the folder {digest[:12]} is missing or altered")
    with tempfile.TemporaryDirectory() as empty:
        folder = Path(empty) / "again"
        folder.mkdir()
        losses = [transcript.mean([loss]) for loss in again(places[one.start], one, folder)]
        weights = manifest.of(folder).weights
    if tuple(losses) != one.losses:
        pairs = zip(losses, one.losses, strict=False)
        step = next((n for n, (mine, theirs) in enumerate(pairs, 1) if mine != theirs), len(losses))
        return f"the loss of step {one.first_step + step}"
    if weights != manifest.of(places[one.end]).weights:
        return f"the weights after step {one.last_step}"
    return None
