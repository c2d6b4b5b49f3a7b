"""The gate inside a Hugging Face training run: a `TrainerCallback` that demands a permit for `scale`.

Guarantees: training does not begin without a permit that names the weights loaded; no optimizer step is taken that
would pass the permit's most effective compute, nor begun after its end; the run stops with a snapshot that stands in
the ledger; what is spent before a run resumes is what the ledger says, and a lease that has ended does not begin
again, whatever the trainer's own memory says.

What it leaves to the caller, and to an outside gate: snapshots are signed with the key of the role that issues permits,
which must therefore be on this machine; a callback can be removed by whoever owns the code; and the tokens are
those that the trainer itself counts. A token takes what the formula says for the longest sequence declared, each
position paired with every other (`subject.compute.flop`): no less than any kernel does, recomputation left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.decide.decision import timestamp
from interlock.errors import UsageError, missing_extra
from interlock.evidence.predicates import SnapshotPredicate, statement
from interlock.gate.permit import Held, chain, find, verify
from interlock.subject import manifest
from interlock.subject.compute import counted, flop
from interlock.subject.compute.architecture import UnknownArchitectureError
from interlock.workspace import Workspace, now

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise missing_extra("local", "transformers") from error

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from torch.utils.hooks import RemovableHandle
    from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments

    from interlock.evidence.read import Evidence, Permit

ACTION = "scale"


class PermitCallback(TrainerCallback):
    """Demands a permit for `scale` and stops the run at its bound.

    Args:
        workspace: folder of the workspace whose ledger holds the permit.
        permit: digest of the permit (`interlock permit issue --action scale`).
        weights: folder from which the weights were loaded: the permit's subject, or a snapshot made under the permit.
        tokens_per_step: the most tokens, padding included, that one optimizer step may see.
        sequence: tokens of the longest sequence, padding included; a longer one ends the run. By default all of a step.
        counted_flop: for an architecture that the formula does not know, FLOP of a token by torch's counter
            (`subject.compute.counted.count`), on sequences of that length.
        clock: the time, for tests.

    Attributes:
        ended: why the run was stopped, and what would lift it; None while it runs.
        spent: effective compute so far, in FLOP.
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
        self._clock = clock
        self._flop_per_token = 0
        self._longest = 0
        self._watching: RemovableHandle | None = None
        self._permit: Permit | None = None
        self._start = 0
        self._seen_at_start = 0
        self.ended: str | None = None
        self.spent = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Demand the permit, the weights that it names, and room for one step.

        Raises:
            Held: training must not begin.
            UsageError: the trainer does not count tokens, or would not save a snapshot when told to.
        """
        _check_settings(args)
        model: PreTrainedModel = kwargs["model"]
        evidence = self._evidence()
        permit = verify(evidence, self._digest, action=ACTION, at=self._clock())
        self._check_lease(evidence, permit)
        self._start = self.spent = self._compute_of_weights(evidence, permit, state)
        self._seen_at_start = int(state.num_input_tokens_seen)
        _check_loaded(model, self._weights)
        self._flop_per_token = self._cost_of(model)
        self._watch(model)
        self._permit = permit
        if self.spent + self._next_step() > permit.terms.most_compute:
            raise Held(self._bound(permit))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """A step must not begin after the permit's end, however long the evaluation before it took.

        Raises:
            Held: it would.
        """
        permit = self._begun()
        if self._clock() >= permit.terms.not_after:
            raise Held(_over(permit))

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The last point before the weights change: a step larger than declared must not pass the bound.

        Raises:
            Held: it would, or the trainer counted no tokens in it, or a sequence is longer than declared,
                or none was seen.
        """
        permit, before = self._begun(), self.spent
        self._count(state)
        if self.spent <= before:
            raise Held("the trainer counted no tokens in this step, so its compute is unknown")
        if self.spent > permit.terms.most_compute:
            raise Held(f"a step was larger than the {self._tokens_per_step} tokens declared; {self._bound(permit)}")
        if not self._longest:
            raise Held("no sequence was seen in this step, so that nothing says how long they are")
        if self._longest > self._sequence:
            raise Held(
                f"a sequence has {self._longest} tokens, more than the {self._sequence} declared, so a token takes "
                "more compute than was counted; a gate with a greater `sequence` lifts this"
            )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Stop, with a snapshot, before a step that would pass the bound or begin after the permit's end."""
        permit = self._begun()
        if self.spent + self._next_step() > permit.terms.most_compute:
            self._stop(control, self._bound(permit))
        elif self._clock() >= permit.terms.not_after:
            self._stop(control, _over(permit))
        return control

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Put the snapshot into the ledger, and decide again: a hold ends the run here."""
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        digest = manifest.of(folder).digest
        evidence = self._evidence()
        permit = find(evidence, self._digest)
        if self.ended is None:
            try:
                verify(evidence, self._digest, action=ACTION, at=self._clock())
            except Held as held:
                self.ended = str(held)
                control.should_training_stop = True
        terms = SnapshotPredicate(permit.digest, permit.subject, state.global_step, self.spent, self.ended)
        if any((snapshot.subject, snapshot.terms) == (digest, terms) for snapshot in evidence.snapshots):
            return control  # the trainer saves the end of an epoch again
        made = statement("snapshot", name=folder.name, digest=digest, predicate=terms.to_json())
        signing = self._workspace.signing(evidence, evidence.policy.permits.issued_by)
        self._workspace.append(made, signing)
        return control

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the model as it was."""
        if self._watching is not None:
            self._watching.remove()

    def _begun(self) -> Permit:
        if self._permit is None:
            raise Held("training began without asking for the permit: on_train_begin was not called")
        return self._permit

    def _evidence(self) -> Evidence:
        if self._workspace.can_sign_checkpoints():
            self._workspace.refresh()
        return self._workspace.read()

    def _check_lease(self, evidence: Evidence, permit: Permit) -> None:
        for snapshot in evidence.snapshots:
            if snapshot.terms.permit == permit.digest and snapshot.terms.ended:
                raise Held(f"the permit was used up at step {snapshot.terms.step}: {snapshot.terms.ended}")

    def _compute_of_weights(self, evidence: Evidence, permit: Permit, state: TrainerState) -> int:
        """Effective compute of the weights loaded, by the ledger: the permit's subject, or a snapshot under it."""
        loaded = manifest.of(self._weights).digest
        if loaded == permit.subject:
            return permit.terms.start_compute
        held = {one.digest for one in chain(evidence, permit)}
        snapshots = [s.terms for s in evidence.snapshots if s.subject == loaded and s.terms.permit in held]
        if not snapshots:
            raise Held(
                f"the permit is for subject {permit.subject[:12]}, and the weights loaded are {loaded[:12]}, "
                "neither that nor a snapshot made under the permit"
            )
        if snapshots[-1].step != state.global_step:
            raise Held(
                f"the weights loaded are of step {snapshots[-1].step}, and the trainer is at {state.global_step}"
            )
        return snapshots[-1].compute

    def _count(self, state: TrainerState) -> None:
        seen = int(state.num_input_tokens_seen) - self._seen_at_start
        self.spent = self._start + self._flop_per_token * seen

    def _next_step(self) -> int:
        return self._flop_per_token * self._tokens_per_step

    def _cost_of(self, model: PreTrainedModel) -> int:
        """FLOP of training on one token: by formula, else what the caller counted, which the formula must not deny."""
        try:
            made = counted.of_model(model)
        except UnknownArchitectureError as error:
            if self._counted_flop is None:
                raise Held(
                    f"the compute of a step is unknown: {error}; give counted_flop, a token's FLOP by torch's counter"
                ) from error
            return self._counted_flop
        by_formula = flop.per_token(made, width=self._sequence)
        if self._counted_flop is None:
            return by_formula
        try:
            counted.agree(made, counted.Counted(self._counted_flop * self._sequence, 1, self._sequence))
        except counted.GapError as error:
            raise Held(f"counted_flop is not believed: {error}") from error
        return max(by_formula, self._counted_flop)

    def _watch(self, model: PreTrainedModel) -> None:
        """Keep the length of the longest sequence that the model is trained on."""

        def seen(module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
            given = [*positional, *(named.get(name) for name in ("input_ids", "inputs_embeds"))]
            if module.training:
                tensors = [it for it in given if len(getattr(it, "shape", ())) > 1]
                self._longest = max([self._longest, *(int(it.shape[1]) for it in tensors)])

        self._watching = model.register_forward_pre_hook(seen, with_kwargs=True)

    def _bound(self, permit: Permit) -> str:
        left = permit.terms.most_compute - self.spent
        return (
            f"the permit's bound of {permit.terms.most_compute} FLOP leaves {max(left, 0)}, and the next step takes "
            f"{self._next_step()}; evaluations of the snapshot and a new permit lift this"
        )

    def _stop(self, control: TrainerControl, reason: str) -> None:
        self.ended = reason
        control.should_save = True
        control.should_training_stop = True


def _over(permit: Permit) -> str:
    return f"the permit ended at {timestamp(permit.terms.not_after)}; a new one lifts this: interlock permit issue"


def _check_settings(args: TrainingArguments) -> None:
    if args.include_num_input_tokens_seen != "all":
        raise UsageError("compute is not counted: set include_num_input_tokens_seen='all' in TrainingArguments")
    if args.save_strategy == "best":
        raise UsageError("save_strategy is `best`, which skips the snapshot of a stop; expected no, steps or epoch")


def _check_loaded(model: PreTrainedModel, folder: Path) -> None:
    """The tensors in memory are those of the folder, bit for bit after the cast to the model's type, and no others.

    Raises:
        Held: a tensor of the folder is not in the model, or differs, or the model has one that the folder lacks.
    """
    import torch
    from safetensors import safe_open

    loaded, checked = model.state_dict(), set()
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as stored:
            for name in stored.keys():  # noqa: SIM118  safe_open is no mapping
                if name not in loaded or not torch.equal(
                    loaded[name].cpu(), stored.get_tensor(name).to(loaded[name].dtype)
                ):
                    raise Held(f"the weights in memory are not those of `{folder}`: `{name}` differs")
                checked.add(loaded[name].data_ptr())
    for name, tensor in loaded.items():
        if tensor.data_ptr() not in checked:  # tied weights are stored once, and share their memory
            raise Held(f"the weights in memory are not those of `{folder}`: `{name}` is not in it")
