"""Requests that come one at a time, many at once, and are answered in batches by one model.

Guarantees: every request gets its own answer, or the error of its batch; one that is cancelled before its turn is
answered no more; of all queues of a model one works at a time (`turn`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

Q = TypeVar("Q")
A = TypeVar("A")

Progress = Callable[[int], None]

_GATHER_SECONDS = 0.01  # a batch that is not full goes once nothing joined it for so long


@dataclass(slots=True, eq=False)
class _Request(Generic[Q, A]):
    asked: Q
    outcome: A | Exception | None = None
    failed_at: TracebackType | None = None


class Queue(Generic[Q, A]):
    """A queue in front of a model.

    `first` chooses the places of those that are answered next, at least one, and says whether that batch is full; while
    it is not, it waits until nothing joins the queue any more. `answer` gives their answers, in a worker thread, in
    their order. `progress` is told the number of answers so far, after each batch.
    """

    def __init__(
        self,
        turn: anyio.Lock,
        *,
        first: Callable[[Sequence[Q]], tuple[Sequence[int], bool]],
        answer: Callable[[Sequence[Q]], Sequence[A]],
        progress: Progress | None = None,
    ) -> None:
        self._turn = turn
        self._first = first
        self._answer = answer
        self._progress = progress
        self._waiting: list[_Request[Q, A]] = []
        self._answered = 0

    async def ask(self, asked: Q) -> A:
        """The answer to one request; raises what `answer` raised for its batch."""
        request: _Request[Q, A] = _Request(asked)
        self._waiting.append(request)
        try:
            async with self._turn:  # first come, first served
                while request.outcome is None:
                    await self._answer_batch()
        finally:
            if request in self._waiting:  # cancelled before its turn
                self._waiting.remove(request)
        if isinstance(request.outcome, Exception):
            raise request.outcome.with_traceback(request.failed_at)  # else it grew with each request that raises it
        return request.outcome

    async def _answer_batch(self) -> None:
        batch, full, gathered = *self._next(), 0
        while not full and gathered < len(self._waiting):
            gathered = len(self._waiting)
            await anyio.sleep(_GATHER_SECONDS)
            batch, full = self._next()
        # Not abandoned when cancelled: a thread that outlives its run would share the model with what runs next.
        await anyio.to_thread.run_sync(self._settle, batch)
        self._waiting = [request for request in self._waiting if request.outcome is None]
        self._answered += sum(not isinstance(request.outcome, Exception) for request in batch)
        if self._progress:
            self._progress(self._answered)

    def _next(self) -> tuple[list[_Request[Q, A]], bool]:
        places, full = self._first([request.asked for request in self._waiting])
        return [self._waiting[place] for place in places], full

    def _settle(self, batch: list[_Request[Q, A]]) -> None:
        outcomes: Sequence[A | Exception]
        try:
            outcomes = self._answer([request.asked for request in batch])
        except Exception as error:  # noqa: BLE001 - handed to every request of the batch, and raised there
            outcomes = [error] * len(batch)
        for request, outcome in zip(batch, outcomes, strict=True):
            request.outcome = outcome
            request.failed_at = outcome.__traceback__ if isinstance(outcome, Exception) else None
