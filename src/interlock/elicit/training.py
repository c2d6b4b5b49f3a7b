"""The one training loop of elicitation and of model organisms: linear, deterministic, resumable, bounded in memory.

Guarantees: what step k trains on is a function of k, so that a run that was killed goes on to the same bits; nothing is
spent beyond the meter's cap; an update is made from whole steps only. If memory does not suffice, the step is run again
in halves, and the transcript says so. Same machine and number of threads: same bits.
What it leaves to the caller: the model (whose parameters with `requires_grad` are trained), the loss, and whether it
took.
"""

# ruff: noqa: ANN401 - models of transformers and peft have no static types worth naming

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from interlock.elicit.budget import Meter, OutOfBudgetError
from interlock.elicit.saved import Saved
from interlock.errors import EvidenceError
from interlock.evaluate.local import out_of_memory

if TYPE_CHECKING:
    import torch

E = TypeVar("E")
SAVE_EVERY = 20.0  # seconds between saved states


@dataclass(frozen=True, slots=True)
class Schedule:
    """How many updates, and how large: the rate rises over `warm_up` steps, then falls linearly to zero at the end."""

    steps: int
    learning_rate: float
    warm_up: int = 0
    weight_decay: float = 0.0

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rising = (step + 1) / max(self.warm_up, 1)
        falling = (self.steps - step) / max(self.steps - self.warm_up, 1)
        return self.learning_rate * min(rising, falling, 1.0)


@dataclass(frozen=True, slots=True)
class Batch(Generic[E]):
    """Examples that can go through the model at once. Their losses are summed and divided by `over`."""

    examples: Sequence[E]
    over: float


@dataclass(frozen=True, slots=True)
class Work(Generic[E]):
    """What is to be learned.

    `batches(step)` is what a step trains on; the losses of its batches are added up, and without a batch nothing is
    updated. It may use the model as it then is, and take what that costs from the meter, if the meter affords the
    whole step. `loss` is the sum over
    examples, a scalar tensor. `cost` is the FLOP of a forward and a backward pass over a batch. `memory` is what
    `batches` keeps of its steps (tensors, numbers, texts, lists and dicts only): it is saved and restored with the
    parameters, and a step that is run again must leave it the same.
    """

    batches: Callable[[int], Sequence[Batch[E]]]
    loss: Callable[[Sequence[E]], torch.Tensor]
    cost: Callable[[Sequence[E]], int]
    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Trained:
    """How training went: the loss before each update, FLOP spent, and what else happened."""

    losses: list[float] = field(default_factory=list)
    flop: int = 0
    events: list[Mapping[str, Any]] = field(default_factory=list)


def train(
    model: Any,
    work: Work[E],
    schedule: Schedule,
    *,
    meter: Meter,
    progress: Callable[[int, int, float], None],
    saved: Saved | None = None,
    after: Callable[[int], None] | None = None,
) -> Trained:
    """Train `model` in place; `progress(step, total, loss)` is called after each update.

    `after(steps)` is called with the number of steps done before the state with them is saved: what it keeps is there
    whenever a run is taken up after them. Taken up before them, it is called again.

    Stops before a step that the meter does not afford, and says so in the events. With `saved`, goes on from the state
    that lies there, and leaves its own there.

    Raises:
        OutOfBudgetError: not even the first step is afforded.
        EvidenceError: a loss is not a finite number, or memory does not suffice for one example.
        UsageError: `saved` is of another job, or damaged.
    """
    import torch

    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        learned, lr=schedule.learning_rate, betas=(0.9, 0.95), weight_decay=schedule.weight_decay
    )
    trained, most = Trained(), _Most()
    if saved is not None:
        _restore(saved, learned, optimizer, trained, most, memory=work.memory)
        meter.take(trained.flop)
    last_saved = time.monotonic()
    for step in range(len(trained.losses), schedule.steps):
        before = meter.spent
        try:
            batches = work.batches(step)
            meter.take(sum(work.cost(batch.examples) for batch in batches))
        except OutOfBudgetError:
            if not trained.losses:
                raise
            trained.events.append({"event": "out-of-budget", "step": step, "of": schedule.steps})
            break
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        loss = _gradients(work, batches, learned, trained, most)
        if not math.isfinite(loss):
            raise EvidenceError(f"training loss at step {step + 1} is `{loss}`, expected a finite number")
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        trained.losses.append(loss)
        trained.flop += meter.spent - before
        if after is not None:
            after(step + 1)
        progress(step + 1, schedule.steps, loss)
        if saved is not None and time.monotonic() - last_saved > SAVE_EVERY:
            _save(saved, learned, optimizer, trained, most, memory=work.memory)
            last_saved = time.monotonic()
    if saved is not None:
        _save(saved, learned, optimizer, trained, most, memory=work.memory)
    return trained


@dataclass(slots=True)
class _Most:
    """How many examples go through the model at once, at most. None: all of a batch."""

    examples: int | None = None


def _gradients(
    work: Work[E],
    batches: Sequence[Batch[E]],
    learned: Sequence[Any],
    trained: Trained,
    most: _Most,
) -> float:
    """Add up the gradients of a step; if memory runs out, again from the start with half as many at once."""
    step = len(trained.losses)
    while True:
        for parameter in learned:
            parameter.grad = None
        try:
            return _once(work, batches, most)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        tried = min(max(len(batch.examples) for batch in batches), most.examples or 2**31)
        if tried == 1:
            raise EvidenceError(f"out of memory at step {step + 1}, with one example at once")
        most.examples = tried // 2
        trained.events.append({"event": "batch-halved", "step": step, "examples_at_once": most.examples})


def _once(work: Work[E], batches: Sequence[Batch[E]], most: _Most) -> float:
    total = 0.0
    for batch in batches:
        size = most.examples or len(batch.examples)
        for start in range(0, len(batch.examples), size):
            loss = work.loss(batch.examples[start : start + size]) / batch.over
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
    return total


def _save(
    saved: Saved, learned: list[Any], optimizer: Any, trained: Trained, most: _Most, *, memory: Mapping[str, Any]
) -> None:
    import torch

    saved.write(
        {
            "parameters": [parameter.detach() for parameter in learned],
            "optimizer": optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "losses": trained.losses,
            "flop": trained.flop,
            "events": [dict(event) for event in trained.events],
            "most": most.examples,
            "memory": dict(memory),
        }
    )


def _restore(
    saved: Saved, learned: list[Any], optimizer: Any, trained: Trained, most: _Most, *, memory: dict[str, Any]
) -> None:
    import torch

    state = saved.read()
    if state is None:
        return
    with torch.no_grad():
        for parameter, kept in zip(learned, state["parameters"], strict=True):
            parameter.copy_(kept)
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    trained.losses, trained.flop = state["losses"], state["flop"]
    trained.events = [event for event in state["events"] if event["event"] != "out-of-budget"]  # it may be larger now
    most.examples = state["most"]
    memory.clear()
    memory.update(state["memory"])
