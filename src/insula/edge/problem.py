"""Refusals and failures as problem documents (RFC 9457)."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from insula.kernel.errors import Failure, InsulaError, Rejection
from insula.messages.codec import MessageInvalid, encode

MEDIA_TYPE = "application/problem+json"

REJECTION_TYPE_PREFIX = "urn:insula:rejection:"
"""Before the code of a rejection: the `type` of its problem."""

RESERVED_MEMBERS = frozenset({"type", "title", "status", "detail", "instance", "code", "errors"})
"""A rejection's own field with such a name appears as `payload_<name>`."""

TITLES = {
    400: "Bad request",
    404: "Not found",
    405: "Method not allowed",
    413: "Content too large",
    415: "Unsupported media type",
    422: "Unprocessable content",
    500: "Internal server error",
    503: "Service unavailable",
    504: "Gateway timeout",
    507: "Insufficient storage",
}

# What a stranger may know of a failure. The reason itself stays in the log: it may name tables, hosts and files.
_FAILURE_DETAILS = {
    503: "The service cannot do this now. Try again later.",
    504: "The time granted for the answer is over. The work may or may not have happened.",
    507: "The service has no room left to store this. Nothing was stored.",
}
_FAILURE_DETAIL = "The service failed. The log of the service says why, under the message id."
_RETRY_AFTER_SECONDS = 1
_PATH_STEP = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document and the headers that go with it.

    Parameters: `status`, the HTTP status; `code`, stable and for programs; `title`, the same for every problem of the
    kind; `detail`, what happened here; `type`, a URI (default "about:blank": the status says it all); `instance`, a URI
    of this occurrence; `members`, extension members; `headers`, lower-case names and values.
    """

    status: int
    code: str
    title: str
    detail: str | None = None
    type: str = "about:blank"
    instance: str | None = None
    members: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()

    def with_instance(self, message_id: str) -> Problem:
        """The same problem, naming the message it is about."""
        return replace(self, instance=f"urn:uuid:{message_id}")

    def encode(self) -> bytes:
        """The JSON document."""
        document: dict[str, Any] = {"type": self.type, "title": self.title, "status": self.status}
        if self.detail is not None:
            document["detail"] = self.detail
        if self.instance is not None:
            document["instance"] = self.instance
        document["code"] = self.code
        document.update(self.members)
        return encode(document)


class RequestRefused(InsulaError):
    """The request itself is no use: nothing reached a handler.

    Parameters: `problem`, what to answer.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem


def refuse(status: int, code: str, detail: str, *headers: tuple[str, str]) -> RequestRefused:
    """A refusal of the request for reasons of HTTP.

    Parameters: `status`, the HTTP status; `code`, for programs; `detail`, what is wrong and what to do; `headers`, to
    send along.
    """
    return RequestRefused(Problem(status, code, TITLES[status], detail, headers=headers))


def problem_of(error: Exception) -> Problem:
    """The problem that tells a client about an error; only what the client can mend tells its own reason."""
    if isinstance(error, Rejection):
        return _problem_of_rejection(error)
    if isinstance(error, RequestRefused):
        return error.problem
    if isinstance(error, Failure):
        return _problem_of_failure(error)
    return Problem(500, "InternalError", TITLES[500], _FAILURE_DETAIL)


def rejection_title(rejection: type[Rejection]) -> str:
    """What the class says in the first line of its own docstring, else its code in words."""
    docstring = rejection.__dict__.get("__doc__")
    if docstring:
        return inspect.cleandoc(docstring).splitlines()[0].rstrip(".")
    return _in_words(rejection.code)


def member_name(field_name: str) -> str:
    """Under which name a problem document shows a rejection's field."""
    return f"payload_{field_name}" if field_name in RESERVED_MEMBERS else field_name


def _problem_of_rejection(error: Rejection) -> Problem:
    payload = error.payload()
    members = {member_name(name): value for name, value in payload.items()}
    # A rejection that came without its class carries its code on the instance.
    is_own_code = error.code == type(error).code
    title = rejection_title(type(error)) if is_own_code else _in_words(error.code)
    if isinstance(error, MessageInvalid):
        detail = f"{error.path}: {error.reason}" if error.path else error.reason
        members["errors"] = [{"pointer": pointer(error.path), "detail": error.reason}]
    else:
        values = ", ".join(f"{name}={value}" for name, value in payload.items())
        detail = f"{title}: {values}" if values else f"{title}."
    return Problem(error.status, error.code, title, detail, REJECTION_TYPE_PREFIX + error.code, members=members)


def _problem_of_failure(error: Failure) -> Problem:
    headers: tuple[tuple[str, str], ...] = ()
    if error.retry_after is not None or error.status == 503:
        seconds = _RETRY_AFTER_SECONDS if error.retry_after is None else max(1, math.ceil(error.retry_after))
        headers = (("retry-after", str(seconds)),)
    return Problem(
        status=error.status,
        code=error.code,
        title=TITLES.get(error.status, TITLES[500]),
        detail=str(error) if 400 <= error.status <= 499 else _FAILURE_DETAILS.get(error.status, _FAILURE_DETAIL),
        headers=headers,
    )


def pointer(path: str) -> str:
    """A path such as "lines[0].sku" as a JSON Pointer in a fragment (RFC 6901, 6); unknown steps are left out."""
    steps = [step for step in _PATH_STEP.findall(path) if step != "..."]
    return "#" + "".join(f"/{step.replace('~', '~0')}" for step in steps)


def _in_words(code: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_-]+", " ", code).split()
    return " ".join(words).capitalize()
