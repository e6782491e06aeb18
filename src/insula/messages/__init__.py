"""Messages: what modules say to each other, and what it travels in."""

from insula.messages.codec import (
    MessageInvalid,
    UnknownRejection,
    decode,
    decode_rejection,
    decoder,
    encode,
    encode_canonically,
    encode_rejection,
)
from insula.messages.envelope import Envelope, EnvelopeKind, from_cloudevent, to_cloudevent
from insula.messages.frozen_map import FrozenMap
from insula.messages.message import (
    Command,
    Event,
    Kind,
    Message,
    Query,
    check_message,
    key_of,
    kind_of,
    result_type,
)

__all__ = [
    "Command",
    "Envelope",
    "EnvelopeKind",
    "Event",
    "FrozenMap",
    "Kind",
    "Message",
    "MessageInvalid",
    "Query",
    "UnknownRejection",
    "check_message",
    "decode",
    "decode_rejection",
    "decoder",
    "encode",
    "encode_canonically",
    "encode_rejection",
    "from_cloudevent",
    "key_of",
    "kind_of",
    "result_type",
    "to_cloudevent",
]
