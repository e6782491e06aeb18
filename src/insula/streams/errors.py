"""What can go wrong at a channel: you closed it, the other side is gone, or it is full."""

from __future__ import annotations

from insula.kernel.errors import InsulaError, Unavailable


class ChannelClosed(InsulaError):
    """Your own side closed this channel before: nothing can be sent after `close`, or received after `cancel`."""


class SenderGone(InsulaError):
    """Everything that was sent has been received, and nothing more will come.

    `__cause__` is the error that the sender failed with (`fail`), or None where it came to its end (`close`).
    """


class ReceiverGone(InsulaError):
    """The receiving side takes nothing any more: it said so (`cancel`), or its event loop is closed."""


class ChannelFull(Unavailable):
    """The channel has no room, and this send must not wait; the item was not taken."""
