"""Flags pinned for a while, as tests do. It holds for whoever runs in this context, and for nobody beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar, Token
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar

from insula.flags.errors import FlagError
from insula.flags.kinds import Kind, Unfit, fitted

Given = ParamSpec("Given")
Found = TypeVar("Found")


class Pinnable(Protocol):
    """A flag that is declared in code."""

    @property
    def key(self) -> str:
        """Its name."""
        ...

    @property
    def kind(self) -> Kind:
        """The type of its values."""
        ...


pins: ContextVar[Mapping[str, Any] | None] = ContextVar("insula_pinned_flags", default=None)
"""Key -> value; None where nothing is pinned."""

pinned_before: list[bool] = []
"""Not empty as soon as anything was pinned in this process: until then nobody has to look at `pins`."""


def override(flag: Pinnable | str, value: Any) -> Override:
    """Let a flag have a value, whatever its source says, until the end of the block, or of the function it decorates.

    Tasks that are begun within the block inherit it; those that ran before, and other threads, see nothing of it.

    Parameters: `flag`, as it is declared, or its key. Raises `FlagError` for a value that the flag can never have.
    """
    key = flag if isinstance(flag, str) else flag.key
    if not isinstance(flag, str):
        try:
            value = fitted(value, flag.kind)
        except Unfit:
            raise FlagError(f"flag {key} is a {flag.kind}, and can never be {value!r}") from None
    return Override(key, value)


class Override:
    """A pinned flag, as a context manager and as a decorator of functions, `async` ones among them."""

    def __init__(self, key: str, value: Any) -> None:
        self._key = key
        self._value = value
        self._tokens: list[Token[Mapping[str, Any] | None]] = []

    def __enter__(self) -> None:
        pinned_before[:] = [True]
        self._tokens.append(pins.set({**(pins.get() or {}), self._key: self._value}))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            pins.reset(self._tokens.pop())
        except ValueError:
            raise FlagError(
                f"flag {self._key} was pinned in another task than the block ends in, as an async generator does; "
                "pin it where it is asked for, in the test itself"
            ) from error

    def __call__(self, function: Callable[Given, Found]) -> Callable[Given, Found]:
        """Pin the flag for each call. Raises `FlagError` for a generator, whose caller runs in between."""
        if isgeneratorfunction(function) or isasyncgenfunction(function):
            raise FlagError(f"flag {self._key} cannot be pinned for the generator {function.__qualname__}")
        if iscoroutinefunction(function):
            waiting: Callable[Given, Awaitable[Any]] = function

            @wraps(function)
            async def pinned_while_awaited(*args: Given.args, **kwargs: Given.kwargs) -> Any:
                with Override(self._key, self._value):
                    return await waiting(*args, **kwargs)

            return pinned_while_awaited  # type: ignore[return-value]

        @wraps(function)
        def pinned(*args: Given.args, **kwargs: Given.kwargs) -> Found:
            with Override(self._key, self._value):
                return function(*args, **kwargs)

        return pinned
