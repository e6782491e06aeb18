"""Identifiers: time-ordered new ones (UUIDv7) and derived stable ones (UUIDv5), both as text."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha1
from itertools import count
from typing import NewType, Protocol

from insula.kernel.clock import Clock
from insula.kernel.randomness import Randomness

MessageId = NewType("MessageId", str)

INSULA_NAMESPACE = "6f0d7c2e-3a51-5b8e-9c44-1f2a7be0d813"
"""Parent for ids derived from text that is no UUID, such as a client's idempotency key."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOW_48 = (1 << 48) - 1


class IdSource(Protocol):
    """Makes identifiers that nobody else makes."""

    def new(self) -> str:
        """A fresh identifier: UUID text, lower case, with hyphens."""


class Uuid7:
    """UUIDv7 text, each greater than the one before, also within a millisecond or when the clock goes back.

    Each millisecond starts at a random number and counts up from there (RFC 9562, sections 5.7 and 6.2, method 2).
    Unique, not secret: whoever sees one id can guess its neighbours.
    Threads that share an instance get different ids, in no promised order between them.
    """

    def __init__(self, clock: Clock, randomness: Randomness) -> None:
        self._now = clock.now
        self._bits = randomness.bits
        self._series = (-1, "", count())

    def new(self) -> str:
        """The next identifier."""
        since = self._now() - _EPOCH
        millisecond = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
        started, prefix, numbers = self._series
        if millisecond > started:
            digits = f"{millisecond:012x}"
            prefix = f"{digits[:8]}-{digits[8:]}-7"
            # One bit is left free, so that no count reaches the end of the 74 bits.
            numbers = count(self._bits(73))
            self._series = (millisecond, prefix, numbers)
        number = next(numbers)  # one step, so that two threads never draw the same number
        return f"{prefix}{number >> 62:03x}-{number >> 48 & 0x3FFF | 0x8000:04x}-{number & _LOW_48:012x}"


def derive(parent: str, name: str) -> str:
    """The identifier that `name` has under `parent`: the same for the same two texts, on every machine.

    UUIDv5 (RFC 9562, section 5.5) with the UUID text `parent` as its namespace.
    Raises ValueError if `parent` is no UUID; derive from `INSULA_NAMESPACE` to turn any text into one.
    """
    try:
        namespace = bytes.fromhex(parent.replace("-", ""))
    except ValueError:
        namespace = b""
    if len(namespace) != 16:
        raise ValueError(f"{parent!r} is no UUID; use derive(INSULA_NAMESPACE, text) to make one from any text")
    digits = sha1(namespace + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digits[16], 16) & 0x3]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
