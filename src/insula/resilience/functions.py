"""What policies ask about the functions around which they stand."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]

PLAIN = frozenset((type(None), bool, int, float, str, bytes, tuple, list, dict, set))
"""Types of results that need not be looked at: `if type(result) not in PLAIN: refuse_awaitable(...)`."""


class Misused(TypeError):
    """A policy is used in a way that cannot work. That is a mistake in the program: no policy retries or counts it, and
    no fallback answers it."""


def is_async(function: Function) -> bool:
    """Whether calling it gives a coroutine: an async function, a partial of one, or an object with an async call."""
    try:
        if function.__code__.co_flags & inspect.CO_COROUTINE:
            return True
        if not function.__dict__:
            return False  # or it may be marked as one
    except AttributeError:
        pass
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def check_function(policy: str, function: object) -> None:
    """Refuse what a decorator cannot serve."""
    if isinstance(function, (staticmethod, classmethod)):
        raise TypeError(f"{policy}: put the policy below @{type(function).__name__}, next to the function")
    if isinstance(function, type) or not callable(function):
        raise TypeError(
            f"{policy}: {function!r} is no function; decorate one, or use `policy.call(function, ...)`. A policy that "
            "decorates is made first: not @Retry, but @Retry(on=ConnectionError)"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{policy}: {name_of(function)} yields, so calling it does nothing yet; wrap what it calls")


def check_called(policy: str, function: object) -> None:
    """Refuse what `call` cannot call, such as a coroutine, which has been called already."""
    if callable(function):
        return
    if inspect.isawaitable(function):
        _discard(function)
        raise TypeError(
            f"{policy}: {name_of(function)} has been called already, so that it could not be called again; write "
            "`await policy.call(function, argument)` instead of `policy.call(function(argument))`"
        )
    raise TypeError(f"{policy}: {function!r} is no function; write `policy.call(function, argument)`")


def refuse_awaitable(policy: str, function: object, result: object) -> None:
    """Raise `Misused` if a function that was taken for a plain one gave something to be awaited."""
    if not hasattr(type(result), "__await__"):  # of an object itself, whoever stands for another says yes to everything
        return
    _discard(result)
    raise Misused(
        f"{policy}: {name_of(function)} is a plain function that returned something to be awaited "
        f"({type(result).__name__}), so that the policy would be over before the work begins; decorate an `async def` "
        "which awaits it, or write `await policy.call(async_function, argument)` without a lambda"
    )


def _discard(awaitable: Any) -> None:
    """Nobody will await it: a coroutine would complain, and a task would go on."""
    end = getattr(awaitable, "close", None) or getattr(awaitable, "cancel", None)
    if callable(end):
        end()


def name_of(function: object) -> str:
    """How errors and events name a function."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return getattr(function, "__qualname__", None) or repr(function)
