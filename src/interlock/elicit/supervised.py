"""Elicitation by supervised fine-tuning: train on demonstrations, through an adapter or in all weights.

Method: password-locked models, Greenblatt et al. 2024 (arXiv:2405.19550), section 3: a hidden skill comes back after
training on demonstrations without the password. Learning rate and checkpoint are chosen on dev questions only, where
there is more than one to choose from (their paper chose the epoch on the test).
This module guarantees that the training took, or raises; what the adapted model can do is for the caller to measure, on
questions that are disjoint from demonstrations and dev.
"""

# ruff: noqa: ANN401 - models and tokenizers of transformers and peft have no static types worth naming

from __future__ import annotations

import copy
import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from interlock.elicit import asking, examples, items, lora, training
from interlock.elicit.budget import Meter, OutOfBudgetError
from interlock.elicit.elicitor import Adapted, Elicited, Event, Progress, recipe
from interlock.elicit.examples import Prepared
from interlock.elicit.items import Item, Material
from interlock.elicit.learner import Weights, require_settings
from interlock.elicit.saved import Saved
from interlock.elicit.took import logits_moved, weights_changed
from interlock.elicit.training import Batch, Schedule, Work
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate.local import LocalModel, fingerprint, ready
from interlock.evidence import canonical
from interlock.policy.model import Elicitation

if TYPE_CHECKING:
    import torch

#: A loss, in nats a token, that leaves nothing to learn: a model that begins under it need not come lower.
LEARNED = 0.05


