"""What ends a run of a unit of work from within, past the handler's own `except Exception`."""

from __future__ import annotations

from insula.store.database import Answer


class UnitSignal(BaseException):
    """Ends a run of the body from within; not an Exception, so that a handler's `except Exception` lets it pass."""


class MarkedBefore(UnitSignal):
    """The scope's mark was in the inbox when the turn began."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("marked before")
        self.answer = answer


class PeekStale(UnitSignal):
    """What was peeked has changed; the body has to run again."""


class Moved(UnitSignal):
    """The module's data lies in another database by now; the body has to run there."""
