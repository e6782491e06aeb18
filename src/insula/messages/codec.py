"""Values to JSON and back. Decoding is the check at the wire: what does not fit its type is refused, with the place."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from insula.kernel.errors import Rejection
from insula.messages.frozen_map import FrozenMap
from insula.messages.immutability import shown

T = TypeVar("T")

# How msgspec words its errors.
_AT, _AT_KEY, _MISSING = " - at `", " - at `key` in `", "Object missing required field `"


class MessageInvalid(Rejection, status=422):
    """What was sent does not fit its type.

    Fields: `message`, the wire name or the type; `path`, the field, such as "lines[...].sku", or "" for the whole;
    `reason`, what was expected and what was found.
    """

    message: str
    path: str
    reason: str


def _to_builtin(value: Any) -> Any:
    if isinstance(value, FrozenMap):
        return dict(value)
    raise TypeError(f"{shown(type(value))} has no JSON form; use a type that a message can hold")


def _from_builtin(expected: Any, value: Any) -> Any:
    origin = typing.get_origin(expected) or expected
    if isinstance(origin, type) and issubclass(origin, FrozenMap):
        items = types.GenericAlias(dict, typing.get_args(expected) or (Any, Any))
        try:
            return FrozenMap(msgspec.convert(value, items, dec_hook=_from_builtin, str_keys=True))
        except msgspec.ValidationError as error:
            # msgspec adds the path up to this field to a ValueError only, behind the path from here on.
            raise ValueError(str(error)) from None
    # A TypeError would be taken for a fault of what was sent.
    raise NotImplementedError(f"{shown(expected)} has no JSON form; use a type that a message can hold")


_encoder = msgspec.json.Encoder(enc_hook=_to_builtin)

encode: Callable[[Any], bytes] = _encoder.encode
"""The compact JSON of a value that a message can hold.

A float that is not finite becomes null, since JSON has no such numbers. Raises TypeError for a type without JSON form.
"""

encode_canonically: Callable[[Any], bytes] = msgspec.json.Encoder(enc_hook=_to_builtin, order="deterministic").encode
"""As `encode`, slower, and the same bytes for equal values in every process: sets and maps are sorted."""


@functools.cache
def _made_decoder(expected: Any) -> Callable[[bytes], Any]:
    """The function that decodes JSON to that type; made once a type.

    Parameters: `expected`, a message class or any type that a message can hold. Unknown fields are ignored, so that
    an older version can read what a newer one wrote. The function raises MessageInvalid.
    Raises TypeError, or NotImplementedError when it is first used, for a type that cannot be decoded; NameError for a
    field type that is not defined yet.
    """
    decode_json = msgspec.json.Decoder(expected, dec_hook=_from_builtin).decode
    name = getattr(expected, "__message_name__", None) or shown(expected)

    def decode(data: bytes) -> Any:
        try:
            return decode_json(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise message_invalid(name, error) from None

    return decode


decoder: Callable[[Any], Callable[[bytes], Any]] = _made_decoder


def decode(data: bytes, expected: type[T]) -> T:
    """Decode JSON to a value of that type. Raises MessageInvalid."""
    value: T = decoder(expected)(data)
    return value


def convert(values: Mapping[str, Any], expected: type[T], *, strict: bool = True) -> T:
    """Build a message from values that are already Python objects, such as path and query parameters.

    Parameters: `strict`, False also reads numbers, booleans and null from text (default True).
    Raises MessageInvalid.
    """
    try:
        return msgspec.convert(values, expected, strict=strict, dec_hook=_from_builtin, str_keys=True)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise message_invalid(getattr(expected, "__message_name__", None) or shown(expected), error) from None


def message_invalid(message: str, error: Exception) -> MessageInvalid:
    """What went wrong in msgspec, with the path apart from the reason."""
    if isinstance(error, RecursionError):
        return MessageInvalid(message=message, path="", reason="nested too deeply")
    # A key of a mapping is worded "... - at `key` in `$.prices`".
    reason, *inner_first = str(error).replace(_AT_KEY, f" in a key{_AT}").split(_AT)
    path = "".join(part.removesuffix("`").removeprefix("$") for part in reversed(inner_first)).removeprefix(".")
    missing = reason.removeprefix(_MISSING)
    if missing != reason:
        field = missing.removesuffix("`")
        return MessageInvalid(message=message, path=f"{path}.{field}" if path else field, reason="missing")
    return MessageInvalid(message=message, path=path, reason=reason)


class UnknownRejection(Rejection):
    """A rejection that the receiver has no class for: newer than its contract, or never declared.

    Parameters: `code` and `status`, as sent; `payload`, its fields as plain JSON values.
    """

    def __init__(self, code: str, status: int, payload: Mapping[str, Any]) -> None:
        super().__init__()
        self.__dict__["code"] = code
        self.__dict__["status"] = status if 400 <= status <= 499 else Rejection.status
        self.__dict__["_payload"] = dict(payload)

    def payload(self) -> dict[str, Any]:
        """The fields as they were sent."""
        return dict(self.__dict__["_payload"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnknownRejection) and self.code == other.code and self.payload() == other.payload()

    def __hash__(self) -> int:
        return hash(self.code)


class _RejectionOnWire(msgspec.Struct, frozen=True):
    code: str
    status: int = Rejection.status
    payload: msgspec.Raw = msgspec.Raw(b"{}")


def encode_rejection(rejection: Rejection) -> bytes:
    """A rejection as JSON: its code, its HTTP status and its payload."""
    return encode({"code": rejection.code, "status": rejection.status, "payload": rejection.payload()})


def decode_rejection(data: bytes, candidates: Iterable[type[Rejection]]) -> Rejection:
    """Rebuild a rejection as its own type, through its constructor.

    Parameters: `candidates`, the classes that the message declares (`rejects=`); MessageInvalid is always one.
    A code none of them has, or a payload that no longer fits, gives an UnknownRejection. Raises MessageInvalid for JSON
    that is no rejection.
    """
    sent = decode(data, _RejectionOnWire)
    known: tuple[type[Rejection], ...] = (*candidates, MessageInvalid)
    for candidate in known:
        if candidate.code == sent.code:
            try:
                payload = decode(bytes(sent.payload), rejection_payload(candidate))
            except MessageInvalid:
                break
            return candidate(**msgspec.structs.asdict(payload))
    return UnknownRejection(sent.code, sent.status, decode(bytes(sent.payload), dict[str, Any]))


def rejection_payload(rejection: type[Rejection]) -> type[msgspec.Struct]:
    """The fields of a rejection class as a struct of its own, for decoding and for schemas; made once a class."""
    made: type[msgspec.Struct] = _rejection_payload(rejection)  # type: ignore[arg-type]
    return made


@functools.cache
def _rejection_payload(rejection: type[Rejection]) -> type[msgspec.Struct]:
    fields: list[Any] = []
    for name, annotation in rejection.__rejection_fields__.items():
        default = getattr(rejection, name, msgspec.NODEFAULT)
        fields.append((name, annotation, default))
    return msgspec.defstruct(rejection.__name__, fields, frozen=True, kw_only=True, module=rejection.__module__)
