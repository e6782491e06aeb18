"""Turning annotations as they were written into types."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any


def resolve(annotation: Any, global_names: Mapping[str, Any], local_names: Mapping[str, Any] | None = None) -> Any:
    """The type an annotation stands for: text is evaluated, also inside other types; None becomes NoneType.

    Raises NameError for a name that is not defined, perhaps not yet.
    """
    if annotation is None or isinstance(annotation, type):
        return type(None) if annotation is None else annotation

    def stand_in() -> None: ...

    stand_in.__annotations__ = {"annotation": annotation}
    names = dict(global_names)
    return typing.get_type_hints(stand_in, names, dict(local_names or {}), include_extras=True)["annotation"]
