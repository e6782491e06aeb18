"""From types to JSON Schema; our own, since msgspec's drops the types inside a FrozenMap and fails on its defaults."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec

from insula.messages import codec
from insula.messages.frozen_map import FrozenMap
from insula.messages.immutability import shown

Schema = dict[str, Any]

_ATOMS: dict[Any, Schema] = {
    Any: {},
    object: {},
    msgspec.Raw: {},
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bytes: {"type": "string", "contentEncoding": "base64"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    timedelta: {"type": "string", "format": "duration"},
    Decimal: {"type": "string", "format": "decimal"},
    UUID: {"type": "string", "format": "uuid"},
}
_NUMBER_LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_LENGTHS = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}
_NO_DEFAULT = (msgspec.NODEFAULT, msgspec.UNSET, dataclasses.MISSING)


class SchemaGenerator:
    """Collects the schemas of named types as components while it makes schemas.

    Parameters: `ref_template`, where components will stand, with "{name}".
    """

    def __init__(self, ref_template: str) -> None:
        self.components: dict[str, Schema] = {}
        self._ref_template = ref_template
        self._names: dict[Any, str] = {}

    def schema(self, annotation: Any) -> Schema:
        """The schema of a type; named types are referred to. Raises TypeError for a type without JSON form."""
        annotation = type(None) if annotation is None else annotation
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            return _constrained(self.schema(arguments[0]), arguments[1:])
        if isinstance(annotation, typing.NewType):
            return self.schema(annotation.__supertype__)
        if hasattr(annotation, "__value__"):  # `type Name = ...`
            return self.schema(annotation.__value__)
        if annotation in _ATOMS:
            return dict(_ATOMS[annotation])
        if origin is typing.Literal:
            return {"enum": list(arguments)}
        if origin in (typing.Union, types.UnionType):
            return self._union(arguments)
        if isinstance(origin or annotation, type):
            return self._class(annotation, origin or annotation, arguments)
        raise TypeError(f"{shown(annotation)} has no JSON schema")

    def _union(self, members: tuple[Any, ...]) -> Schema:
        members = tuple(member for member in members if member is not msgspec.UnsetType)
        options = [self.schema(member) for member in members]
        if len(options) == 1:
            return options[0]
        tagged = {
            config.tag: option["$ref"]
            for member, option in zip(members, options, strict=True)
            if (config := _struct_config(member)) is not None and config.tag is not None
        }
        union: Schema = {"anyOf": options}
        if len(tagged) > 1:
            field = next(config.tag_field for member in members if (config := _struct_config(member)) is not None)
            union["discriminator"] = {"propertyName": field, "mapping": {str(k): v for k, v in tagged.items()}}
        return union

    def _class(self, annotation: Any, cls: type, arguments: tuple[Any, ...]) -> Schema:
        if issubclass(cls, FrozenMap) or cls in (dict, Mapping):
            return self._map(arguments)
        if cls is tuple and arguments[-1:] != (Ellipsis,) and arguments:
            return _fixed_array([self.schema(argument) for argument in arguments])
        if cls in (tuple, list, frozenset, set):
            array: Schema = {"type": "array"}
            if arguments and (items := self.schema(arguments[0])):
                array["items"] = items
            return {**array, "uniqueItems": True} if cls in (frozenset, set) else array
        if not (
            issubclass(cls, (msgspec.Struct, Enum)) or dataclasses.is_dataclass(cls) or hasattr(cls, "_field_defaults")
        ):
            raise TypeError(f"{shown(annotation)} has no JSON schema")
        name = self._names.get(annotation)
        if name is None:
            name = self._names[annotation] = self._free_name(annotation, cls, arguments)
            self.components[name] = {}  # taken: a type may refer to itself
            self.components[name].update(self._component(annotation, cls))
        return {"$ref": self._ref_template.format(name=name)}

    def _map(self, arguments: tuple[Any, ...]) -> Schema:
        schema: Schema = {"type": "object"}
        if arguments:
            keys, values = self.schema(arguments[0]), self.schema(arguments[1])
            if keys.pop("type", None) == "string" and keys:
                schema["propertyNames"] = keys
            if values:
                schema["additionalProperties"] = values
        return schema

    def _free_name(self, annotation: Any, cls: type, arguments: tuple[Any, ...]) -> str:
        short = "_".join((cls.__name__, *(getattr(argument, "__name__", str(argument)) for argument in arguments)))
        for candidate in (short, f"{cls.__module__}.{cls.__qualname__}", f"{cls.__module__}.{annotation}"):
            name = re.sub(r"[^a-zA-Z0-9.\-_]", "_", candidate)
            if name not in self.components:
                return name
        raise TypeError(f"two classes are called {cls.__module__}.{cls.__qualname__}; rename one")

    def _component(self, annotation: Any, cls: type) -> Schema:
        component: Schema = {"title": cls.__name__}
        # A dataclass and an enum get a docstring of their own making from Python.
        if cls.__doc__ and not cls.__doc__.startswith((f"{cls.__name__}(", "An enumeration")):
            component["description"] = inspect.cleandoc(cls.__doc__)
        if issubclass(cls, Enum):
            return {**component, "enum": sorted((member.value for member in cls), key=str)}
        if issubclass(cls, msgspec.Struct):
            return {**component, **self._struct(annotation, cls)}
        hints = typing.get_type_hints(cls, include_extras=True)
        if not dataclasses.is_dataclass(cls):
            return {**component, **_fixed_array([self.schema(hint) for hint in hints.values()])}
        properties, required = {}, []
        for field in dataclasses.fields(cls):
            properties[field.name] = self._field(hints[field.name], field.default)
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                required.append(field.name)
        return {**component, **_object(properties, required)}

    def _struct(self, annotation: Any, cls: type[msgspec.Struct]) -> Schema:
        config = cls.__struct_config__
        properties: dict[str, Schema] = {}
        required: list[str] = []
        if config.tag_field is not None:
            properties[config.tag_field] = {"const": config.tag}
            required.append(config.tag_field)
        for field in msgspec.structs.fields(annotation):
            properties[field.encode_name] = self._field(field.type, field.default)
            if field.required:
                required.append(field.encode_name)
        if config.array_like:
            return {"type": "array", "prefixItems": list(properties.values()), "minItems": len(required)}
        schema = _object(properties, required)
        return {**schema, "additionalProperties": False} if config.forbid_unknown_fields else schema

    def _field(self, annotation: Any, default: Any) -> Schema:
        schema = self.schema(annotation)
        if any(default is absent for absent in _NO_DEFAULT):
            return schema
        return {**schema, "default": json.loads(codec.encode_canonically(default))}


def _object(properties: Mapping[str, Schema], required: list[str]) -> Schema:
    schema: Schema = {"type": "object", "properties": properties}
    return {**schema, "required": required} if required else schema


def _fixed_array(items: list[Schema]) -> Schema:
    return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items), "maxItems": len(items)}


def _struct_config(annotation: Any) -> Any:
    return getattr(typing.get_origin(annotation) or annotation, "__struct_config__", None)


def _constrained(schema: Schema, metadata: tuple[Any, ...]) -> Schema:
    constrained = dict(schema)
    for meta in metadata:
        if not isinstance(meta, msgspec.Meta):
            continue
        for attribute, keyword in _NUMBER_LIMITS.items():
            if (limit := getattr(meta, attribute)) is not None:
                constrained[keyword] = limit
        shortest, longest = _LENGTHS.get(schema.get("type", ""), ("minLength", "maxLength"))
        limits = {
            shortest: meta.min_length,
            longest: meta.max_length,
            "multipleOf": meta.multiple_of,
            "pattern": meta.pattern,
            "title": meta.title,
            "description": meta.description,
            "examples": meta.examples,
        }
        constrained.update({keyword: value for keyword, value in limits.items() if value is not None})
        constrained.update(meta.extra_json_schema or {})
    return constrained
