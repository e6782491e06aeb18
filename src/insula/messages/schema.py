"""JSON Schema of messages (draft 2020-12, as OpenAPI 3.1 uses it), and a fingerprint that changes with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from insula.kernel.errors import Rejection
from insula.messages.codec import rejection_payload
from insula.messages.message import Message, kind_of, result_type
from insula.messages.schema_generator import SchemaGenerator

REF_TEMPLATE = "#/components/schemas/{name}"


def json_schemas(
    types_: Sequence[Any], *, ref_template: str = REF_TEMPLATE
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The schemas of several types, and the components that they refer to by name.

    Parameters: `types_`, messages, results or any type a message can hold; give all of one document at once, then two
    classes with one name get different component names. `ref_template`, where components will stand.
    """
    generator = SchemaGenerator(ref_template)
    return [generator.schema(type_) for type_ in types_], generator.components


def json_schema(type_: Any, *, ref_template: str = "#/$defs/{name}") -> dict[str, Any]:
    """The schema of one type, complete in itself: what it refers to stands under `$defs`."""
    (schema,), components = json_schemas((type_,), ref_template=ref_template)
    return {**schema, "$defs": components} if components else schema


def rejection_schemas(
    rejections: Iterable[type[Rejection]], *, ref_template: str = REF_TEMPLATE
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Code -> schema of the payload, and the components that they refer to by name."""
    by_code = {rejection.code: rejection_payload(rejection) for rejection in rejections}
    schemas, components = json_schemas(tuple(by_code.values()), ref_template=ref_template)
    return dict(zip(by_code, schemas, strict=True)), components


def fingerprint(message: type[Message]) -> str:
    """A sha256, in hex, of all that others rely on: name, version, kind, key, fields, result and rejections.

    It is the same on every machine and does not change with documentation or the order of fields.
    """
    rejections, rejection_components = rejection_schemas(message.__rejects__)
    contract = {
        "name": message.__message_name__,
        "version": message.__version__,
        "kind": kind_of(message),
        "key": message.__key_field__,
        "fields": _undocumented(json_schema(message)),
        "result": _undocumented(json_schema(result_type(message))),
        "rejections": _undocumented({"properties": rejections, "$defs": rejection_components}),
    }
    canonical = json.dumps(contract, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _undocumented(schema: Any) -> Any:
    """The schema without what only explains it, its required fields in one order."""
    if isinstance(schema, list):
        return [_undocumented(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):  # here the keys are names that users chose
            kept[key] = {name: _undocumented(inner) for name, inner in value.items()}
        elif key in ("default", "const", "enum"):
            kept[key] = value
        elif key not in ("description", "examples"):
            kept[key] = sorted(value) if key == "required" else _undocumented(value)
    return kept
