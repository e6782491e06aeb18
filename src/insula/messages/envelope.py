"""What a message travels in: the context attributes of CloudEvents 1.0, as a value and as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from insula.kernel.context import ANONYMOUS
from insula.messages import codec

EnvelopeKind = Literal["event", "command", "tick"]


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message on its way, or in a log.

    Parameters: `id` of the message; `source`, the module that sent it; `type`, its wire name; `kind` "event",
    "command" or "tick"; `version` of its schema; `subject`, the ordering key or None; `time`, when it was recorded,
    with time zone; `data`, the message as JSON; `correlation_id`, the message that began it all; `causation_id`, the
    message that caused this one; `traceparent`, W3C trace context; `caller`, the subject of who asked first;
    `position` in the source's log, from 1, 0 if in none; `previous`, the position before it in its partition, 0 at
    the start; `expires_at`, from when on it is worth nothing.
    """

    id: str
    source: str
    type: str
    kind: EnvelopeKind
    version: int
    subject: str | None
    time: datetime
    data: bytes
    correlation_id: str
    causation_id: str | None
    traceparent: str | None
    caller: str
    position: int = 0
    previous: int = 0
    expires_at: datetime | None = None


_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_Position = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,19}$")]


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The JSON of an envelope: names are lower-case letters and digits; an attribute at its default is left out."""

    id: _Text
    source: _Text
    type: _Text
    time: _Time
    specversion: Literal["1.0"] | msgspec.UnsetType = msgspec.UNSET
    subject: _Text | None = None
    datacontenttype: str = ""
    kind: EnvelopeKind | msgspec.UnsetType = msgspec.UNSET
    schemaversion: int | msgspec.UnsetType = msgspec.UNSET
    correlationid: str = ""
    causationid: str | None = None
    traceparent: str | None = None
    caller: str = ""
    # Text, since the integers of CloudEvents have 32 bits.
    position: _Position = "0"
    previous: _Position = "0"
    expirytime: _Time | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = codec.decoder(CloudEvent)


def to_cloudevent(envelope: Envelope) -> bytes:
    """The envelope in the structured JSON mode of CloudEvents 1.0, with `data` as JSON inside.

    Raises ValueError for a time without time zone, which RFC 3339 has no form for.
    """
    if envelope.time.tzinfo is None or (envelope.expires_at is not None and envelope.expires_at.tzinfo is None):
        raise ValueError(f"envelope {envelope.id}: its times need a time zone")
    return codec.encode(
        CloudEvent(
            specversion="1.0",
            id=envelope.id,
            source=envelope.source,
            type=envelope.type,
            time=envelope.time,
            subject=envelope.subject,
            datacontenttype="application/json",
            kind=envelope.kind,
            schemaversion=envelope.version,
            correlationid=envelope.correlation_id,
            causationid=envelope.causation_id,
            traceparent=envelope.traceparent,
            caller=envelope.caller,
            position=str(envelope.position),
            previous=str(envelope.previous),
            expirytime=envelope.expires_at,
            data=msgspec.Raw(envelope.data) if envelope.data else msgspec.UNSET,
        )
    )


def from_cloudevent(data: bytes) -> Envelope:
    """Read an event in the structured JSON mode of CloudEvents 1.0.

    What is Insula's own (kind, schemaversion, correlationid, caller, position, previous) may be absent, so events of
    others are read too; unknown attributes are ignored. Raises MessageInvalid naming the attribute.
    """
    sent: CloudEvent = _decode(data)
    if sent.specversion != "1.0":
        raise codec.MessageInvalid(message="CloudEvent", path="specversion", reason="missing; this reads 1.0")
    media_type = sent.datacontenttype.partition(";")[0].strip().lower()
    if media_type and media_type != "application/json" and not media_type.endswith("+json"):
        raise codec.MessageInvalid(message="CloudEvent", path="datacontenttype", reason=f"{media_type} is not JSON")
    return Envelope(
        id=sent.id,
        source=sent.source,
        type=sent.type,
        kind="event" if sent.kind is msgspec.UNSET else sent.kind,
        version=1 if sent.schemaversion is msgspec.UNSET else sent.schemaversion,
        subject=sent.subject,
        time=sent.time,
        data=b"" if sent.data is msgspec.UNSET else bytes(sent.data),
        correlation_id=sent.correlationid or sent.id,
        causation_id=sent.causationid,
        traceparent=sent.traceparent,
        caller=sent.caller or ANONYMOUS.subject,
        position=int(sent.position),
        previous=int(sent.previous),
        expires_at=sent.expirytime,
    )
