"""The types that tie a handler to its message: a wrong parameter or result is an error before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

MessageT = TypeVar("MessageT")
MessageT_co = TypeVar("MessageT_co", covariant=True)
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
P = ParamSpec("P")

Record = Callable[[Callable[..., Any]], None]


class Answerable(Protocol[MessageT_co, Result_co]):
    """A class of commands or queries, seen as the pair (message, result); for type checkers."""

    def __message_and_result__(self) -> tuple[MessageT_co, Result_co]: ...


class HandlerDecorator(Generic[MessageT, Result]):
    """Takes a function whose first parameter is the message and whose result is the message's; gives it back as is."""

    __slots__ = ("_record",)

    def __init__(self, record: Record) -> None:
        self._record = record

    @overload
    def __call__(
        self, function: Callable[Concatenate[MessageT, P], Coroutine[Any, Any, Result]]
    ) -> Callable[Concatenate[MessageT, P], Coroutine[Any, Any, Result]]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[MessageT, P], Result]
    ) -> Callable[Concatenate[MessageT, P], Result]: ...
    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self._record(function)
        return function


class ScheduleDecorator:
    """Takes a function of ports only that returns None; gives it back as is."""

    __slots__ = ("_record",)

    def __init__(self, record: Record) -> None:
        self._record = record

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, Coroutine[Any, Any, None]]: ...
    @overload
    def __call__(self, function: Callable[P, None]) -> Callable[P, None]: ...
    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self._record(function)
        return function
