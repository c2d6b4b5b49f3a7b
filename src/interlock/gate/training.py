"""The gate inside a training run: one core, that no trainer is needed for. The shims call it at each step.

Guarantees: training does not begin without a permit that names the weights loaded; no optimizer step is taken that
would pass the permit's most effective compute, as its FLOP count in a `continued` step (`subject.lineage`), nor begun
after its end, by the wall clock or the monotonic one; the run stops with a snapshot that stands in the ledger; what
holds or fails in the gate ends it for good, whoever catches the error; what is spent before a run resumes is what the
ledger says, and a lease that has ended does not begin again, whatever the trainer's own memory says. Of several
processes all stop at one step.

What it leaves to the caller, and to an outside gate: snapshots are signed with the key of the role that issues permits,
which must therefore be on this machine (that of rank 0); a gate can be removed by whoever owns the code. The tokens of
a step are those that the model is given while it trains, or those that the trainer counts, whichever are more. A token
takes what the formula says for the longest sequence declared, each position paired with every other
(`subject.compute.flop`), no less than any kernel does, recomputation left out; or what torch's counter found, if more.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from interlock.decide.decision import timestamp
from interlock.errors import HOLD, InterlockError, LedgerError, UsageError
from interlock.evidence.predicates import SnapshotPredicate, statement
from interlock.gate import _inside, admission, batches, compiled, transcript
from interlock.gate.lease import Grant, Lease
from interlock.gate.permit import Held, find, verify
from interlock.gate.ranks import PATIENCE, Ranks
from interlock.gate.transcript import Transcript
from interlock.printable import printable
from interlock.subject import manifest
from interlock.workspace import Workspace, now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta
    from pathlib import Path

    from interlock.evidence.read import Evidence, Permit
    from interlock.gate.transcript import DataOrder

T = TypeVar("T")
P = ParamSpec("P")

__all__ = ["ACTION", "TrainingGate", "exit_code", "watched"]

ACTION = "scale"
ASKED = "it was asked to save and end (SIGUSR1)"
#: How `interlock run`, and schedulers, ask for that; None: this system has no such signal.
_NOTICE = getattr(signal, "SIGUSR1", None)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What let training begin: the permit, its running lease, FLOP of a token and of a step as declared, and where the
    run starts.
    """

    permit: Permit
    lease: Lease
    cost: int
    takes: int
    start: admission.Start

    def past_bound(self, flop: int, takes: int) -> str | None:
        """Why so many FLOP more would pass the permit's bound, in words; None: they would not."""
        return admission.past_bound(self.permit, self.start.charge, flop, takes)


def _for_good(asked: Callable[Concatenate[TrainingGate, P], T]) -> Callable[Concatenate[TrainingGate, P], T]:
    """What fails in this ends the run, whoever catches it."""

    @wraps(asked)
    def asks(gate: TrainingGate, /, *given: P.args, **named: P.kwargs) -> T:
        try:
            return asked(gate, *given, **named)
        except Exception as error:
            gate.stop(_text(error))
            raise

    return asks


