"""An auditor trains again: some segments of a run between snapshots, drawn by the ledger, compared bit for bit.

Guarantees: the transcript hangs together, begins where the ledger says that such a run begins, and the ledger names its
head at the end of every segment; its compute adds up, as the permit is charged for it, to what the ledger says of each
snapshot; the folders that a segment starts and ends with are the ones of the transcript, byte for byte; a segment that
is trained again sees no more tokens than were told, and a token takes no more than was told. On another machine, with
another accelerator, number of threads or versions, bits are `not comparable`, whatever comes out.
What it leaves to the caller: the code that trains a segment again, which must be the run's own, and its data: that they
are the ones that the run committed to, and the share of other processes.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import comb, inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import sampling
from interlock.gate import admission, batches, compiled, permit, transcript
from interlock.gate.batches import Size
from interlock.subject import manifest
from interlock.subject.compute import architecture, counted, flop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch.nn import Module

    from interlock.evidence.read import Evidence, Permit, Snapshot
    from interlock.gate.transcript import Line

Verdict = Literal["agrees", "agrees in part", "differs", "not comparable"]
#: No more steps than this are told of whose compute does not add up.
_MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class Segment:
    """The steps from one snapshot, or from the weights that the run began with, to the next snapshot.

    `losses` are those of the transcript, one a step, in hexadecimal; `tokens` what it tells of them all; `start` and
    `end` digests of folders.
    """

    start: str
    end: str
    first_step: int
    last_step: int
    losses: tuple[str, ...]
    tokens: int

    @property
    def name(self) -> str:
        """For people: the steps that it takes."""
        return f"steps {self.first_step + 1} to {self.last_step}"


@dataclass(frozen=True, slots=True)
class Report:
    """What training again gave: of `total` segments those `drawn`, by the ledger's `root`; how bits of each `differs`;
    what the `environment` has otherwise, as (recorded, here); what the transcript tells that is `wrong` on any machine;
    and what could not be checked (`unchecked`).
    """

    total: int
    drawn: tuple[str, ...]
    root: str
    differs: Mapping[str, str]
    environment: Mapping[str, tuple[Any, Any]]
    wrong: tuple[str, ...]
    unchecked: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """`agrees` only where all can be checked, and all is the same to the bit."""
        if self.wrong:
            return "differs"
        if self.environment:
            return "not comparable"
        if self.differs:
            return "differs"
        return "agrees in part" if self.unchecked else "agrees"

    def detects(self, altered: int) -> Fraction:
        """The chance that at least one of so many altered segments was among those drawn (hypergeometric)."""
        missed = comb(max(self.total - altered, 0), len(self.drawn))
        return 1 - Fraction(missed, comb(self.total, len(self.drawn)))


def segments(evidence: Evidence, lines: Sequence[Line]) -> tuple[Segment, ...]:
    """The segments of a transcript, each of which ends in a snapshot of the ledger.

    A snapshot that never came to the ledger, since the run was killed or the ledger could not be written, ends none.

    Raises:
        EvidenceError: it tells of snapshots, and the ledger has none of them with its head; or it begins elsewhere than
            a run under its permit does, by the ledger; or it tells of steps out of turn.
    """
    _check_begin(evidence, _permit(evidence, lines), lines)
    recorded = {line.digest for line in _recorded(evidence, lines)}
    begin, found = lines[0].members, list[Segment]()
    losses, tokens = list[str](), 0
    start, before, step = begin["weights"], begin["optimizer_step"], begin["optimizer_step"]
    for line in lines[1:]:
        if line.tells == "step":
            step += 1
            losses.append(line.members["loss"])
            tokens += line.members["tokens"]
        if line.members["optimizer_step"] != step:
            raise EvidenceError(f"the transcript tells of step {line.members['optimizer_step']}, expected {step}")
        if line.digest in recorded:
            if step > before:  # a stop right after a snapshot tells of it twice
                found.append(Segment(start, line.members["digest"], before, step, tuple(losses), tokens))
            start, before, losses, tokens = line.members["digest"], step, [], 0
    return tuple(found)


def _permit(evidence: Evidence, lines: Sequence[Line]) -> Permit:
    named = lines[0].members["permit"] if lines else None
    found = next((it for it in evidence.permits if it.digest == named), None)
    if found is None:
        raise EvidenceError("the transcript's permit is not in the ledger")
    return found


def _recorded(evidence: Evidence, lines: Sequence[Line]) -> list[Line]:
    """The lines that tell of a snapshot which stands in the ledger with the line's digest as its head.

    Raises:
        EvidenceError: there are snapshots, and none of them does.
    """
    told = [line for line in lines if line.tells == "snapshot"]
    snapshots = (it for it in evidence.snapshots if it.terms.permit == lines[0].members["permit"])
    named = {(it.subject, it.terms.transcript) for it in snapshots}
    found = [line for line in told if (line.members["digest"], line.digest) in named]
    if told and not found:
        step = told[0].members["optimizer_step"]
        raise EvidenceError(f"the ledger has no snapshot of step {step} with this transcript's head")
    return found


def _check_begin(evidence: Evidence, under: Permit, lines: Sequence[Line]) -> None:
    """That the run began as `admission.start` lets one begin: with the permit's subject or a snapshot made under it, at
    the compute and with the head that the ledger had of these weights before the run's own snapshots.
    """
    begin = lines[0].members
    if begin["format"] != transcript.FORMAT or begin["parent"] != under.subject:
        raise EvidenceError(f"the transcript begins with {begin['parent'][:12]} as `{begin['format'][:80]}`")
    saved = _saved_before(evidence, lines)
    held = {it.digest for it in permit.chain(evidence, under)}
    if begin["weights"] != under.subject and not any(it.terms.permit in held for it in saved):
        raise EvidenceError(
            f"the transcript begins with the weights {begin['weights'][:12]}, neither the subject of its permit nor a "
            "snapshot made under it"
        )
    if begin["weights"] != under.subject and begin["optimizer_step"] != saved[-1].terms.step:
        raise EvidenceError(
            f"the transcript begins at step {begin['optimizer_step']}, and its weights are of {saved[-1].terms.step}"
        )
    charge = evidence.charge(under)
    spent = charge.effective(admission.before(charge, (it.terms for it in saved)))
    if int(begin["effective_compute"]) != spent:
        raise EvidenceError(
            f"the transcript begins at {begin['effective_compute']} FLOP, and the ledger has its start at {spent}"
        )
    if lines[0].before != (saved[-1].terms.transcript if saved else None):
        raise EvidenceError("the transcript does not go on from the head that the ledger has of its weights")


def _saved_before(evidence: Evidence, lines: Sequence[Line]) -> list[Snapshot]:
    """Snapshots of the weights that a run began with, older than its own, by compute."""
    heads, weights = {line.digest for line in lines}, lines[0].members["weights"]
    first = min((it.entry for it in evidence.snapshots if it.terms.transcript in heads), default=inf)
    of_these = (it for it in evidence.snapshots if it.subject == weights and it.entry < first)
    return sorted(of_these, key=lambda it: it.terms.compute)


def _wrong(evidence: Evidence, lines: Sequence[Line]) -> Iterator[str]:
    """What does not add up: each step takes its tokens times the FLOP of one, as the permit is charged for them, and a
    snapshot has taken all of that.
    """
    under = _permit(evidence, lines)
    most, charge = under.terms.most_compute, evidence.charge(under)
    takes, spent = (int(lines[0].members[name]) for name in ("flop_per_token", "effective_compute"))
    for line in lines[1:]:
        at = f"step {line.members['optimizer_step']}"
        if line.tells == "step":
            told, tokens = int(line.members["effective_compute"]), line.members["tokens"]
            if told != (due := charge.effective(charge.least(spent) + tokens * takes)):
                yield f"{at} takes {told - spent} FLOP, and its {tokens} tokens of {takes} take {due - spent}"
            spent = told
            if spent > most:
                yield f"{at} is at {spent} FLOP, past the permit's bound of {most}"
        if line.tells == "snapshot":
            for it in evidence.snapshots:
                fits = it.terms.compute == spent or (it.terms.ended and it.terms.compute > spent)  # in a step cut short
                if it.terms.transcript == line.digest and not fits:
                    yield f"the snapshot of {at} has taken {it.terms.compute} FLOP by the ledger, and here {spent}"


def replay(
    evidence: Evidence,
    data: bytes,
    *,
    count: int,
    folders: Sequence[Path],
    again: Callable[[Path, Segment, Path], Sequence[Any]],
) -> Report:
    """Train `count` segments of a transcript again, drawn by the root of the ledger; compare weights and losses, and
    count tokens and FLOP again.

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
    root, begin = evidence.facts.checkpoint.root, lines[0].members
    head = _recorded(evidence, lines)[-1].digest
    drawn = sampling.draw(found, count, root=bytes.fromhex(root), result=bytes.fromhex(head))
    places = {manifest.of(folder).digest: folder for folder in folders}
    told = [_again(one, begin, places, again) for one in drawn]
    here = transcript.machine()
    unchecked = () if begin["data"] else ("no data were committed to before the run: any could have been chosen",)
    return Report(
        total=len(found),
        drawn=tuple(one.name for one in drawn),
        root=root,
        differs={one.name: it.differs for one, it in zip(drawn, told, strict=True) if it.differs is not None},
        environment={name: (begin[name], here[name]) for name in here if begin[name] != here[name]},
        wrong=(*islice(_wrong(evidence, lines), _MOST_TOLD), *(wrong for it in told for wrong in it.wrong)),
        unchecked=(*unchecked, *(unknown for it in told for unknown in it.unchecked)),
    )


