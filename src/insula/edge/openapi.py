"""The OpenAPI 3.1 document of a system, made from its routes and contracts."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import msgspec

from insula.edge.decoding import body_struct
from insula.edge.endpoint import Endpoint
from insula.edge.idempotency import LONGEST_KEY
from insula.edge.problem import MEDIA_TYPE, REJECTION_TYPE_PREFIX, member_name, rejection_title
from insula.kernel.errors import Rejection
from insula.messages.codec import encode, rejection_payload
from insula.messages.message import Message
from insula.messages.schema import REF_TEMPLATE
from insula.messages.schema_generator import SchemaGenerator
from insula.modules.paths import shape

Schema = dict[str, Any]

_JSON = "application/json"
_IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key from the same caller is the same command: it is answered alike and takes effect once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
}
_MESSAGE_ID_HEADER: Schema = {
    "description": "The id of the command, for tracing it.",
    "schema": {"type": "string", "format": "uuid"},
}


class InvalidField(msgspec.Struct):
    """One thing that does not fit."""

    pointer: str
    detail: str


class ProblemDocument(msgspec.Struct):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str | msgspec.UnsetType = msgspec.UNSET
    instance: str | msgspec.UnsetType = msgspec.UNSET
    errors: tuple[InvalidField, ...] | msgspec.UnsetType = msgspec.UNSET


def document_of(endpoints: Iterable[Endpoint], *, title: str, version: str) -> Schema:
    """The document, as plain values to be encoded as JSON.

    Parameters: `endpoints`, in the order to list; `title` of the API and its `version`.
    """
    return _Writer(title, version).document(tuple(endpoints))


class _Writer:
    """Writes one document; schemas that several operations use become components."""

    def __init__(self, title: str, version: str) -> None:
        self._info = {"title": title, "version": version}
        self._schemas = SchemaGenerator(REF_TEMPLATE)
        self._bodies: dict[tuple[type[Message], tuple[str, ...]], type[msgspec.Struct]] = {}
        self._rejections: dict[type[Rejection], Schema] = {}
        self._operation_ids: set[str] = set()
        self._named_paths: dict[str, Endpoint] = {}
        self._problem = self._schemas.schema(ProblemDocument)

    def document(self, endpoints: tuple[Endpoint, ...]) -> Schema:
        paths: dict[str, Schema] = {}
        for endpoint in endpoints:
            # Paths that differ only in the names of their fields count as one; the first names stand.
            named = self._named_paths.setdefault(shape(endpoint.path), endpoint)
            operation = self._operation(endpoint, named.path_parameters)
            paths.setdefault(named.path, {})[endpoint.method.lower()] = operation
        modules = dict.fromkeys(endpoint.module for endpoint in endpoints)
        return {
            "openapi": "3.1.0",
            "info": self._info,
            "tags": [{"name": module} for module in modules],
            "paths": paths,
            "components": {"schemas": self._schemas.components},
        }

    def _operation(self, endpoint: Endpoint, path_names: tuple[str, ...]) -> Schema:
        summary, description = _texts(endpoint)
        operation: Schema = {
            "operationId": self._operation_id(endpoint),
            "tags": [endpoint.module],
            "summary": summary,
        }
        if description:
            operation["description"] = description
        parameters = self._parameters(endpoint, path_names)
        if parameters:
            operation["parameters"] = parameters
        body = self._request_body(endpoint)
        if body is not None:
            operation["requestBody"] = body
        operation["responses"] = self._responses(endpoint)
        return operation

    def _operation_id(self, endpoint: Endpoint) -> str:
        candidates = [endpoint.name, f"{endpoint.name}.{endpoint.method.lower()}"]
        number = 2
        while candidates[0] in self._operation_ids:
            candidates = candidates[1:] or [f"{endpoint.name}.{endpoint.method.lower()}.{number}"]
            number += 1
        self._operation_ids.add(candidates[0])
        return candidates[0]

    def _parameters(self, endpoint: Endpoint, path_names: tuple[str, ...]) -> list[Schema]:
        fields = {field.name: field for field in msgspec.structs.fields(endpoint.message)}
        parameters = [
            {"name": shown, "in": "path", "required": True, "schema": self._schemas.schema(fields[name].type)}
            for name, shown in zip(endpoint.path_parameters, path_names, strict=True)
        ]
        parameters.extend(self._query_parameter(fields[name]) for name in endpoint.plan.query_parameters)
        if endpoint.is_command:
            parameters.append(_IDEMPOTENCY_KEY)
        return parameters

    def _query_parameter(self, field: msgspec.structs.FieldInfo) -> Schema:
        schema = self._schemas.schema(field.type)
        if field.default is not msgspec.NODEFAULT and field.default is not msgspec.UNSET:
            schema = {**schema, "default": msgspec.json.decode(encode(field.default))}
        return {"name": field.name, "in": "query", "required": field.required, "schema": schema}

    def _request_body(self, endpoint: Endpoint) -> Schema | None:
        if not endpoint.plan.reads_body:
            return None
        content: type[msgspec.Struct] = endpoint.message
        if endpoint.path_parameters:
            key = (endpoint.message, endpoint.path_parameters)
            if key not in self._bodies:
                self._bodies[key] = body_struct(*key, keeps_path_fields=False)
            content = self._bodies[key]
        fields = msgspec.structs.fields(content)
        if not fields:
            return None
        required = any(field.required for field in fields)
        return {"required": required, "content": {_JSON: {"schema": self._schemas.schema(content)}}}

    def _responses(self, endpoint: Endpoint) -> Schema:
        success: Schema = {"description": "Done." if endpoint.is_command else "The answer."}
        if endpoint.is_command:
            success["headers"] = {"insula-message-id": _MESSAGE_ID_HEADER}
        if endpoint.has_answer:
            success["content"] = {_JSON: {"schema": self._schemas.schema(endpoint.result)}}
        responses: Schema = {str(endpoint.status): success}
        refused: dict[int, list[type[Rejection]]] = {}
        for rejection in endpoint.message.__rejects__:
            refused.setdefault(rejection.status, []).append(rejection)
        takes_input = bool(endpoint.message.__struct_fields__)
        for status in sorted({*refused, 422} if takes_input else refused):
            rejections = refused.get(status, [])
            titles = [rejection_title(rejection) for rejection in rejections]
            schemas = [self._rejection(rejection) for rejection in rejections]
            if status == 422 and takes_input:
                titles.append("A field is missing or has the wrong type")
                schemas.append(self._problem)
            responses[str(status)] = _problem_response(". ".join(titles) + ".", schemas)
        responses["default"] = _problem_response("Any other problem.", [self._problem])
        return responses

    def _rejection(self, rejection: type[Rejection]) -> Schema:
        """The schema of a rejection's problem; it takes the place of the schema of its payload."""
        if rejection not in self._rejections:
            reference = self._schemas.schema(rejection_payload(rejection))
            component = self._schemas.components[reference["$ref"].rpartition("/")[2]]
            payload = {member_name(name): schema for name, schema in component.get("properties", {}).items()}
            own: Schema = {
                "type": "object",
                "properties": {
                    "type": {"const": REJECTION_TYPE_PREFIX + rejection.code},
                    "status": {"const": rejection.status},
                    "code": {"const": rejection.code},
                    **payload,
                },
                "required": ["type", "status", "code", *payload],
            }
            component.clear()
            component.update(
                title=rejection.code, description=f"{rejection_title(rejection)}.", allOf=[self._problem, own]
            )
            self._rejections[rejection] = reference
        return self._rejections[rejection]


def _problem_response(description: str, schemas: list[Schema]) -> Schema:
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


def _texts(endpoint: Endpoint) -> tuple[str, str]:
    """Summary and description: the handler's docstring, else the message's own, else the handler's name in words."""
    text = inspect.getdoc(endpoint.function) or endpoint.message.__dict__.get("__doc__") or ""
    if not text:
        return endpoint.name.rpartition(".")[2].replace("_", " ").capitalize(), ""
    first, _, rest = inspect.cleandoc(text).partition("\n")
    return first.strip(), rest.strip()
