"""A call from one process of a system to another: what travels beside the message. Pure, for both ends."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from insula.kernel.clock import Clock
from insula.kernel.context import ANONYMOUS, Caller, MessageContext, TraceContext
from insula.kernel.deadline import Deadline
from insula.kernel.errors import DeadlineExceeded, Failure, StorageFull, Unavailable
from insula.kernel.randomness import Randomness
from insula.messages import Message
from insula.messages.schema import fingerprint

CALL_PATH = "/_insula/call/"
"""Behind it, the wire name of the message."""

OUTCOME = "insula-outcome"
CONTRACT = "insula-contract"
_MESSAGE_ID, _CORRELATION_ID, _CAUSATION_ID = "insula-message-id", "insula-correlation-id", "insula-causation-id"
_CALLER, _TRACE, _REMAINING = "insula-caller", "traceparent", "insula-remaining-seconds"

Outcome = Literal["answer", "rejection", "failure"]


class MessageNotServed(Failure, status=503):
    """The process that was called does not know the message, or does not run the module that handles it."""


class ContractDiffers(Failure, status=503):
    """The two ends know the message in versions that do not fit each other."""


class RemoteFailure(Failure):
    """A failure of the process that was called, with its own status and code."""

    def __init__(self, message: str, status: int, code: str, retry_after: float | None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.__dict__.update(status=status, code=code)


_KNOWN = {each.code: each for each in (Unavailable, DeadlineExceeded, StorageFull, MessageNotServed, ContractDiffers)}


class _FailureOnWire(msgspec.Struct, frozen=True):
    code: str
    detail: str
    status: int = 500
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What the process that was called answers. Parameters: `contract`, that of the message as it knows it."""

    outcome: Outcome
    status: int
    body: bytes
    contract: str = ""


def contract_of(message: type[Message]) -> str:
    """The version of a message, and a digest of all that both ends must agree on; made once a class."""
    made: str = _contract_of(message)
    return made


@functools.cache
def _contract_of(message: type[Message]) -> str:
    return f"{message.__version__}:{fingerprint(message)}"


def headers_of(message: type[Message], context: MessageContext, remaining_seconds: float) -> dict[str, str]:
    """What is said about a message. Parameters: `remaining_seconds`, how long its caller waits, with a deadline or not:
    nobody is to work on for a caller who is gone."""
    headers = {
        _MESSAGE_ID: context.message_id,
        _CORRELATION_ID: context.correlation_id,
        _CALLER: json.dumps(context.caller.subject),  # ASCII, whatever the name
        CONTRACT: contract_of(message),
        **remaining_header(remaining_seconds),
    }
    if context.causation_id is not None:
        headers[_CAUSATION_ID] = context.causation_id
    if context.trace is not None:
        headers[_TRACE] = context.trace.format()
    return headers


def remaining_header(seconds: float) -> dict[str, str]:
    """How long the caller waits."""
    return {_REMAINING: f"{seconds:.6f}"}


def context_of(headers: Mapping[str, str], clock: Clock, randomness: Randomness) -> MessageContext:
    """The context of a message that came with these headers. Raises ValueError for headers that nobody of us sends."""
    trace = TraceContext.parse(*[headers[_TRACE]] if _TRACE in headers else [])
    remaining = headers.get(_REMAINING)
    subject = json.loads(headers[_CALLER]) if _CALLER in headers else ANONYMOUS.subject
    message_id = headers.get(_MESSAGE_ID)
    if message_id is None or not isinstance(subject, str):
        raise ValueError(f"{_MESSAGE_ID} is missing, or {_CALLER} is no name")
    return MessageContext(
        message_id,
        headers.get(_CORRELATION_ID, message_id),
        headers.get(_CAUSATION_ID),
        Caller(subject),
        None if trace is None else trace.child(randomness),
        None if remaining is None else Deadline.after(float(remaining), clock),
    )


def encode_failure(failure: Failure) -> bytes:
    """A failure as JSON. Its own words go along: both ends belong to one system."""
    # A process that is called knows more kinds of them than its caller has to: an open circuit is `Unavailable` there.
    known = next((code for code, kind in _KNOWN.items() if isinstance(failure, kind)), failure.code)
    return msgspec.json.encode(_FailureOnWire(known, str(failure), failure.status, failure.retry_after))


def decode_failure(data: bytes, url: str) -> Failure:
    """The failure that the process at `url` told of. Raises msgspec.MsgspecError for what is none."""
    sent = msgspec.json.decode(data, type=_FailureOnWire)
    text = f"{url}: {sent.detail}"
    known = _KNOWN.get(sent.code)
    if known is not None:
        return known(text, retry_after=sent.retry_after)
    return RemoteFailure(text, sent.status, sent.code, sent.retry_after)


def differing(message: type[Message], theirs: str, reason: Any) -> ContractDiffers:
    """What to tell where two ends do not fit. Parameters: `theirs`, the other end's contract; `reason`, what showed."""
    return ContractDiffers(
        f"{message.__message_name__}: the caller and the module that handles it know different versions of it "
        f"({contract_of(message)[:14]} here, {theirs[:14] or 'unknown'} there): {reason}; bring both to one version"
    )
