"""Elicitation by reinforcement learning with group-relative advantages (GRPO) on any causal model.

Method: DeepSeekMath, Shao et al. 2024, arXiv:2402.03300, section 4.1: several answers to each question are drawn, the
advantage of an answer is its reward less the group's mean, over the group's standard deviation, and no critic is
learned; the loss is the policy gradient, a mean over the tokens of each answer, and a penalty for leaving the start
(their equation 4). As in their section 4.2 there is one update after each drawing: the probability ratio is then 1, and
clipping it does nothing, so that there is no clip here. The loop is `training.train`.
It needs a grader and questions, no demonstration: answers of the material's demonstrations are used to grade only.
It guarantees that the training took, or raises: where all answers to each question always got one and the same reward
there was nothing to learn from, whatever the score is then. What it leaves to the caller: to read the transcript's
`exploration` event, since rewards that hardly ever differ teach hardly anything.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from interlock.elicit import budget, monitor, rollouts
from interlock.elicit.budget import Meter
from interlock.elicit.elicitor import Adapted, Elicited, Event, NothingLearnedError, Progress, job
from interlock.elicit.items import Item, Material
from interlock.elicit.learner import Learner, Weights, learner, require_settings, took
from interlock.elicit.rollouts import Draws, Group
from interlock.elicit.saved import Saved
from interlock.elicit.training import Batch, Schedule, Work, train
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate.local import LocalModel, Sampled, out_of_memory
from interlock.policy.model import Elicitation

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Weighted:
    """An answer, its advantage, and the log-probabilities of its tokens at the start; None: there is no penalty."""

    answer: Sampled
    advantage: float
    start: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class Grpo:
    """How hard to try. `control` are questions of another task, answered to compare with and not trained on."""

    version: ClassVar[int] = 2  # raised whenever it trains or asks otherwise at the same settings (`Elicitor.version`)
    steps: int = 60
    questions: int = 8  # a step
    group: int = 8  # answers to each
    temperature: float = 1.0
    learning_rate: float = 1e-4
    warm_up: int = 2  # steps
    penalty: float = 0.04  # for the divergence from the start; theirs, section 4.2
    weights: Weights = "adapter"
    rank: int = 8  # of the adapter
    layers: int = 0  # how many of the last layers get it; 0: every one
    control: tuple[Item, ...] = ()
    rule: monitor.Rule = field(default_factory=monitor.Rule)

    def __post_init__(self) -> None:
        counts = {it: getattr(self, it) for it in ("steps", "questions", "rank")}
        rates = {"temperature": self.temperature, "learning_rate": self.learning_rate}
        require_settings(self.weights, counts, rates=rates, warm_up=self.warm_up, layers=self.layers)
        if self.group < 2:
            raise UsageError(f"`group` is {self.group}, expected 2 or more: answers to a question are compared")
        if not 0 <= self.penalty < math.inf:
            raise UsageError(f"`penalty` is {self.penalty:g}, expected 0 or a number above it")

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "grpo"

    @property
    def kind(self) -> Elicitation:
        """The elicitation, in a policy's words, that it is."""
        return "rl-fine-tuned"

    def describe(self) -> Mapping[str, Any]:
        """Every setting that its results depend on, as JSON, and the version of what it does."""
        told = asdict(self) | {"version": self.version}
        asked = [[item.id, list(item.messages), item.target] for item in self.control]
        return told | {"control": hashlib.sha256(repr(asked).encode()).hexdigest() if asked else ""}

    def elicit(
        self, subject: LocalModel, material: Material, *, meter: Meter, seed: int, work: Path | None, progress: Progress
    ) -> Elicited:
        """Train a copy of `subject` by its rewards; see `elicitor.Elicitor`.

        Raises:
            UsageError: there are no questions, or `work` holds another run.
            OutOfBudgetError: the budget does not allow a single step.
            NothingLearnedError: in no group of answers did rewards differ.
            EvidenceError: numbers that are not finite, no weight changed, or logits are the same as before.
        """
        if not material.demonstrations:
            raise UsageError("cannot learn from 0 questions, expected at least 1")
        before = meter.spent
        copy = learner(subject, self.weights, rank=self.rank, layers=self.layers, seed=seed)
        run = _Run(self, copy, material, meter, seed)
        digest = job(self, subject, material, seed=seed)
        trained = train(
            copy.local.model,
            Work(run.batches, run.loss, run.cost, run.memory),
            Schedule(self.steps, self.learning_rate, self.warm_up),
            meter=meter,
            progress=lambda done, total, _: progress("reinforcement learning", done, total, run.note()),
            saved=None if work is None else Saved(work / f"{self.name}.pt", digest),
        )
        seen, finished = run.observed(), copy.finished()
        told = [*run.events(), *trained.events]
        verdict = monitor.verdict(seen, total=self.steps, rule=self.rule)
        if monitor.silent(seen):
            left = Elicited(Adapted(finished), (*told, verdict), meter.spent - before)
            raise NothingLearnedError(monitor.nothing(seen), left)
        told += [took(subject, finished, material.demonstrations[0]), verdict]
        return Elicited(Adapted(finished), tuple(told), meter.spent - before)


