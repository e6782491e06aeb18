"""What stands behind each HTTP route of a system."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from insula.edge.decoding import METHODS_WITH_BODY, RequestPlan
from insula.messages.codec import decoder
from insula.messages.message import Message, kind_of, result_type
from insula.modules.declaration import HandlerDeclaration, RouteDeclaration
from insula.modules.module import Module

STATUSES_WITHOUT_BODY = frozenset({204, 205})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method on one path, which is one message.

    Parameters: `method`, upper case; `path`, with fields as "{name}", and `path_parameters`, their names in order;
    `status` of a success; `module` and `name` ("module.function") of the handler, and its `function`; `message`, the
    class; `result`, the type answered, NoneType for none; `plan`, how requests become messages; `is_command`, whether
    it changes something; `has_answer`, whether a success has a body; `read_answer`, what decodes that body.
    """

    method: str
    path: str
    path_parameters: tuple[str, ...]
    status: int
    module: str
    name: str
    function: Callable[..., Any]
    message: type[Message]
    result: Any
    plan: RequestPlan
    is_command: bool
    has_answer: bool
    read_answer: Callable[[bytes], Any]


def endpoint_of(module: Module, route: RouteDeclaration, handler: HandlerDeclaration) -> Endpoint:
    """Plan one route. Raises TypeError if its function handles no message (the assembly refuses that before)."""
    if handler.message is None:
        raise TypeError(f"{route.place}: {handler.name} handles no message")
    result = result_type(handler.message)
    return Endpoint(
        method=route.method,
        path=route.path,
        path_parameters=route.parameters,
        status=route.status,
        module=module.name,
        name=handler.name,
        function=handler.function,
        message=handler.message,
        result=result,
        plan=RequestPlan(handler.message, route.parameters, reads_body=route.method in METHODS_WITH_BODY),
        is_command=kind_of(handler.message) == "command",
        has_answer=result is not types.NoneType and route.status not in STATUSES_WITHOUT_BODY,
        read_answer=decoder(result),
    )


def endpoints_of(routes: Iterable[tuple[Module, RouteDeclaration, HandlerDeclaration]]) -> tuple[Endpoint, ...]:
    """Plan every route of an assembly, in the order declared."""
    return tuple(endpoint_of(module, route, handler) for module, route, handler in routes)
