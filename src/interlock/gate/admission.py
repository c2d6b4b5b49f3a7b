"""What must be so before training begins: where the weights loaded stand in the ledger, and what a token takes.

Guarantees: the effective compute at the start is what the ledger says of these very weights, and what is trained from
there on is charged as a `continued` step of the subject is (`subject.lineage`); what is in memory is what lies in their
folder; a token takes no less than formula and torch's counter say, or training does not begin.
What it leaves to the caller: verifying the permit.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interlock.gate import compiled
from interlock.gate.permit import Held, chain, check_unused
from interlock.subject import manifest
from interlock.subject.compute import architecture, counted, flop
from interlock.subject.compute.architecture import UnknownArchitectureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from interlock.evidence.predicates import SnapshotPredicate
    from interlock.evidence.read import Evidence, Permit
    from interlock.subject.compute.architecture import Architecture
    from interlock.subject.lineage import Charge


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run starts, by the ledger: the digest of the weights, the FLOP of training since the permit's subject and
    what they are charged, the optimizer step, and the head of the transcript that it goes on from, if there is one.
    """

    weights: str
    charge: Charge
    flop: int
    step: int
    head: str | None

    @property
    def spent(self) -> int:
        """Effective compute at the start, in FLOP."""
        return self.charge.effective(self.flop)


def start(evidence: Evidence, permit: Permit, weights: Path, step: int | None) -> Start:
    """Where a run of the weights in a folder starts: as the permit's subject, or as a snapshot made under the permit.

    `step` is the optimizer step at which the trainer believes to be, if it believes anything.

    Raises:
        Held: they are neither, or of another step, or the permit was used up.
    """
    check_unused(evidence, permit)
    loaded = manifest.of(weights).digest
    # the ledger's word on a snapshot counts also where somebody registered it as a subject that had spent less
    saved = sorted((it.terms for it in evidence.snapshots if it.subject == loaded), key=lambda terms: terms.compute)
    charge = evidence.charge(permit)
    begun = before(charge, saved)
    if loaded == permit.subject:
        reached, head = (saved[-1].step, saved[-1].transcript) if saved else (0, None)
        return Start(loaded, charge, begun, reached if step is None else step, head)
    held = {one.digest for one in chain(evidence, permit)}
    if not any(terms.permit in held for terms in saved):
        raise Held(
            f"the permit is for subject {permit.subject[:12]}, and the weights loaded are {loaded[:12]}, "
            "neither that nor a snapshot made under the permit"
        )
    last = saved[-1]
    if step is not None and last.step != step:
        raise Held(f"the weights loaded are of step {last.step}, and the trainer is at {step}")
    return Start(loaded, charge, begun, last.step, last.transcript)


def before(charge: Charge, saved: Iterable[SnapshotPredicate]) -> int:
    """FLOP of training that weights have behind them since the permit's subject, by all snapshots of them: as many as
    come to the effective compute of the one that had spent most, whatever it was made from.
    """
    return max([0, *(charge.least(terms.compute) for terms in saved)])


def cost(model: Any, folder: Path, *, sequence: int, counted_flop: int | None) -> int:
    """FLOP of training on one token of the longest sequence: the most of what the formula says, torch's counter, and
    the caller, who may say more. The formula reads the config of the folder that was registered, and must agree with
    the config in memory, and with what the counter sees the model do.

    Raises:
        Held: it is unknown, or config, formula, counter and caller do not agree.
    """
    try:
        made = _registered(model, folder, sequence)
    except UnknownArchitectureError as error:
        if counted_flop is None:
            raise Held(
                f"the compute of a step is unknown: {error}; give counted_flop, a token's FLOP by torch's counter"
            ) from error
        _check_counted(model, sequence=sequence, counted_flop=counted_flop)
        return counted_flop
    seen = _seen(model, made, sequence)
    said = counted_flop or 0
    if said:
        try:
            counted.agree(made, counted.Counted(said * sequence, 1, sequence))
        except counted.GapError as error:
            raise Held(f"counted_flop is not believed: {error}") from error
    return max(flop.per_token(made, width=sequence), seen, said)


def _registered(model: Any, folder: Path, sequence: int) -> Architecture:
    """The architecture by the config of the folder, which a subject's digest covers; that in memory takes as much."""
    made, registered = counted.of_model(model), architecture.load(folder)
    here, there = (flop.per_token(it, width=sequence) for it in (made, registered))
    if here != there:
        raise Held(
            f"the model in memory has another config than `{folder}`: a token takes {here} FLOP by the one and {there} "
            "by the other; load it as it was registered"
        )
    return registered


