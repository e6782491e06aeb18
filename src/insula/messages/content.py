"""What a message says, as a digest that stays the same when its class gets new fields with defaults."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from typing import Any

import msgspec

from insula.messages.codec import encode_canonically
from insula.messages.frozen_map import FrozenMap
from insula.messages.message import Message

_NONE = object()


def digest_of(message: Message) -> str:
    """A digest of the content; fields that equal their default are left out, for an older sender did not know them."""
    return hashlib.sha256(encode_canonically(_said(message))).hexdigest()


def _said(value: Any) -> Any:
    cls = type(value)
    if cls is str or cls is int:  # nearly always
        return value
    if isinstance(value, msgspec.Struct):
        tag = {} if value.__struct_config__.tag is None else {"": value.__struct_config__.tag}
        return tag | _fields(value, _struct_defaults(cls))  # type: ignore[arg-type]  # a class is hashable
    if dataclasses.is_dataclass(cls):
        return _fields(value, _dataclass_defaults(cls))
    if isinstance(value, tuple):
        return [_said(each) for each in value]
    if isinstance(value, FrozenMap):
        return {key: _said(each) for key, each in value.items()}
    if isinstance(value, frozenset):
        return sorted(encode_canonically(_said(each)) for each in value)
    return value


def _fields(value: Any, defaults: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    said = {}
    for name, default in defaults:
        each = getattr(value, name)
        if type(each) is not type(default) or each != default:  # 1 and True are equal, and not the same
            said[name] = _said(each)
    return said


@functools.cache
def _struct_defaults(cls: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    return tuple((each.name, _default(each, msgspec.NODEFAULT)) for each in msgspec.structs.fields(cls))


@functools.cache
def _dataclass_defaults(cls: type) -> tuple[tuple[str, Any], ...]:
    return tuple((each.name, _default(each, dataclasses.MISSING)) for each in dataclasses.fields(cls))


def _default(field: Any, missing: Any) -> Any:
    if field.default is not missing:
        return field.default
    # A class without arguments, such as FrozenMap, makes the same each time; any other function may not.
    return field.default_factory() if isinstance(field.default_factory, type) else _NONE
