"""Drives a handler and stops it when it awaits something foreign while it holds the writer's turn."""

from __future__ import annotations

import functools
import types
from collections.abc import Coroutine, Generator
from types import CoroutineType, FrameType
from typing import Any, Protocol, TypeVar

from insula.store.errors import ForeignAwait

Value = TypeVar("Value")


class TurnHolder(Protocol):
    """What the guard needs to know about a unit."""

    @property
    def writing(self) -> str | None: ...


@types.coroutine
def guarded(coroutine: Coroutine[Any, Any, Value], unit: TurnHolder, place: str) -> Generator[Any, Any, Value]:
    """Await `coroutine`, but raise `ForeignAwait` inside it where it would suspend during its turn.

    A suspended holder would stop every other unit of the module, so it is not let go to the loop at all.
    """
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            waited_for = coroutine.send(value) if error is None else coroutine.throw(error)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # StopIteration does not carry its type
        if unit.writing is not None:
            error = foreign(waited_for, coroutine, unit.writing, place)
            continue
        error = None
        try:
            value = yield waited_for
        except BaseException as thrown:
            error, value = thrown, None


def foreign(waited_for: Any, coroutine: object, writing: str, place: str) -> ForeignAwait:
    """What to say about an await during the turn, of a future that nobody is going to wait for."""
    if waited_for is not None:
        waited_for._asyncio_future_blocking = False  # noqa: SLF001 - asyncio's own word for "nobody waits"
    return ForeignAwait(
        f"{place} awaited something foreign ({_line_of(coroutine)}) after its first statement "
        f"({writing}): every other unit of the module would wait. Await it before the first statement"
    )


def place_of(frame: FrameType | None) -> str:
    """`file:line` of a frame, with the file's last part only."""
    if frame is None:
        return "?"
    return _place(frame.f_code.co_filename, frame.f_lineno)


@functools.lru_cache(4096)  # asked by every unit, and there are few first statements in a program
def _place(file: str, line: int) -> str:
    return f"{file.rpartition('/')[2]}:{line}"


def _line_of(coroutine: object) -> str:
    """Where the user's own code stands: the deepest frame of the handler's file."""
    place, awaited, file = "?", coroutine, ""
    while isinstance(awaited, CoroutineType) and awaited.cr_frame is not None:
        file = file or awaited.cr_code.co_filename
        if awaited.cr_code.co_filename == file:
            place = _place(awaited.cr_code.co_filename, awaited.cr_frame.f_lineno)
        awaited = awaited.cr_await
    return place