def _seen(model: Any, made: Architecture, sequence: int) -> int:
    """FLOP of a token by torch's counter, which the formula must not be further from than `counted.MOST_APART`."""
    try:
        found = counted.forward(model, width=sequence)
        counted.agree(made, found)
    except counted.GapError as error:
        raise Held(f"the formula does not speak of what the model does: {error}") from error
    except Exception as error:  # whatever the model makes of a short sequence
        raise Held(f"the compute of a step is unknown: torch's counter does not get through it ({error})") from error
    return found.per_token


def _check_counted(model: Any, *, sequence: int, counted_flop: int) -> None:
    """Count again, one row of the longest sequence forward and back: the caller may say more, and not less."""
    try:
        with _thawed(model):
            least = counted.count(model, rows=1, width=sequence).per_token
    except Exception as error:  # whatever the model makes of a row that long
        raise Held(
            f"counted_flop is not believed: torch's counter does not get through a sequence of {sequence} tokens "
            f"({error}); a lower `sequence` may lift this"
        ) from error
    if counted_flop < least:
        raise Held(
            f"counted_flop is not believed: got {counted_flop} FLOP a token, torch's counter says {least} in a "
            f"sequence of {sequence}; that, or more, lifts this"
        )


@contextmanager
def _thawed(model: Any) -> Iterator[None]:
    """No weight is frozen meanwhile: a pass that leaves some out is not the most that it can be."""
    frozen = [weight for weight in model.parameters() if not weight.requires_grad]
    try:
        for weight in frozen:
            weight.requires_grad = True
        yield
    finally:
        for weight in frozen:
            weight.requires_grad = False


def past_bound(permit: Permit, charge: Charge, flop: int, takes: int) -> str | None:
    """Why a step of `takes` FLOP, after so many since the permit's subject, would pass the permit's bound, in words;
    None: it would not.
    """
    by_then, most = charge.effective(flop + takes), permit.terms.most_compute
    if by_then <= most:
        return None
    spent = charge.effective(flop)
    return (
        f"the permit's bound of {most} FLOP leaves {max(most - spent, 0)}, and the next step takes {by_then - spent}; "
        "evaluations of the snapshot and a new permit lift this"
    )


@contextmanager
def still(folder: Path) -> Iterator[None]:
    """A block in which a folder is read more than once: what is hashed and what is compared are the same files.

    Raises:
        EvidenceError: a file of it changed, or another took its place, by the end.
    """
    from interlock.subject import _folder

    before = _folder.Still.of(folder)
    yield
    before.check()


def check_loaded(model: Any, folder: Path) -> None:
    """Check that the tensors in memory are those of the folder, bit for bit after the cast to the model's type, and no
    others.

    Raises:
        Held: a tensor of the folder is not in the model, or differs, or the model has one that the folder lacks, or a
            part of it would be saved under other names than it was loaded from.
    """
    _check_same(model, folder, lambda held, stored: _equal(held, stored.to(held.dtype)))


def check_saved(model: Any, folder: Path) -> None:
    """Check that a folder holds the tensors in memory, bit for bit after the cast to the type that they were saved in,
    and no others.

    Raises:
        Held: as `check_loaded`.
    """
    _check_same(model, folder, lambda held, stored: _equal(held.to(stored.dtype), stored))


def _check_same(model: Any, folder: Path, same: Callable[[Any, Any], bool]) -> None:
    from safetensors import safe_open

    loaded, checked = model.state_dict(), set()
    if part := compiled.wrapped_part(loaded):
        raise Held(
            f"`{part}` is wrapped by torch.compile, so that its weights would be saved under names from which nobody "
            "can load them; wrap the whole model, or compile the part in place: module.compile()"
        )
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as stored:
            for name in stored.keys():  # noqa: SIM118  safe_open is no mapping
                if name not in loaded or not same(loaded[name].cpu(), stored.get_tensor(name)):
                    raise Held(f"the weights in memory are not those of `{folder}`: `{name}` differs")
                checked.add(_where(loaded[name]))
    for name, tensor in loaded.items():
        if _where(tensor) not in checked:  # tied weights are stored once, and share their memory
            raise Held(f"the weights in memory are not those of `{folder}`: `{name}` is not in it")


def _where(tensor: Any) -> tuple[Any, ...]:
    """Which memory a tensor shows, and how: one that merely begins where another does is another."""
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()


def _equal(one: Any, other: Any) -> bool:
    """Whether two tensors are the same; what is not a number in both is, too."""
    import torch

    if one.shape != other.shape:
        return False
    return torch.equal(one, other) or bool(((one == other) | ((one != one) & (other != other))).all())  # noqa: PLR0124