@dataclass(frozen=True, slots=True)
class _Again:
    """What training one segment again showed; `differs` None: in no bit."""

    differs: str | None
    wrong: tuple[str, ...]
    unchecked: tuple[str, ...]


def _again(
    one: Segment,
    begin: Mapping[str, Any],
    places: Mapping[str, Path],
    again: Callable[[Path, Segment, Path], Sequence[Any]],
) -> _Again:
    for digest in (one.start, one.end):
        if digest not in places:
            raise EvidenceError(f"{one.name}: the folder {digest[:12]} is missing or altered")
    with tempfile.TemporaryDirectory() as empty, _watched() as given:
        folder = Path(empty) / "again"
        folder.mkdir()
        losses = tuple(transcript.mean([loss]) for loss in again(places[one.start], one, folder))
        differs = _differs(one, losses, folder, places[one.end])
    seen, least = Size(), _least(places[one.start], begin["sequence"])
    for size in given.sizes.values():  # every part that takes tokens sees the same ones
        seen = seen.most(size)
    held = tuple(f"{one.name}: a batch was not counted again: {why}" for why in dict.fromkeys(given.held))
    unchecked = (*_uncounted(one, begin, seen, least), *held)
    return _Again(differs, tuple(_miscounted(one, begin, seen, least)), unchecked)


