"""Elicitation by expert iteration: draw answers, keep those that are right, train on them, and draw again.

Method: Anthony et al. 2017, arXiv:1705.08439, without the tree search, as it is used to open password-locked models by
Greenblatt et al. 2024, arXiv:2405.19550, who drew 640 answers in each of 50 rounds and trained on the best 64; here the
numbers are settings. It needs a grader and questions, no demonstration: answers of the material's demonstrations are
used to grade only. What it learns from is what the model lets be drawn: see `monitor`.
It guarantees that the training took, or raises: without one right answer in any round there was nothing to train on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from interlock.elicit import budget, monitor, rollouts
from interlock.elicit.budget import Meter
from interlock.elicit.elicitor import Adapted, Elicited, Event, NothingLearnedError, Progress, job
from interlock.elicit.items import Material
from interlock.elicit.learner import Learner, Weights, learner, require_settings, took
from interlock.elicit.rollouts import Draws, Group
from interlock.elicit.saved import Saved
from interlock.elicit.training import Batch, Schedule, Work, train
from interlock.errors import UsageError
from interlock.evaluate.local import LocalModel, Sampled
from interlock.policy.model import Elicitation

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class ExpertIteration:
    """How hard to try. A round draws `attempts` answers to each of `questions` questions, then makes `updates` updates.

    Of each question's right answers the first `kept` that differ are trained on: drawn as the model draws, so that what
    it finds likely is not made yet likelier by choosing it.
    """

    version: ClassVar[int] = 2  # raised whenever it trains or asks otherwise at the same settings (`Elicitor.version`)
    rounds: int = 6
    questions: int = 32  # a round; fewer if there are fewer
    attempts: int = 16  # answers to each
    kept: int = 1  # right answers to one question
    updates: int = 8  # a round
    batch: int = 16  # answers in an update; fewer if there are fewer
    temperature: float = 1.0
    learning_rate: float = 3e-4
    warm_up: int = 2  # updates
    weights: Weights = "adapter"
    rank: int = 8  # of the adapter
    layers: int = 0  # how many of the last layers get it; 0: every one
    rule: monitor.Rule = field(default_factory=lambda: monitor.Rule(steps=3))

    def __post_init__(self) -> None:
        of = ("rounds", "questions", "attempts", "kept", "updates", "batch", "rank")
        rates = {"temperature": self.temperature, "learning_rate": self.learning_rate}
        counts = {it: getattr(self, it) for it in of}
        require_settings(self.weights, counts, rates=rates, warm_up=self.warm_up, layers=self.layers)

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "expert-iteration"

    @property
    def kind(self) -> Elicitation:
        """The elicitation that it is: what it learns from is its own reward, so that it takes the same for granted."""
        return "rl-fine-tuned"

    def describe(self) -> Mapping[str, Any]:
        """Every setting that its results depend on, as JSON, and the version of what it does."""
        return asdict(self) | {"version": self.version}

    def elicit(
        self, subject: LocalModel, material: Material, *, meter: Meter, seed: int, work: Path | None, progress: Progress
    ) -> Elicited:
        """Train a copy of `subject` on its own right answers; see `elicitor.Elicitor`.

        Raises:
            UsageError: there are no questions, or `work` holds another run.
            OutOfBudgetError: the budget does not allow a single step.
            NothingLearnedError: no answer in any round was right.
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
            Schedule(self.rounds * self.updates, self.learning_rate, self.warm_up),
            meter=meter,
            progress=lambda done, total, loss: progress("expert iteration", done, total, f"loss {loss:.2f}"),
            saved=None if work is None else Saved(work / f"{self.name}.pt", digest),
        )
        seen, finished = run.observed(), copy.finished()
        told = [*run.events(), *trained.events]
        verdict = monitor.verdict(seen, total=self.rounds, rule=self.rule)
        if not any(event["kept"] for event in run.events()):
            left = Elicited(Adapted(finished), (*told, verdict), meter.spent - before)
            raise NothingLearnedError(
                f"elicitation did not take: in {len(seen)} rounds no answer was right, so that there was nothing to "
                "train on",
                left,
            )
        told += [took(subject, finished, material.demonstrations[0]), verdict]
        return Elicited(Adapted(finished), tuple(told), meter.spent - before)


