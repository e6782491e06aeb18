"""How a message fails on its way, and how that is told."""

from __future__ import annotations

import logging

from insula.kernel.errors import Failure, Unavailable

_ERROR_LENGTH = 2000
_MOMENT_SECONDS = 1.0


class EventRejected(Failure):
    """The handler of an event raised a Rejection: nobody waits for that answer, so it becomes a dead letter."""


class HandlerCancelled(Failure):
    """A handler, or what it awaited, was cancelled, though not by the framework: it has failed like any other."""


class HandlerTimedOut(Failure):
    """A handler did not end within `handler_timeout_seconds` of [delivery], and was stopped."""


class NotInTurn(Failure):
    """A message before it under the same key could be neither handled nor parked; both have to come again."""


def described(error: BaseException) -> str:
    """The error as text that can always be stored and logged, or the message that failed with it could not be parked.

    What is no UTF-8 (file names bring lone surrogates along) is escaped; of an error without text its class is told.
    """
    try:
        text = str(error)
    except Exception as unprintable:
        text = f"(its text cannot be made: {type(unprintable).__name__})"
    return f"{type(error).__name__}: {text}"[:_ERROR_LENGTH].encode(errors="backslashreplace").decode()


def weight(error: BaseException, delay: float) -> int:
    """How loud to say that something is tried again: of a server that is away for a moment, its connection tells."""
    return logging.DEBUG if isinstance(error, Unavailable) and delay < _MOMENT_SECONDS else logging.WARNING
