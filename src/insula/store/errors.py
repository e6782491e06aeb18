"""What a handler can do wrong with its unit of work, and what happened instead."""

from __future__ import annotations

from insula.kernel.errors import Failure


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