@dataclass(slots=True)
class _Run:
    """One run's questions, copy and memory. `memory` has what each round saw, and the right answers of the last one."""

    settings: ExpertIteration
    copy: Learner
    material: Material
    meter: Meter
    seed: int
    memory: dict[str, Any] = field(default_factory=lambda: {"rounds": {}, "right": []})

    def batches(self, step: int) -> list[Batch[Sampled]]:
        """Some of the round's right answers; the first step of a round draws them."""
        if step % self.settings.updates == 0:
            self._draw(step // self.settings.updates)
        right = [_answer(told) for told in self.memory["right"]]
        size = min(self.settings.batch, len(right))
        places = [(step * size + i) % len(right) for i in range(size)]
        taken = [right[place] for place in places]
        parts = [taken[start : start + rollouts.ROWS] for start in range(0, size, rollouts.ROWS)]
        return [Batch(part, over=size) for part in parts]

    def loss(self, answers: Sequence[Sampled]) -> torch.Tensor:
        """The summed cross-entropy of answers: each a mean over its tokens."""
        import torch

        chances = rollouts.log_probabilities(self.copy.local.model, answers, temperature=1.0)
        return torch.stack([-each.mean() for each in chances]).sum()

    def cost(self, answers: Sequence[Sampled]) -> int:
        """FLOP of a forward and a backward pass."""
        return budget.training(self.copy.local.model, rows=len(answers), width=rollouts.width(answers))

    def observed(self) -> list[monitor.Observed]:
        """What was seen, round by round."""
        return [monitor.from_json(told) for told in self._rounds()]

    def events(self) -> list[Event]:
        """The same for a transcript."""
        return [{"event": "round", **told} for told in self._rounds()]

    def _rounds(self) -> list[Mapping[str, Any]]:
        rounds = self.memory["rounds"]
        return [rounds[key] for key in sorted(rounds, key=int)]

    def _draw(self, number: int) -> None:
        settings, model = self.settings, self.copy.local
        size = min(settings.questions, len(self.material.demonstrations))
        asked = rollouts.turn(self.material.demonstrations, step=number, size=size, seed=self.seed)
        draws = Draws(settings.attempts, settings.temperature, self.material.max_new_tokens)
        drawing = rollouts.cost_of_drawing(model, asked, draws)
        wide = rollouts.most_width(model, asked, draws)
        self.meter.need(drawing + budget.training(model.model, rows=settings.batch, width=wide))
        self.meter.take(drawing)
        stream = f"{self.seed}/target/{number}"
        with self.copy.answering() as answering:
            groups = rollouts.draw(answering, asked, draws, grade=self.material.grade, stream=stream)
        right = [answer for group in groups for answer in _right(group, settings.kept)]
        self.memory["right"] = [_told(answer) for answer in right]
        seen = monitor.Observed(number, monitor.seen(groups)).to_json()
        self.memory["rounds"][str(number)] = seen | {"drawn": len(asked) * settings.attempts, "kept": len(right)}


def _right(group: Group, most: int) -> list[Sampled]:
    """The first right answers of a group that differ."""
    right: dict[tuple[int, ...], Sampled] = {}
    for answer, reward in zip(group.answers, group.rewards, strict=True):
        if reward == monitor.BEST:
            right.setdefault(answer.tokens, answer)
    return list(right.values())[:most]


def _told(answer: Sampled) -> list[Any]:
    return [answer.text, list(answer.prompt), list(answer.tokens), list(answer.log_probabilities)]


def _answer(told: Sequence[Any]) -> Sampled:
    text, prompt, tokens, chances = told
    return Sampled(text, tuple(prompt), tuple(tokens), tuple(chances))
