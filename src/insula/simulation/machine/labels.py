"""Names for what happens, by cause: "orders.place_order[3]" is that handler's work for the third operation."""

from __future__ import annotations

from collections.abc import Mapping

from insula.messages import Envelope
from insula.store.database import Scope


def label_of(unit: Scope, aliases: Mapping[str, str]) -> str:
    """The handler of a unit and the operation that led to it; the framework's own work by its place."""
    name = unit.place.partition(" (")[0]
    if unit.context is None:
        return name
    return f"{name}[{alias(unit.context.correlation_id, aliases)}]"


def message_label(envelope: Envelope, aliases: Mapping[str, str]) -> str:
    """The type of a message and the operation that led to it."""
    return f"{envelope.type}[{alias(envelope.correlation_id, aliases)}]"


def alias(message_id: str, aliases: Mapping[str, str]) -> str:
    """A short name for a message: that of its operation, else the end of its id."""
    return aliases.get(message_id) or message_id[-6:]
