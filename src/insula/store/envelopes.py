"""Envelopes as the framework's tables keep them, on every database alike."""

from __future__ import annotations

from datetime import datetime

import msgspec

from insula.messages import Envelope


class Headers(msgspec.Struct, frozen=True, omit_defaults=True):
    """The envelope attributes that the log keeps in one JSON column."""

    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None
    caller: str = "anonymous"
    expires_at: datetime | None = None


_encode = msgspec.json.Encoder().encode
decode_headers = msgspec.json.Decoder(Headers).decode
decode_envelope = msgspec.json.Decoder(Envelope).decode


def headers_of(each: Envelope) -> str:
    """The JSON column of an envelope."""
    headers = Headers(each.correlation_id, each.causation_id, each.traceparent, each.caller, each.expires_at)
    return _encode(headers).decode()


def encode_envelope(envelope: Envelope) -> str:
    """A whole envelope as JSON, for messages that wait."""
    return _encode(envelope).decode()


def parking_key(envelope: Envelope) -> str:
    """Messages without an ordering key are parked alone."""
    return envelope.subject if envelope.subject is not None else envelope.id
