"""The skeleton of every policy: two hooks around a function, and one state for each process."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar
from weakref import WeakSet

from insula.kernel.context import (
    REAL_PROCESS,
    clock_of_process,
    process_state,
    randomness_of_process,
    state_of_process,
)
from insula.resilience.events import Event, Listener
from insula.resilience.functions import Function, check_called, check_function, is_async
from insula.resilience.parameters import user_function

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])
S = TypeVar("S")
Tell = Callable[[Event], None]
"""Hands an event to whoever listens; never raises."""

running_process = process_state.get


class Policy:
    """A callable around a callable. Every policy is a decorator, and has `call`; for plain and for async functions.

    A policy overrides `wrap_sync` and `wrap_async`, which make the wrapper of one function. They run for every `call`,
    so they decide nothing: parameters are checked at construction, state comes from a `PerProcess`. `tell` is None
    where nobody listens; then no event is made.

    Parameters: `name`, for errors and events (default: the name of the class); `listener`, called with each `Event`.
    """

    def __init__(self, name: str | None = None, listener: Listener | None = None) -> None:
        kind = type(self).__name__
        if name is not None and (not isinstance(name, str) or not name):
            raise ValueError(f"{kind}: name={name!r} is no name; write a text, or leave it out")
        if listener is not None:
            user_function(kind, "listener", listener, "a function that takes an event", "an event")
        self.name = name or kind
        self.is_named = name is not None
        self._own_tell = None if listener is None else safely(listener)

    _instead_of_with = "decorate a function with it, or write `policy.call(function, ...)`"

    if not TYPE_CHECKING:  # a type checker refuses the `with` itself

        def __enter__(self):
            raise TypeError(f"{self.name}: it serves no block by `with`; {self._instead_of_with}")

        def __exit__(self, *_):
            pass

        async def __aenter__(self):
            raise TypeError(f"{self.name}: it serves no block by `async with`; {self._instead_of_with}")

        async def __aexit__(self, *_):
            pass

    @property
    def is_heard(self) -> bool:
        """Whether the policy has a listener of its own."""
        return self._own_tell is not None

    def wrap_sync(self, function: Function, tell: Tell | None) -> Function:
        """The wrapper of a plain function. Raises TypeError where the policy cannot serve one."""
        raise NotImplementedError

    def wrap_async(self, function: Function, tell: Tell | None) -> Function:
        """The wrapper of an async function, itself one."""
        raise NotImplementedError

    def compose(
        self, function: Function, is_async: bool, outer: Tell | None = None, pipeline: str | None = None
    ) -> Function:
        """The wrapper, telling the listener of the policy and that of the pipeline around it, in whose name."""
        tell = in_name_of(pipeline, both(self._own_tell, outer))
        wrapper = self.wrap_async(function, tell) if is_async else self.wrap_sync(function, tell)
        wrapper.__wrapped__ = function  # type: ignore[attr-defined]  # `name_of` finds the innermost by it
        return wrapper

    def __call__(self, function: F) -> F:
        """Decorate a function; its type stays as it is. Raises TypeError for what cannot be wrapped."""
        check_function(self.name, function)
        wrapper = functools.update_wrapper(self.compose(function, is_async(function)), function)
        wrapper.__dict__[_DECORATED] = _Decorated(self)
        return wrapper  # type: ignore[return-value]

    def call(self, function: Callable[P, R], /, *arguments: P.args, **named: P.kwargs) -> R:
        """Call a function within this policy, and return what it returns: for an async one, what is to be awaited."""
        check_called(self.name, function)
        result: R = self.compose(function, is_async(function))(*arguments, **named)
        return result


_DECORATED = "__insula_policy__"


class _Decorated:
    """The mark of a policy on its wrapper, each another one: decorators of others copy it to theirs."""

    __slots__ = ("policy",)

    def __init__(self, policy: Policy) -> None:
        self.policy = policy


def policies_around(function: object) -> list[Policy]:
    """The policies that decorate a function, the outermost first."""
    marks: dict[int, _Decorated] = {}
    while function is not None:
        mark = getattr(function, _DECORATED, None)
        if mark is not None:
            marks[id(mark)] = mark
        function = getattr(function, "__wrapped__", None)
    return [mark.policy for mark in marks.values()]


class PerProcess(Generic[S]):
    """The state of a policy: one for the real process, at hand, and one for each simulated process, made at first use.

    The hot path looks it up inline: `own if running_process() is REAL_PROCESS else elsewhere()`.

    Parameters: `create`, makes the state of the running process.
    """

    __slots__ = ("_create", "elsewhere", "own")

    def __init__(self, create: Callable[[], S]) -> None:
        token = process_state.set(REAL_PROCESS)
        try:
            self.own = create()
        finally:
            process_state.reset(token)
        self.elsewhere: Callable[[], S] = lambda: state_of_process(self, create)

    def current(self) -> S:
        """The state of the running process."""
        return self.own if running_process() is REAL_PROCESS else self.elsewhere()


class Machine:
    """The clock and the chance of the running process."""

    __slots__ = ("clock", "monotonic", "randomness")

    def __init__(self) -> None:
        self.clock = clock_of_process()
        self.monotonic = self.clock.monotonic
        self.randomness = randomness_of_process()


machine: PerProcess[Machine] = PerProcess(Machine)
"""Where policies that keep no state of their own find clock and chance."""


class Locked:
    """State that threads share, behind a lock that is new in a forked process: there, whoever held it is gone."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        _locked.add(self)

    def after_fork(self) -> None:
        """Begin anew what does not survive a fork."""
        self.lock = threading.Lock()


_locked: WeakSet[Locked] = WeakSet()


def _renew_locks() -> None:
    for each in list(_locked):
        each.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def safely(listener: Listener) -> Tell:
    """A listener that cannot harm the call which it is told of; what it raises is logged."""

    def tell(event: Event) -> None:
        try:
            listener(event)
        except Exception:
            import logging

            logging.getLogger("insula.resilience").exception("a listener failed on %r", event)

    return tell


def both(one: Tell | None, other: Tell | None) -> Tell | None:
    """One listener out of two, either of which may be missing; one and the same hears everything once."""
    if one is None or other is None or one is other:
        return one or other

    def tell(event: Event) -> None:
        one(event)
        other(event)

    return tell


def in_name_of(pipeline: str | None, tell: Tell | None) -> Tell | None:
    """A listener whose events say which pipeline they come from; that of the innermost one with a name."""
    if pipeline is None or tell is None:
        return tell

    def named(event: Event) -> None:
        tell(event if event.pipeline is not None else replace(event, pipeline=pipeline))

    return named
