"""Streams what every line of the user's code makes of its plain variables, to compare two runs line by line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

import msgspec

from insula.simulation.machine.places import owner_of, shown

_PLAIN = (str, int, float, bool, type(None), bytes, Decimal, UUID, datetime, date, timedelta)
_MOST_ITEMS, _MOST_CHARACTERS = 20, 200

Line = tuple[str, int, dict[str, str]]
"""File, line, and the variables that the line bound, as text."""


@contextmanager
def traced(output: Path) -> Iterator[None]:
    """Within, write a line of JSON for each line of the user's code that runs in this thread."""
    with output.open("wb") as file:
        encode = msgspec.json.Encoder().encode

        def tell(line: Line) -> None:
            file.write(encode(line) + b"\n")

        def begin(frame: FrameType, _event: str, _argument: Any) -> Any:
            code = frame.f_code
            if owner_of(code.co_filename) != "user" or code.co_name == "<module>":
                return None
            return _Frame(frame, tell)

        before = sys.gettrace()
        sys.settrace(begin)
        try:
            yield
        finally:
            sys.settrace(before)


def lines_of(output: Path) -> Iterator[Line]:
    """What `traced` wrote."""
    decode = msgspec.json.Decoder(Line).decode
    with output.open("rb") as file:
        yield from map(decode, file)


class _Frame:
    """Follows one call of a function, or one stretch of a coroutine between two waits.

    A variable is told with the line that bound it: the one before the line at which it is seen.
    """

    def __init__(self, frame: FrameType, tell: Callable[[Line], None]) -> None:
        self._tell = tell
        self._file = shown(frame.f_code.co_filename)
        self._line = frame.f_lineno
        self._known: dict[str, str] = {}
        self._look(frame.f_locals, {})

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event in ("line", "return"):
            self._look(frame.f_locals, {"the result": argument} if event == "return" else {})
            self._line = frame.f_lineno
        return self

    def _look(self, variables: Mapping[str, Any], more: Mapping[str, Any]) -> None:
        now = {name: text for name, value in variables.items() if (text := _text(value)) is not None}
        bound = {name: text for name, text in now.items() if self._known.get(name) != text}
        bound.update((name, text) for name, value in more.items() if (text := _text(value)) is not None)
        self._known = now
        self._tell((self._file, self._line, bound))


def _text(value: Any) -> str | None:
    """A plain value as text; None for what holds addresses or has an order of its own, and for what runs code."""
    kind = type(value)
    if kind in _PLAIN:
        text = repr(value)
        return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
    if kind in (tuple, list) and len(value) <= _MOST_ITEMS:
        items = [_text(item) for item in value]
        if None in items:
            return None
        return f"({', '.join(filter(None, items))})" if kind is tuple else f"[{', '.join(filter(None, items))}]"
    return None