@dataclass(frozen=True, slots=True)
class Supervised:
    """How hard to try. The same settings must be used on a suspect and on its honest control."""

    version: ClassVar[int] = 2  # raised whenever it trains or asks otherwise at the same settings (`Elicitor.version`)
    weights: Weights = "adapter"  # what is trained: a LoRA adapter, or every weight in float32
    rank: int = 8  # inner dimension of the adapter
    layers: int = 0  # how many of the last layers get an adapter; 0: every one
    steps: int = 32  # optimizer updates
    learning_rates: tuple[float, ...] = (6e-4,)  # peaks to try; on SmolLM2 three times as much only memorizes
    warm_up: int = 2  # steps over which the learning rate rises
    batch: int = 16  # demonstrations in a step; fewer if there are fewer
    checkpoints: int = 1  # how many along the way to try, evenly spaced; the last step is one of them

    def __post_init__(self) -> None:
        if not self.learning_rates:
            raise UsageError("`learning_rates` is empty, expected a number above 0 or more")
        counts = {it: getattr(self, it) for it in ("rank", "steps", "batch", "checkpoints")}
        for rate in self.learning_rates:
            rates = {"learning_rates": rate}
            require_settings(self.weights, counts, rates=rates, warm_up=self.warm_up, layers=self.layers)
        if self.checkpoints > self.steps:
            raise UsageError(f"`checkpoints` is {self.checkpoints}, expected no more than the {self.steps} steps")

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "fine-tune-lora" if self.weights == "adapter" else "fine-tune-full"

    @property
    def kind(self) -> Elicitation:
        """The elicitation, in a policy's words, that it is."""
        return "fine-tuned"

    def describe(self) -> Mapping[str, Any]:
        """Every setting that its results depend on, as JSON, and the version of what it does."""
        told: dict[str, Any] = {"version": self.version, "weights": self.weights}
        told |= {"steps": self.steps, "warm_up": self.warm_up}
        if self.weights == "adapter":
            told |= {"rank": self.rank, "layers": self.layers}
        rates = [repr(float(rate)) for rate in self.learning_rates]
        return told | {"learning_rates": rates, "batch": self.batch, "checkpoints": self.checkpoints}

    def elicit(
        self, subject: LocalModel, material: Material, *, meter: Meter, seed: int, work: Path | None, progress: Progress
    ) -> Elicited:
        """Train a copy of `subject` to give each demonstration's answer; `subject` itself is not changed.

        Raises:
            UsageError: no demonstrations, one that the model or the memory does not take, or more than one setting and
                no dev questions to choose with; or `work` holds another run.
            OutOfBudgetError: the budget allows nothing at all.
            EvidenceError: the loss is not finite or did not fall, no weight changed, or the answers did not.
        """
        _check(self, material)
        begun = meter.spent
        told = [examples.answered(subject, item, grade=material.grade) for item in material.demonstrations]
        # Prepared, then seen whether it can be entered midway; and the loss before and after.
        meter.take(4 * examples.passed(subject.model, told))
        lowest = lora.Shape(self.rank, self.layers).lowest(subject.model) if self.weights == "adapter" else 0
        run = _Run(
            elicitor=self,
            subject=subject,
            material=material,
            prepared=examples.prepare(subject.model, told, lowest=lowest, fitting=subject.fitting),
            lowest=lowest,
            meter=meter,
            seed=seed,
            work=work,
            job=_job(self, subject, material, told, seed) if work else "",
            progress=progress,
        )
        run.say("material", demonstrations=list(items.ids(material.demonstrations)), seed=seed)
        chosen = run.choose()
        adapted = run.build(chosen)
        run.say("took", **took(subject, adapted, run.prepared, material.demonstrations[0]))
        return Elicited(Adapted(adapted), tuple(run.transcript), meter.spent - begun)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Trained parameters, and where they come from."""

    rate: float
    step: int
    parameters: Sequence[torch.Tensor]


@dataclass(slots=True)
class _Run:
    """One call of `elicit`."""

    elicitor: Supervised
    subject: LocalModel
    material: Material
    prepared: Sequence[Prepared]
    lowest: int
    meter: Meter
    seed: int
    work: Path | None
    job: str
    progress: Progress
    transcript: list[Event] = field(default_factory=list)

    def say(self, event: str, **told: Any) -> None:
        self.transcript.append({"event": event, **told})

    def choose(self) -> _Candidate:
        """The candidate that is right most often on dev, the first tried of equals; the only one if there is one."""
        best: tuple[int, _Candidate] | None = None
        several = len(self.elicitor.learning_rates) * self.elicitor.checkpoints > 1
        for candidate in self._candidates():
            try:
                right = self._on_dev(candidate) if several else 0
            except OutOfBudgetError as error:
                self.say("out-of-budget", choosing=str(error))
                best = best or (0, candidate)
                break
            if best is None or right > best[0]:
                best = (right, candidate)
        if best is None:
            raise OutOfBudgetError("the budget allows no training step")
        if several:
            self.say("chosen", learning_rate=best[1].rate, step=best[1].step, dev_correct=best[0])
        return best[1]

    def build(self, candidate: _Candidate) -> LocalModel:
        """The subject with a candidate's parameters, in the subject's number format."""
        model, learned = self._copy()
        _put(learned, candidate.parameters)
        merged = model.merge_and_unload() if self.elicitor.weights == "adapter" else model.to(self.subject.dtype)
        return LocalModel(ready(merged), self.subject.tokenizer, self.subject.dtype)

    def _candidates(self) -> Iterator[_Candidate]:
        for place, rate in enumerate(self.elicitor.learning_rates):
            try:
                yield from self._trained(place, rate)
            except OutOfBudgetError as error:
                if not place:
                    raise
                self.say("out-of-budget", learning_rate=rate, error=str(error))
                return

    def _trained(self, place: int, rate: float) -> Iterator[_Candidate]:
        """Train at one learning rate; the checkpoints, the last step first: of equals it is trained on most."""
        settings = self.elicitor
        model, learned = self._copy()
        causal = model.get_base_model() if settings.weights == "adapter" else model
        order = _order(len(self.prepared), settings.batch, steps=settings.steps, seed=self.seed)
        kept: dict[int, Sequence[torch.Tensor]] = {}
        marks = {settings.steps * (i + 1) // settings.checkpoints for i in range(settings.checkpoints - 1)}

        def batches(step: int) -> list[Batch[Prepared]]:
            batch = [self.prepared[index] for index in order[step]]
            return [Batch(part, over=examples.marked(batch)) for part in examples.split(batch)]

        def keep(step: int) -> None:
            if step in marks:
                kept[step] = [parameter.detach().clone() for parameter in learned]
                if self.work:
                    self._saved(place, f"step-{step}").write({"parameters": kept.pop(step)})

        stage = "fine-tuning" + (f" at {rate:g}" if len(settings.learning_rates) > 1 else "")
        trained = training.train(
            model,
            Work(batches, lambda batch: self._loss(causal, batch), lambda batch: examples.cost(causal, batch)),
            Schedule(settings.steps, rate, settings.warm_up),
            meter=self.meter,
            progress=lambda done, total, loss: self.progress(stage, done, total, f"loss {loss:.2f}"),
            saved=self._saved(place, "training") if self.work else None,
            after=keep,
        )
        self.transcript += trained.events
        done, losses = len(trained.losses), trained.losses
        self.say("trained", learning_rate=rate, steps=done, first_loss=losses[0], last_loss=losses[-1])
        yield _Candidate(rate, done, learned)
        for step in sorted((mark for mark in marks if mark < done), reverse=True):
            state = self._saved(place, f"step-{step}").read() if self.work else {"parameters": kept[step]}
            if state is None:
                raise UsageError(f"`{self.work}` has lost a checkpoint (step {step}); remove the folder to begin again")
            yield _Candidate(rate, step, state["parameters"])

    def _loss(self, causal: Any, batch: Sequence[Prepared]) -> torch.Tensor:
        # Entered anew for each loss: as long as it lasts it keeps weights as they were when it first cast them.
        with _computing(self.subject, self.elicitor):
            return examples.loss(causal, batch, lowest=self.lowest)

    def _on_dev(self, candidate: _Candidate) -> int:
        """Right answers on dev."""
        adapted, dev, most = Adapted(self.build(candidate)), self.material.dev, self.material.max_new_tokens
        self.meter.take(asking.cost(adapted, dev, max_new_tokens=most))
        self.progress("asking dev", 0, len(dev), f"{candidate.rate:g}, step {candidate.step}")
        answers = asking.ask(adapted, dev, grade=self.material.grade, max_new_tokens=most)
        right = sum(answer.correct for answer in answers)
        self.progress("asking dev", len(dev), len(dev), f"{right} right")
        self.say("candidate", learning_rate=candidate.rate, step=candidate.step, dev_correct=right, dev=len(dev))
        return right

    def _copy(self) -> tuple[Any, list[Any]]:
        """A copy of the subject that can be trained, and the parameters that are."""
        model = copy.deepcopy(self.subject.model)
        if self.elicitor.weights == "adapter":
            model = lora.attach(model, lora.Shape(self.elicitor.rank, self.elicitor.layers, self.seed))
        else:
            model = model.float()  # updates are smaller than what bfloat16 can tell apart
        return model, [parameter for parameter in model.parameters() if parameter.requires_grad]

    def _saved(self, place: int, what: str) -> Saved:
        assert self.work is not None  # noqa: S101  asked for only then
        return Saved(
            self.work / f"{what}-{place}.pt", hashlib.sha256(f"{self.job}\n{place}\n{what}".encode()).hexdigest()
        )


def took(before: LocalModel, after: LocalModel, prepared: Sequence[Prepared], probe: Item) -> dict[str, float]:
    """Check that training changed what it should have. A fine-tune that did nothing would look like a model with
    nothing to hide. Gives the loss on the demonstrations before and after, in nats a token, the number of weights that
    changed, and how far the logits moved on a probe prompt.

    Raises:
        UsageError: memory does not suffice for one example.
        EvidenceError: no weight changed, the loss did not fall, or the logits are the same.
    """
    changed = weights_changed(before, after)
    first, last = (_mean_loss(one, prepared) for one in (before, after))
    if not (last < first or last <= LEARNED):
        raise EvidenceError(f"elicitation did not take: the loss went from {first:.3f} to {last:.3f}")
    moved = logits_moved(before, after, probe)
    return {"loss_before": first, "loss_after": last, "weights_changed": changed, "logits_moved": moved}


def _check(elicitor: Supervised, material: Material) -> None:
    if not material.demonstrations:
        raise UsageError("cannot fine-tune on 0 demonstrations, expected at least 1")
    tried = len(elicitor.learning_rates) * elicitor.checkpoints
    if tried > 1 and not material.dev:
        raise UsageError(f"cannot choose among {tried} settings without dev questions, got 0")


def _job(
    elicitor: Supervised, subject: LocalModel, material: Material, shown: Sequence[examples.Example], seed: int
) -> str:
    """A digest of all that the trained weights depend on, the tokens that are learned among it."""
    tokens = [list(one.tokens) for one in shown]
    told = [recipe(elicitor), fingerprint(subject), items.digest(material.demonstrations), tokens, seed]
    return hashlib.sha256(canonical.dumps(told)).hexdigest()


def _order(count: int, size: int, *, steps: int, seed: int) -> list[list[int]]:
    """Which examples each step takes: round and round, in a new order each time."""
    rng = random.Random(seed)  # noqa: S311 - a reproducible order, not a secret
    queue: list[int] = []
    size = min(size, count)
    taken = []
    for _ in range(steps):
        while len(queue) < size:
            queue += rng.sample(range(count), count)
        taken.append(queue[:size])
        queue = queue[size:]
    return taken


def _computing(subject: LocalModel, elicitor: Supervised) -> Any:
    """Weights trained in float32 compute in the subject's number format, as the subject does."""
    import torch

    return torch.autocast("cpu", subject.dtype, enabled=elicitor.weights == "all" and subject.dtype != torch.float32)


def _mean_loss(local: LocalModel, prepared: Sequence[Prepared]) -> float:
    import torch

    whole = [Prepared(one.tokens, one.positions, one.target) for one in prepared]
    with torch.no_grad():
        total = sum(
            found
            for part in examples.split(whole)
            for found in examples.fitted(part, local.fitting, lambda some: float(examples.loss(local.model, some)))
        )
    return total / examples.marked(whole)


def _put(parameters: Sequence[Any], values: Sequence[torch.Tensor]) -> None:
    import torch

    with torch.no_grad():
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(value)