@dataclass(slots=True)
class _Run:
    """One run's questions, copy and memory. `memory` has what was observed, by step."""

    settings: Grpo
    copy: Learner
    material: Material
    meter: Meter
    seed: int
    memory: dict[str, Any] = field(default_factory=dict)

    def batches(self, step: int) -> list[Batch[Weighted]]:
        """Draw and grade the groups of a step, and weigh each answer by its advantage."""
        settings = self.settings
        asked = rollouts.turn(self.material.demonstrations, step=step, size=settings.questions, seed=self.seed)
        groups, control = self._groups(asked, step)
        seen = monitor.Observed(step, monitor.seen(groups), monitor.seen(control) if control else None)
        answers = [answer for group in groups for answer in group.answers]
        weights = [advantage for group in groups for advantage in advantages(group.rewards)]
        self.memory[str(step)] = seen.to_json()
        if not settings.penalty and not any(weights):
            return []
        start = self._start(answers)
        rows = [Weighted(*row) for row in zip(answers, weights, start, strict=True)]
        return [Batch(part, over=len(rows)) for part in _parts(rows)]

    def loss(self, rows: Sequence[Weighted]) -> torch.Tensor:
        """The summed loss of answers: each a mean over its tokens."""
        import torch

        answers = [row.answer for row in rows]
        now = rollouts.log_probabilities(self.copy.local.model, answers, temperature=self.settings.temperature)
        return torch.stack([self._loss(row, chances) for row, chances in zip(rows, now, strict=True)]).sum()

    def cost(self, rows: Sequence[Weighted]) -> int:
        """FLOP of a forward and a backward pass."""
        wide = rollouts.width([row.answer for row in rows])
        return budget.training(self.copy.local.model, rows=len(rows), width=wide)

    def observed(self) -> list[monitor.Observed]:
        """What was seen, step by step."""
        return [monitor.from_json(self.memory[key]) for key in sorted(self.memory, key=int)]

    def events(self) -> list[Event]:
        """The same for a transcript."""
        return [{"event": "step", **self.memory[key]} for key in sorted(self.memory, key=int)]

    def note(self) -> str:
        """The latest reward, for a progress bar."""
        return f"reward {self.memory[max(self.memory, key=int)]['target']['reward']:.2f}"

    def _groups(self, asked: Sequence[Item], step: int) -> tuple[list[Group], list[Group]]:
        """The step's groups, and those of control questions: half as many, at least one."""
        settings, model = self.settings, self.copy.local
        draws = Draws(settings.group, settings.temperature, self.material.max_new_tokens)
        size = max(1, settings.questions // 2) if settings.control else 0
        others = rollouts.turn(settings.control, step=step, size=size, seed=self.seed)
        drawing = sum(rollouts.cost_of_drawing(model, items, draws) for items in (asked, others) if items)
        rows, wide = len(asked) * settings.group, rollouts.most_width(model, asked, draws)
        self.meter.need(drawing + 2 * budget.training(model.model, rows=rows, width=wide))
        self.meter.take(drawing)
        with self.copy.answering() as answering:
            found, control = (
                rollouts.draw(answering, items, draws, grade=self.material.grade, stream=f"{self.seed}/{what}/{step}")
                for what, items in (("target", asked), ("control", others))
            )
        return found, control

    def _start(self, answers: Sequence[Sampled]) -> list[torch.Tensor | None]:
        """What the model before training gave each answer, computed in the same parts as the loss."""
        import torch

        if not self.settings.penalty:
            return [None] * len(answers)
        found: list[torch.Tensor | None] = []
        with torch.no_grad(), self.copy.beginning() as model:
            for part in _parts(answers):
                wide = rollouts.width(part)
                self.meter.take(budget.forward(self.copy.local.model, rows=len(part), width=wide))
                found += self._begun(model, part)
        return found

    def _begun(self, model: Any, part: Sequence[Sampled]) -> list[torch.Tensor]:  # noqa: ANN401 - of transformers
        """The same of one part; in halves if memory runs out."""
        try:
            return rollouts.log_probabilities(model, part, temperature=self.settings.temperature)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if len(part) == 1:
                raise EvidenceError("out of memory with one answer at once") from error
        half = len(part) // 2
        return [*self._begun(model, part[:half]), *self._begun(model, part[half:])]

    def _loss(self, row: Weighted, now: torch.Tensor) -> torch.Tensor:
        gained = row.advantage * (now - now.detach()).exp()
        if row.start is None:
            return -gained.mean()
        apart = row.start - now
        return (self.settings.penalty * (apart.exp() - apart - 1) - gained).mean()


def advantages(rewards: Sequence[float]) -> list[float]:
    """Rewards of one group in standard deviations from their mean; exactly 0 where all are equal."""
    deviation = math.sqrt(monitor.variance(rewards))
    mean = sum(rewards) / len(rewards)
    return [(reward - mean) / deviation if deviation else 0.0 for reward in rewards]


def _parts(rows: Sequence[Any]) -> list[Sequence[Any]]:
    return [rows[start : start + rollouts.ROWS] for start in range(0, len(rows), rollouts.ROWS)]
