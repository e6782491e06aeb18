"""Paths of routes: "/orders/{order_id}"."""

from __future__ import annotations

import re

from insula.modules.declaration import Place

_SEGMENT = re.compile(r"[^{}?#\s]+|\{[A-Za-z_][A-Za-z0-9_]*\}")


def check_path(path: str, place: Place) -> None:
    """Refuse a path that cannot be served. Raises TypeError naming the place and what is wrong."""
    if not path.startswith("/"):
        raise TypeError(f"{place}: a path begins with '/'")
    if path == "/":
        return
    segments = path[1:].removesuffix("/").split("/")
    for segment in segments:
        if not _SEGMENT.fullmatch(segment):
            raise TypeError(f"{place}: {segment!r} is neither plain text nor one {{field}}")
    fields = [segment for segment in segments if segment.startswith("{")]
    if len(set(fields)) != len(fields):
        raise TypeError(f"{place}: a field stands in it twice")


def shape(path: str) -> str:
    """The path with nameless fields: two routes with one shape answer the same requests."""
    return re.sub(r"\{[^}]*\}", "{}", path)
