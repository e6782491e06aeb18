"""Flags pinned for a while, as tests do. It holds for whoever runs in this context, and for nobody beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from insula.flags.errors import FlagError
from insula.flags.kinds import Kind, Unfit, fitted


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


@contextmanager
def override(flag: Pinnable | str, value: Any) -> Iterator[None]:
    """Let a flag have a value, whatever its source says, until the end of the block.

    Tasks that are begun within the block inherit it; those that ran before, and other threads, see nothing of it.

    Parameters: `flag`, as it is declared, or its key. Raises `FlagError` for a value that the flag can never have.
    """
    key = flag if isinstance(flag, str) else flag.key
    if not isinstance(flag, str):
        try:
            value = fitted(value, flag.kind)
        except Unfit:
            raise FlagError(f"flag {key} is a {flag.kind}, and can never be {value!r}") from None
    pinned_before[:] = [True]
    token = pins.set({**(pins.get() or {}), key: value})
    try:
        yield
    finally:
        pins.reset(token)
