"""What a handler can do wrong with its unit of work, and what happened instead."""

from __future__ import annotations

from insula.kernel.errors import Failure, InsulaError, Unavailable


class DatabaseUnavailable(Unavailable):
    """The module's own database does not answer. That is not the fault of the message that was to be handled."""


class ForeignAwait(Failure):
    """A handler awaited something other than its store while it held the writer's turn. Ask first, then write."""


class AskedWhileWriting(Failure):
    """A handler asked another module after its first statement. Ask first, then write."""


class Contended(Failure, status=503):
    """What a handler peeked at changed each time before its turn came; it gave up after many runs."""


class OutcomeUnknown(Failure, status=503):
    """The commit failed in a way that leaves open whether it was stored. Ask again under the same message id."""


class ReadOnly(Failure):
    """The handler of a query tried to change something; make the message a Command."""


class MessageIdReused(Failure, status=422):
    """One message id (or idempotency key) came with two different contents."""


class StatementDenied(Failure):
    """A statement of the user's that would end or escape the unit of work."""


class StatementForgotten(Failure):
    """A handler made a statement and did not await it, so that it never ran."""


class ValueOutOfRange(Failure, status=422):
    """A value that the database cannot hold, such as an integer of more than 64 bits."""


class TableMissing(Failure):
    """A statement names a table that is not in the module's own database."""


class UnitOver(InsulaError):
    """A unit of work was used after its handler had ended."""


class FlushFailed(Failure):
    """The ORM could not write everything and the handler went on all the same; nothing of the unit is kept."""


class LeaseTaken(Failure, status=503):
    """Another process has taken over the work that this one was about to store."""


class AlreadyOpen(InsulaError):
    """Another process has this database open; two of them would starve or overtake each other."""
