"""What a request says beside the message: its identity, its trace, its time limit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from insula.edge.problem import refuse
from insula.kernel.context import TraceContext

JSON_TYPES = ("application/json",)
_CHARSETS = ("utf-8", "utf8", "us-ascii")


def check_content_type(value: str | None) -> None:
    """Raises RequestRefused (415) if a body with this Content-Type header cannot be JSON in UTF-8."""
    if value is None:
        raise refuse(
            415, "UnsupportedMediaType", "The body has no Content-Type; send JSON with Content-Type: application/json."
        )
    media_type, _, parameters = value.partition(";")
    media_type = media_type.strip().lower()
    if media_type not in JSON_TYPES and not (media_type.startswith("application/") and media_type.endswith("+json")):
        raise refuse(
            415,
            "UnsupportedMediaType",
            f"The body is {media_type or 'of no type'}; send JSON with Content-Type: application/json.",
            ("accept-post", JSON_TYPES[0]),
        )
    for parameter in parameters.split(";"):
        name, _, setting = parameter.partition("=")
        if name.strip().lower() == "charset" and setting.strip().strip('"').lower() not in _CHARSETS:
            raise refuse(415, "UnsupportedMediaType", f"The body is in {setting.strip()}; send JSON in UTF-8.")


def timeout_of_request(values: Sequence[str]) -> float:
    """Seconds that the caller grants, from `Request-Timeout` headers.

    Parameters: `values`, every value of the header, at least one.
    Raises RequestRefused (400) for what is no positive number.
    """
    try:
        seconds = float(values[0]) if len(values) == 1 else math.nan
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        detail = "The header Request-Timeout takes one positive number of seconds, such as 2.5."
        raise refuse(400, "RequestTimeoutInvalid", detail)
    return seconds


def traceparent_of_request(values: Sequence[str]) -> str | None:
    """The trace to continue, from `traceparent` headers; None where the standard (W3C) says to start a new one."""
    trace = TraceContext.parse(*values)
    return None if trace is None else trace.format()
