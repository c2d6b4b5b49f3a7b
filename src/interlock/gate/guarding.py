"""What a check guards when it stands before a function: the call, and whatever the call gives, for as long as it runs.

Guarantees: no part of the body runs before a check, nor after one that held, at the call and wherever the body hands
something out and waits to be asked again: an item of a generator, or of an asynchronous one. Nothing is handed out
without another check. A guarded function is of the kind that it was, which frameworks look at.
What it leaves to the caller: a body that does not come back, between two items or at an `await`, runs on until it does;
and what runs elsewhere, as threads, tasks, and iterators and awaitables of other kinds that it hands out.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import aclosing, closing
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Generator

__all__ = ["guard"]

_Check = Callable[[], object]
_Function = Callable[..., Any]


def guard(check: _Check, function: _Function) -> _Function:
    """The function, with `check` called before its body, before each item, and before what it gives is handed out.

    The guarded function raises what `check` raises; one that gives items does so at the first of them.
    """
    if inspect.iscoroutinefunction(function):
        guarded = _coroutine(check, function)
    elif inspect.isasyncgenfunction(function):
        guarded = _async_generator(check, function)
    elif inspect.isgeneratorfunction(function):
        guarded = _generator(check, function)
    else:
        guarded = _call(check, function)
    return functools.wraps(function)(guarded)


def _call(check: _Check, function: _Function) -> _Function:
    def guarded(*arguments: object, **named: object) -> object:
        check()
        return _handed_out(check, function(*arguments, **named))

    return guarded


def _coroutine(check: _Check, function: _Function) -> _Function:
    async def guarded(*arguments: object, **named: object) -> object:
        check()
        return await _awaited(check, function(*arguments, **named))

    return guarded


def _handed_out(check: _Check, given: object) -> object:
    """What a body gave, which may be another body: a function that is no generator by its kind may return one."""
    if inspect.iscoroutine(given):
        return _awaited(check, given)
    if inspect.isasyncgen(given):
        return _async_generator(check, lambda: given)()
    if inspect.isgenerator(given):
        return _generator(check, lambda: given)()
    check()
    return given


async def _awaited(check: _Check, given: Coroutine[Any, Any, object]) -> object:
    with closing(given):
        check()
        return _handed_out(check, await given)


def _generator(check: _Check, function: _Function) -> _Function:
    def guarded(*arguments: object, **named: object) -> Generator[object, object, object]:
        check()
        with closing(function(*arguments, **named)) as body:
            step = partial(next, body)
            while True:
                check()
                try:
                    item = step()
                except StopIteration as end:
                    return _handed_out(check, end.value)
                check()
                try:
                    step = partial(body.send, (yield item))
                except Exception as error:  # noqa: BLE001 - for the body to see
                    step = partial(body.throw, error)

    return guarded


def _async_generator(check: _Check, function: _Function) -> _Function:
    async def guarded(*arguments: object, **named: object) -> AsyncGenerator[object, object]:
        check()
        async with aclosing(function(*arguments, **named)) as body:
            step = partial(anext, body)
            while True:
                check()
                try:
                    item = await step()
                except StopAsyncIteration:
                    return
                check()
                try:
                    step = partial(body.asend, (yield item))
                except Exception as error:  # noqa: BLE001 - for the body to see
                    step = partial(body.athrow, error)

    return guarded
