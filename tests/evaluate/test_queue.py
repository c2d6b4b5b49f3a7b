"""Requests that wait for one model: a full batch goes at once, another waits for what may still join it."""

from __future__ import annotations

import traceback

import anyio
import pytest

from interlock.evaluate import batches
from interlock.evaluate.batches import Queue


def queue(answered, full=4, **options):
    """A queue whose model doubles numbers, at most `full` at once."""

    def answer(asked):
        answered.append(list(asked))
        return [2 * it for it in asked]

    def first(asked):
        return range(min(len(asked), full)), len(asked) >= full

    return Queue(anyio.Lock(), first=first, answer=answer, **options)


def asked_at_once(waiting, count):
    """What each of so many requests, asked at the same time, is answered."""
    answers = {}

    async def ask(number):
        answers[number] = await waiting.ask(number)

    async def run():
        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(ask, number)

    anyio.run(run)
    return answers


def test_every_request_gets_its_own_answer_in_batches_that_are_full_but_the_last():
    answered, told = [], []
    assert asked_at_once(queue(answered, progress=told.append), 10) == {it: 2 * it for it in range(10)}
    assert [len(it) for it in answered] == [4, 4, 2]
    assert told == [4, 8, 10]


def test_a_full_batch_does_not_wait_for_others(monkeypatch):
    async def never(_):
        raise AssertionError("it waited")

    def asked_all():
        answered = []
        assert len(asked_at_once(queue(answered, full=1), 5)) == 5
        return answered

    monkeypatch.setattr(batches.anyio, "sleep", never)
    assert asked_all() == [[0], [1], [2], [3], [4]]


def test_what_joins_while_a_batch_waits_goes_with_it():
    answered = []
    waiting = queue(answered, full=10)

    async def late():
        await anyio.sleep(0)
        assert await waiting.ask(7) == 14

    async def run():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(late)
            assert await waiting.ask(1) == 2

    anyio.run(run)
    assert answered == [[1, 7]]


def test_the_error_of_a_batch_is_that_of_each_request_in_it_and_of_no_other():
    def answer(asked):
        if 1 in asked:
            raise ValueError("no 1")
        return [it + 1 for it in asked]

    waiting = Queue(anyio.Lock(), first=lambda asked: ([0], True), answer=answer)

    async def run():
        async with anyio.create_task_group() as tasks:
            for number in (0, 2):
                tasks.start_soon(waiting.ask, number)
            with pytest.raises(ValueError, match="no 1"):
                await waiting.ask(1)

    anyio.run(run)


def test_the_error_of_a_batch_is_told_as_briefly_to_the_last_request_as_to_the_first():
    def answer(asked):
        raise ValueError("the model is broken")

    waiting = Queue(anyio.Lock(), first=lambda asked: (range(len(asked)), len(asked) == 9), answer=answer)
    told = []

    async def ask(number):
        try:
            await waiting.ask(number)
        except ValueError as error:
            told.append("".join(traceback.format_exception(error)))

    async def run():
        async with anyio.create_task_group() as tasks:
            for number in range(9):
                tasks.start_soon(ask, number)

    anyio.run(run)
    assert len(told) == 9
    assert len(set(told)) == 1
