"""How one kind of request becomes one kind of message; planned once, when the system starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from insula.edge.problem import refuse
from insula.messages import codec
from insula.messages.codec import MessageInvalid
from insula.messages.message import Message

Query = Sequence[tuple[str, str]]
"""The parameters after the question mark: names and values, unquoted, in the order sent."""

Decode = Callable[[Sequence[str], Query, bytes], Message]

METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class RequestPlan:
    """Turns requests of one endpoint into messages of one class.

    `decode(path_values, query, body)` makes the message; `path_values` in the order of the path parameters. It raises
    MessageInvalid (422) naming the field, and RequestRefused (400) for a body that is no JSON.

    Parameters: `message`, the class; `path_parameters`, field names in the path, in order; `reads_body`, whether the
    other fields come from a JSON body (else from the query).
    """

    __slots__ = ("_body_fields", "_decode_body", "_names", "_path_type", "_several", "decode", "message", "reads_body")

    def __init__(self, message: type[Message], path_parameters: tuple[str, ...], *, reads_body: bool) -> None:
        fields = {field.name: field for field in msgspec.structs.fields(message)}
        self.message = message
        self.reads_body = reads_body
        self._names = path_parameters
        self._path_type = _path_struct(message, [fields[name] for name in path_parameters])
        self._several = {name for name, field in fields.items() if takes_several(field.type)}
        self._body_fields = tuple(fields)
        self.decode: Decode
        if not reads_body:
            self.decode = self._from_parameters
        elif path_parameters:
            self._decode_body = codec.decoder(body_struct(message, path_parameters, keeps_path_fields=True))
            self.decode = self._from_path_and_body
        else:
            self._decode_body = codec.decoder(message)
            self.decode = self._from_body

    @property
    def query_parameters(self) -> tuple[str, ...]:
        """The fields that come from the query."""
        return () if self.reads_body else tuple(name for name in self._body_fields if name not in self._names)

    def _from_body(self, path_values: Sequence[str], query: Query, body: bytes) -> Message:
        if query:
            self._refuse_query(query)
        try:
            message: Message = self._decode_body(body or b"{}")
        except MessageInvalid:
            check_is_json(body)
            raise
        return message

    def _from_path_and_body(self, path_values: Sequence[str], query: Query, body: bytes) -> Message:
        if query:
            self._refuse_query(query)
        from_path = self._convert_path(path_values)
        try:
            from_body = self._decode_body(body or b"{}")
        except MessageInvalid:
            check_is_json(body)
            raise
        values = {name: getattr(from_body, name) for name in self._body_fields}
        for name in self._names:
            value = getattr(from_path, name)
            if values[name] is not msgspec.UNSET and values[name] != value:
                raise self._invalid(name, "the body says something else than the path; leave it out of the body")
            values[name] = value
        try:
            return self.message(**values)
        except (TypeError, ValueError) as error:  # from the class's own __post_init__
            raise self._invalid("", str(error)) from None

    def _from_parameters(self, path_values: Sequence[str], query: Query, body: bytes) -> Message:
        values: dict[str, Any] = dict(zip(self._names, path_values, strict=True))
        for name, value in query:
            if name not in self._body_fields or name in self._names:
                self._refuse_query([(name, value)])
            elif name in self._several:
                values.setdefault(name, []).append(value)
            elif name in values:
                raise self._invalid(name, "given more than once in the query")
            else:
                values[name] = value
        return codec.convert(values, self.message, strict=False)

    def _convert_path(self, path_values: Sequence[str]) -> Any:
        return codec.convert(dict(zip(self._names, path_values, strict=True)), self._path_type, strict=False)

    def _refuse_query(self, query: Query) -> None:
        allowed = self.query_parameters
        known = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
        if self.reads_body:
            known += ", send the fields in the body"
        raise self._invalid(query[0][0], f"no such query parameter; {known}")

    def _invalid(self, path: str, reason: str) -> MessageInvalid:
        return MessageInvalid(message=self.message.__message_name__, path=path, reason=reason)


def body_struct(
    message: type[Message], path_parameters: Sequence[str], *, keeps_path_fields: bool
) -> type[msgspec.Struct]:
    """The fields of a message that come in the body, as a struct of its own.

    Parameters: `keeps_path_fields`, True to read the path's fields too, all optional, in order to compare them.
    """
    declared: list[Any] = []
    for field in msgspec.structs.fields(message):
        if field.name not in path_parameters:
            declared.append((field.name, field.type, _default(field)))
        elif keeps_path_fields:
            declared.append((field.name, field.type | msgspec.UnsetType, msgspec.UNSET))
    renamed = {field.name: field.encode_name for field in msgspec.structs.fields(message)}
    return _struct(message, declared, renamed)


def takes_several(field_type: Any) -> bool:
    """Whether a field holds a sequence or set, so that a query parameter may be repeated."""
    info = msgspec.inspect.type_info(field_type)
    return any(isinstance(kind, _COLLECTIONS) for kind in _alternatives(info))


_COLLECTIONS = (
    msgspec.inspect.VarTupleType,
    msgspec.inspect.TupleType,
    msgspec.inspect.FrozenSetType,
    msgspec.inspect.ListType,
    msgspec.inspect.SetType,
)


def _alternatives(info: msgspec.inspect.Type) -> tuple[msgspec.inspect.Type, ...]:
    if isinstance(info, msgspec.inspect.Metadata):
        return _alternatives(info.type)
    if isinstance(info, msgspec.inspect.UnionType):
        return tuple(inner for alternative in info.types for inner in _alternatives(alternative))
    return (info,)


def check_is_json(body: bytes) -> None:
    """Raises RequestRefused (400) if the body is no JSON at all, saying where it breaks off."""
    try:
        msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refuse(400, "MalformedJson", f"The body is no JSON: {error}") from None
    except RecursionError:
        raise refuse(400, "MalformedJson", "The body is nested too deeply.") from None


def _path_struct(message: type[Message], fields: Sequence[msgspec.structs.FieldInfo]) -> type[msgspec.Struct]:
    return _struct(message, [(field.name, field.type) for field in fields])


def _struct(
    message: type[Message], declared: Sequence[Any], renamed: Mapping[str, str] | None = None
) -> type[msgspec.Struct]:
    # Problems must name the message, not this struct.
    names = {"__message_name__": message.__message_name__}
    return msgspec.defstruct(
        message.__name__,
        declared,
        kw_only=True,
        frozen=True,
        module=message.__module__,
        namespace=names,
        rename=renamed,
    )


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default