class TrainingGate:
    """Demands a permit for `scale`, and says before and after every step whether training may go on.

    Args:
        workspace: folder of the workspace whose ledger holds the permit.
        permit: digest of the permit (`interlock permit issue --action scale`).
        weights: folder from which the weights were loaded: the permit's subject, or a snapshot made under the permit.
        tokens_per_step: the most tokens, padding included, that one optimizer step may see, in all processes together.
        sequence: tokens of the longest sequence, padding included; a longer one ends the run. By default all of a step.
        counted_flop: for an architecture that the formula does not know, FLOP of a token by torch's counter
            (`subject.compute.counted.count`), on sequences of that length.
        data: which samples the run will see, and in which order, if that is known before it begins.
        patience: how long a process waits for the others.
        seen: a file that keeps the latest time seen over a restart (`gate.lease`).
        clock: the time, for tests.

    Attributes:
        ended: why the run was stopped, and what would lift it; None while it runs.
        flop: FLOP of training so far, since the permit's subject.
        spent: effective compute so far, in FLOP: what the permit bounds.
        step: optimizer steps so far, of this run and of those that it goes on from.
        open: whether a step has begun and is not over.
        recorded: the optimizer step of the last snapshot that this run put into the ledger.
        transcript: what the process that saves has written down of this run.
        trained: whether the weights have changed since the start, or since the last snapshot.
    """

    def __init__(
        self,
        workspace: Path,
        permit: str,
        *,
        weights: Path,
        tokens_per_step: int,
        sequence: int | None = None,
        counted_flop: int | None = None,
        data: DataOrder | None = None,
        patience: timedelta = PATIENCE,
        seen: Path | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        if tokens_per_step < 1:
            raise UsageError(f"tokens_per_step is {tokens_per_step}, expected one or more")
        if sequence is not None and not 1 <= sequence <= tokens_per_step:
            raise UsageError(f"sequence is {sequence} tokens, expected 1 to the {tokens_per_step} of a step")
        if counted_flop is not None and counted_flop < 1:
            raise UsageError(f"counted_flop is {counted_flop}, expected one or more")
        self._workspace = Workspace.open(workspace)
        self._digest = permit
        self._weights = weights
        self._tokens_per_step = tokens_per_step
        self._sequence = sequence or tokens_per_step
        self._counted_flop = counted_flop
        self._data = data
        self._patience, self._seen, self._clock = patience, seen, clock
        self._admitted: Admitted | None = None
        self._ranks: Ranks | None = None
        self._model: Any = None
        self._opens: Callable[[], None] | None = None
        self._watching: list[Any] = []
        self._tokens = self._longest = self._unspent_by_all = 0
        self._counted = False
        self._changes: int | None = None  # of the weights in memory, at the last update that was skipped
        self._losses: list[Any] = []
        self.transcript: Transcript | None = None
        self._asked = self._listening = False
        self.ended: str | None = None
        self.open = False
        self.flop = self.spent = self.step = 0
        self.recorded: int | None = None
        self.trained = False

    # -- the run's course ----------------------------------------------------------------------------------------------

    def begin(self, model: Any, *, step: int | None = None, opens: Callable[[], None] | None = None) -> None:
        """Demand the permit, the weights that it names, and room for one step; from here on watch the model.

        `model` is the one whose weights train, not a wrapper around it, save that of `torch.compile`. `step` is the
        optimizer step at which the trainer believes to be, if it believes anything. `opens` is called at a batch for
        which no step is open, to ask `before_step`; without it, whoever trains asks that earlier.

        Raises:
            Held: training must not begin.
            UsageError: there is no ledger.
            EvidenceError, LedgerError: the ledger, or a result's log, cannot be relied on.
        """
        model = compiled.bare(model)
        self._ranks = Ranks(self._patience)
        self._heard(self._refresh)
        admitted, _ = self._heard(lambda: self._admit(model, step))
        self._check_same(admitted)
        self.step, self._admitted = admitted.start.step, admitted
        self._spend(admitted.start.flop)
        self._model, self._opens = model, opens
        self.together(self._open_transcript)
        self._watch(model)
        self._listen()

    def keep(self, hook: Any) -> None:
        """Have a hook of the caller's go with the gate's own, when the run is over."""
        self._watching.append(hook)

    def skipped(self) -> bool:
        """Whether the step that is open came to no update, as where a gradient scaler skips it. It stays open.

        Raises:
            Held: the weights have changed all the same since this was last so.
        """
        if not self.open or self._counted or self.ended is not None:
            return False
        changes = sum(weight._version for weight in self._model.parameters())
        if self._changes not in {None, changes}:
            self.stop("the weights changed in a step that the gate was not asked for: is it another optimizer's?")
            raise Held(self.ended or "")
        self._changes = changes
        return True

    @_for_good
    def before_step(self) -> None:
        """Ask before the first batch of a step is seen.

        Raises:
            Held: the step must not begin, here or in another process.
        """
        self._heard(self._may_begin)
        if not self.open:  # what a step has seen that came to no update is not forgotten
            self._tokens, self._longest, self._losses = 0, 0, []
        self.open, self._counted = True, False

    @_for_good
    def before_update(self, tokens: int = 0) -> None:
        """Ask at the last point before the weights change: a step larger than declared must not pass the bound.

        `tokens` are those of the step as the trainer counted them, in all processes together.

        Raises:
            Held: it would, or no sequence was seen, or one is longer than declared.
        """
        _, seen = self._heard(self._check_seen, amount=self._tokens)
        self._tokens = max(seen, tokens)
        self._check_room(self._tokens)
        self._spend(self.flop + self._cost * self._tokens)
        self._counted = True

    def after_step(self, loss: Any = None) -> str | None:
        """Ask when the weights have changed. Returns why the run stops here, if it does: save a snapshot, then end it.

        `loss` is for the transcript; without one, it is the mean of those that the model gave for the step's batches.

        Raises:
            Held: the gate was not asked for the step, or not for its update.
        """
        if not (self.open and self._counted):
            missed = "was not asked before its weights changed" if self.open else "let none begin"
            self.ended = self.ended or f"a step is said to be over, and the gate {missed}"
            raise Held(self.ended)
        self.step += 1
        self.open, self.trained, self._changes = False, True, None
        return self._stops(lambda: self._close_step(loss))

    def between_steps(self) -> str | None:
        """Ask once more when a step is over, after an evaluation say, which may have taken hours. Returns why the run
        stops here, if it does: save a snapshot, then end it.
        """
        return self._stops(self._check_step)

    def snapshot(self, folder: Path) -> str | None:
        """Put a snapshot, which lies whole in `folder`, into the ledger, and decide again. Rank 0 does so for all.

        Returns why the run ends here, if it does. It ends with every error, too, and in all processes: no step begins
        any more, whoever catches it. What an ended run has seen in a step that is not over counts as spent in it.

        Raises:
            Held: the run goes on, and is within a step; or the folder holds other weights than the model in memory, or
                the weights changed and no step was taken, or another process is gone, or the transcript cannot be
                written.
            UsageError: there is no ledger any more.
            EvidenceError, LedgerError: it cannot be recorded, or changed while it was read; or a result's log is
                missing or altered.
        """
        reason = self.together(lambda: self._record(folder))
        reason = self._from_first(reason)  # in every process, also in one that has heard of an end already
        self.ended = self.ended or reason
        self.recorded, self.trained = self.step, False
        return self.ended

    def stop(self, reason: str) -> None:
        """End the run for a reason of its own: no further step begins."""
        self.ended = self.ended or reason

    def end(self) -> None:
        """Leave the model as it was.

        Raises:
            Held: the run was stopped, and no snapshot of where it stopped is in the ledger.
        """
        self.release()
        if self.ended is not None and self.recorded != self.step:
            raise Held(f"the run was stopped, and its last step was not saved: {self.ended}")

    def release(self) -> None:
        """Watch the model no longer, and close the transcript. A fork of the process that began leaves both alone: its
        model is watched for as long as it lasts.
        """
        if self._ranks is not None and not self._ranks.here:
            return
        for hook in self._watching:
            hook.remove()
        if _NOTICE is not None and self._listening:
            signal.signal(_NOTICE, signal.SIG_DFL)
            self._listening = False
        if self.transcript is not None:
            written, self.transcript = self.transcript, None
            try:
                written.add("end", {"optimizer_step": self.step, "ended": self.ended or "no"})
            except Held:
                if self.ended is None:  # else the first reason is the one to tell
                    raise

    @property
    def first(self) -> bool:
        """Whether this is the process that saves: the only one, or rank 0."""
        return self._ranks is None or self._ranks.rank == 0

    # -- several processes ---------------------------------------------------------------------------------------------

    @_for_good
    def together(self, local: Callable[[], T]) -> T:
        """Do something in each process; what fails in one is a hold in all, and ends the run. Returns what it gave in
        this one.

        Raises:
            Held: it failed in another process. What failed in this one is raised as it is.
        """
        found, self._unspent_by_all = self._heard(local, amount=self._unspent)
        return found

    def _heard(self, local: Callable[[], T], *, amount: int = 0) -> tuple[T, int]:
        """Do `local` here, hear whether it failed anywhere, and add up the amounts."""
        if self._ranks is None:
            raise Held("training began without asking for the permit: `begin` was not called")
        self._ranks.check()  # before the exchange, in which no other process has a part
        try:
            found = local()
        except Exception as error:
            self._ranks.agree(_text(error), amount)
            raise
        reason, total = self._ranks.agree(None, amount)
        if reason is not None:
            raise Held(reason)
        return found, total

    @_for_good
    def _stops(self, local: Callable[[], Any]) -> str | None:
        """Why the run ends here by what is asked in each process; None: it goes on."""
        try:
            self._heard(local)
        except Held as held:
            self.stop(_text(held))
        return self.ended

    @_for_good
    def _from_first(self, said: str | None) -> str | None:
        """What the process that saves says, in every process."""
        return (self._ranks.gather(said or "")[0] if self._ranks else said) or None

    def _check_same(self, admitted: Admitted) -> None:
        """All processes must be let in alike, else the bound that one keeps is not that of another."""
        assert self._ranks is not None  # noqa: S101  set by `begin`
        here = {
            "permit": admitted.permit.digest[:12],
            "step": admitted.start.step,
            "compute so far": admitted.start.spent,
            "FLOP a token": admitted.cost,
            "tokens_per_step": self._tokens_per_step,
            "sequence": self._sequence,
        }
        told = [json.loads(one) for one in self._ranks.gather(json.dumps(here))]
        for rank, other in enumerate(told):
            for name, value in other.items():
                if value != told[0].get(name):
                    raise Held(f"the processes differ in {name}: rank {rank} has {value}, rank 0 {told[0].get(name)}")

    # -- the beginning -------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        with _told("the ledger cannot be reached"):
            if self.first and self._workspace.can_sign_checkpoints():
                self._workspace.refresh()

    def _evidence(self) -> Evidence:
        """All evidence by now. The process that saves looks at the logs of results, for all."""
        with _told("the ledger cannot be reached"):
            evidence = self._workspace.read()
            if self.first:
                self._workspace.check_logs(evidence)
        return evidence

    def _admit(self, model: Any, step: int | None) -> Admitted:
        evidence = self._evidence()
        permit = verify(evidence, self._digest, action=ACTION, at=self._clock())
        with admission.still(self._weights):
            start = admission.start(evidence, permit, self._weights, step)
            admission.check_loaded(model, self._weights)
            cost = admission.cost(model, self._weights, sequence=self._sequence, counted_flop=self._counted_flop)
        takes = cost * self._tokens_per_step
        if past := admission.past_bound(permit, start.charge, start.flop, takes):
            raise Held(past)
        lease = Lease(Grant.of(evidence, permit), clock=self._clock, seen=self._seen)
        return Admitted(permit, lease, cost, takes, start)

    # -- each step -----------------------------------------------------------------------------------------------------

    def _begun(self) -> Admitted:
        if self._admitted is None:
            raise Held("training began without asking for the permit: `begin` was not called")
        return self._admitted

    @property
    def _cost(self) -> int:
        return self._begun().cost

    def _spend(self, flop: int) -> None:
        """So many FLOP of training since the permit's subject by now, and what they are charged."""
        self.flop, self.spent = flop, self._begun().start.charge.effective(flop)

    def _may_begin(self) -> None:
        self._begun()
        if self.ended is not None:
            raise Held(f"the run was stopped, and goes on all the same: {self.ended}")
        if self.open and self._counted:
            raise Held("the weights have changed in the step before, and nobody said that it is over")
        self._check_step()

    def _check_step(self) -> None:
        """The lease still runs, and the next step, as declared, is within the bound."""
        admitted = self._begun()
        if past := admitted.past_bound(self.flop, admitted.takes):
            raise Held(past)
        admitted.lease.check()
        if self._asked:
            raise Held(ASKED)

    def _listen(self) -> None:
        """The run stops after its step when it is asked to, as `interlock run` asks; where nobody listens already."""
        here = threading.current_thread() is threading.main_thread()
        if _NOTICE is not None and here and signal.getsignal(_NOTICE) is signal.SIG_DFL:
            signal.signal(_NOTICE, self._note)
            self._listening = True

    def _note(self, *_: object) -> None:
        self._asked = True

    def _check_room(self, tokens: int) -> None:
        admitted = self._begun()
        if past := admitted.past_bound(self.flop, admitted.cost * tokens):
            raise Held(f"a step was larger than the {self._tokens_per_step} tokens declared; {past}")

    def _check_seen(self) -> None:
        self._begun()
        if self.ended is not None or not self.open:
            raise Held(f"the weights are about to change in a step that the gate did not let begin: {self.ended or ''}")
        if self._counted:
            raise Held("the weights have changed already in this step, and nobody said that it is over")
        if not self._longest:
            raise Held("no sequence was seen in this step, so that nothing says how long they are")
        if self._longest > self._sequence:
            raise Held(
                f"a sequence has {self._longest} tokens, more than the {self._sequence} declared, so a token takes "
                "more compute than was counted; a gate with a greater `sequence` lifts this"
            )

    def _watch(self, model: Any) -> None:
        """Count what the model is given while it trains; without a step that the gate let begin it is given nothing."""

        def given(module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
            if watched(module):
                if not self.open and self._opens is not None:
                    self._opens()
                self._see(module, positional, named)

        def gave(module: Any, _: tuple[Any, ...], output: Any) -> None:
            if watched(module) and (loss := getattr(output, "loss", None)) is not None:
                self._losses.append(loss.detach())

        self._watching = [
            model.register_forward_pre_hook(compiled.hook(given), with_kwargs=True),
            model.register_forward_hook(compiled.hook(gave)),
        ]
        compiled.forget()

    @_for_good
    def _see(self, module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Count a batch before the model has it.

        Raises:
            Held: no step was let begin, or its tokens were counted already, or this batch would pass the bound, or
                nobody can tell how large it is.
        """
        self._check_takes_batches()
        batch = batches.size(module, positional, named)
        self._check_room(self._tokens + batch.tokens)
        self._tokens, self._longest = self._tokens + batch.tokens, max(self._longest, batch.longest)

    def _check_takes_batches(self) -> None:
        if self._ranks is not None:
            self._ranks.check()
        if not self.open or self.ended is not None:
            raise Held(f"the model trains, and no step was let begin: {self.ended or 'the gate was not asked'}")
        if self._counted:
            raise Held(
                "the model trains after the tokens of its step were counted, and before the step is over; train before "
                "the optimizer's step, and evaluate under torch.no_grad() in evaluation mode"
            )

    # -- snapshots -----------------------------------------------------------------------------------------------------

    @property
    def _unspent(self) -> int:
        """Tokens seen here in a step that is not over, and not spent yet."""
        return self._tokens if self.open and not self._counted else 0

    def _check_over(self) -> None:
        """No step is open, which is so in all processes or in none: a snapshot would forget its tokens, and hold what
        was made of them without asking.

        Raises:
            Held: one is, and the run goes on.
        """
        if self.open and self.ended is None:
            raise Held(
                f"a snapshot is taken within a step, which has seen {self._tokens} tokens here and is not over; save "
                "when it is (step_done says whether it is)"
            )

    def _record(self, folder: Path) -> str | None:
        """Why the run ends with this snapshot, as the process that saves finds; None: it does not."""
        self._check_over()
        if not self.first:
            return None
        files = self._saved(folder)
        digest = files.digest
        self._refresh()
        evidence = self._evidence()
        permit = find(evidence, self._digest)
        # who was asked to stop may go on under this permit: the ledger is told of no end
        ended = None if (self.ended or "").endswith(ASKED) else self.ended
        ended = ended or _hold(lambda: verify(evidence, self._digest, action=ACTION, at=self._clock()))
        # kept at once: an interrupt between here and the ledger's entry does not take the hold back
        self.ended = ended or self.ended
        charge, cut_short = self._begun().start.charge, self._cost * max(self._unspent, self._unspent_by_all)
        flop = max(self.flop, min(self.flop + cut_short, charge.most(permit.terms.most_compute)))
        spent = charge.effective(flop)
        if not self._stands(evidence, digest, spent, ended):  # the trainer saves the end of an epoch again
            told = {"optimizer_step": self.step, "name": folder.name, "digest": digest, "ended": ended or "no"}
            head = self._written.add("snapshot", told)
            # crash point: the transcript tells of a snapshot that is not in the ledger, and which nothing goes on from
            terms = SnapshotPredicate(files, permit.digest, permit.subject, self.step, flop, spent, ended, head)
            made = statement("snapshot", name=folder.name, digest=digest, predicate=terms.to_json())
            with _told(f"the snapshot of step {self.step} cannot be recorded"):
                self._workspace.append(made, self._workspace.signing(evidence, evidence.policy.permits.issued_by))
        return ended

    def _saved(self, folder: Path) -> manifest.Manifest:
        """The files of a snapshot that holds what is in memory, and that no step is told of that was not taken.

        Raises:
            Held: it holds other weights, or they are not those of the start, and no step was taken.
            EvidenceError: it is no model, or changed meanwhile.
        """
        with admission.still(folder):
            files = manifest.of(folder)
            admission.check_saved(self._model, folder)
        if self.step == self._begun().start.step and not self.trained:
            admission.check_loaded(self._model, self._weights)
        return files

    def _stands(self, evidence: Evidence, digest: str, spent: int, ended: str | None) -> bool:
        """Whether this very snapshot is in the ledger."""
        here = (digest, self._begun().permit.digest, self.step, spent, ended)
        there = (
            (it.subject, it.terms.permit, it.terms.step, it.terms.compute, it.terms.ended) for it in evidence.snapshots
        )
        return here in there

    # -- the transcript ------------------------------------------------------------------------------------------------

    @property
    def _written(self) -> Transcript:
        if self.transcript is None:
            raise Held("the run has no transcript")
        return self.transcript

    def _open_transcript(self) -> None:
        if not self.first:
            return
        admitted = self._begun()
        self.transcript = Transcript(
            self._workspace.folder / "transcripts", admitted.permit.digest[:16], before=admitted.start.head
        )
        told = {
            "format": transcript.FORMAT,
            "permit": admitted.permit.digest,
            "parent": admitted.permit.subject,
            "weights": admitted.start.weights,
            "optimizer_step": admitted.start.step,
            "effective_compute": str(admitted.start.spent),
            "flop_per_token": str(admitted.cost),
            "tokens_per_step": self._tokens_per_step,
            "sequence": self._sequence,
            "processes": self._ranks.size if self._ranks else 1,
            "data": self._data.to_json() if self._data else None,
            "at": timestamp(self._clock()),
        }
        self.transcript.add("begin", told | transcript.machine())

    def _close_step(self, loss: Any) -> None:
        """Tell of the step, and say whether there may be another."""
        if self.first:
            told = {
                "optimizer_step": self.step,
                "loss": transcript.mean([loss] if loss is not None else self._losses),
                "tokens": self._tokens,
                "effective_compute": str(self.spent),
            }
            self._written.add("step", told)
        self._check_step()


def watched(module: Any) -> bool:
    """Whether a model that is called now may leave gradients, or says that it trains."""
    if module.training:
        return True
    import torch

    return torch.is_grad_enabled()


@contextmanager
def exit_code(gate: TrainingGate) -> Iterator[None]:
    """End the process, with one line on standard error, if the gate ends the run in this block: with exit code 3 where
    it holds, else with that of the error (`interlock.errors`). What is no error of Interlock's is raised as it is.
    """
    reason: str | None = None
    code = HOLD
    try:
        yield
    except InterlockError as error:
        reason, code = _text(error), error.exit_code
    reason = reason or gate.ended
    if reason is not None:
        said = "; ".join(map(printable, reason.splitlines()))
        if code == HOLD:
            _inside.tell(said)
        sys.stderr.write(f"{'hold' if code == HOLD else 'interlock'}: {said}\n")
        raise SystemExit(code)


def _text(error: Exception) -> str:
    """What an error says; never nothing, which would be no reason."""
    return str(error) or type(error).__name__


@contextmanager
def _told(what: str) -> Iterator[None]:
    """What the machine refuses in this block, in a sentence.

    Raises:
        LedgerError: it does.
    """
    try:
        yield
    except OSError as error:
        raise LedgerError(f"{what}: {error}") from error


def _hold(check: Callable[[], object]) -> str | None:
    """Why a check holds; None: it does not. Whatever else it raises shows nothing in favour: that holds, too."""
    try:
        check()
    except Held as held:
        return str(held)
    except Exception as error:  # noqa: BLE001  the snapshot is to be recorded with the end of the run
        return f"the permit cannot be verified: {_text(error)}"
    return None