def _miscounted(one: Segment, begin: Mapping[str, Any], seen: Size, least: int | None) -> Iterator[str]:
    if seen.tokens > one.tokens:
        yield f"{one.name}: trained again it sees {seen.tokens} tokens, and {one.tokens} were told"
    if seen.longest > begin["sequence"]:
        yield f"{one.name}: a sequence has {seen.longest} tokens, and {begin['sequence']} were declared"
    if least is not None and int(begin["flop_per_token"]) < least:
        yield f"{one.name}: a token takes {least} FLOP or more, and {begin['flop_per_token']} were told"


def _uncounted(one: Segment, begin: Mapping[str, Any], seen: Size, least: int | None) -> Iterator[str]:
    if not seen.tokens:
        yield f"{one.name}: no batch was seen here, so that its tokens were not counted again"
    elif seen.tokens < one.tokens and begin["processes"] > 1:
        yield f"{one.name}: of {begin['processes']} processes only this one's tokens were counted again"
    if least is None:
        yield f"{one.name}: neither formula nor torch's counter says what a token takes"


def _differs(one: Segment, losses: tuple[str, ...], folder: Path, end: Path) -> str | None:
    """How training a segment again differs from what is recorded; None: in no bit."""
    if losses != one.losses:
        pairs = zip(losses, one.losses, strict=False)
        step = next((n for n, (mine, theirs) in enumerate(pairs, 1) if mine != theirs), len(losses))
        return f"the loss of step {one.first_step + step}"
    if manifest.of(folder).weights != manifest.of(end).weights:
        return f"the weights after step {one.last_step}"
    return None


def _least(folder: Path, sequence: int) -> int | None:
    """FLOP of a token at the least, by the folder's config: by formula, else by torch's counter; None: by neither."""
    try:
        return flop.per_token(architecture.load(folder), width=sequence)
    except architecture.UnknownArchitectureError:
        pass
    try:
        return counted.of_config(architecture.load_config(folder), rows=1, width=sequence).per_token
    except UsageError:
        return None


@dataclass(frozen=True, slots=True)
class _Given:
    """What was given to the modules that trained: tokens in all and the longest sequence of each, and why calls were
    `held`, not counted, which were no part of one that was.
    """

    sizes: dict[Module, Size]
    held: list[str]


@contextmanager
def _watched() -> Iterator[_Given]:
    """What each module that trains in this block is given."""
    from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

    from interlock.gate.training import watched

    given = _Given({}, [])
    before: dict[Module, int] = {}

    def called(module: Module, _: object) -> None:
        before[module] = len(given.held)

    def gave(module: Module, positional: tuple[Any, ...], named: dict[str, Any], _: object) -> None:
        if not watched(module):
            return
        try:
            size = _size(module, positional, named)
        except permit.Held as held:
            given.held.append(str(held))
            return
        if size is not None:
            sum_ = given.sizes.get(module, Size())
            given.sizes[module] = Size(sum_.tokens + size.tokens, max(sum_.longest, size.longest))
            del given.held[before.get(module, len(given.held)) :]  # what its parts were given is counted with it

    hooks = (
        register_module_forward_pre_hook(compiled.hook(called)),
        register_module_forward_hook(compiled.hook(gave), with_kwargs=True),
    )
    try:
        yield given
    finally:
        for hook in hooks:
            hook.remove()


def _size(module: Module, positional: tuple[Any, ...], named: dict[str, Any]) -> Size | None:
    """The size of a batch as the gate counts it; None: a call without tokens.

    Raises:
        Held: it cannot be counted.
    """
    from torch.nn import Embedding

    first = positional[0] if positional else None
    tokens = batches.whole_numbers(first) or any(named.get(name) is not None for name in ("input_ids", "inputs_embeds"))
    if not tokens or isinstance(module, Embedding):  # one that is shared looks up for encoder and decoder
        return None
    return batches.size(module, positional, named)
