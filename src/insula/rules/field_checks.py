"""Conditions of fields are checked as rules of text are, where the classes say what their fields hold."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

from insula.rules.checking import check
from insula.rules.errors import RuleError, RuleTypeError
from insula.rules.macros import MACROS
from insula.rules.preparing import FUNCTIONS
from insula.rules.text import to_text
from insula.rules.tree import Node
from insula.rules.types import BOOL, DYN, Type

_PACKAGE = __name__.rpartition(".")[0]


class FieldTypeError(RuleTypeError):
    """A field is compared with what its type does not allow. `file` and `line` are the place in the program."""

    def __init__(self, file: str, line: int, text: str, problem: str) -> None:
        self.problem, self.file, self.line, self.column = problem, file, line, 1
        RuleError.__init__(self, f"{file}:{line}: {text}: {problem}")


def check_fields(tree: Node, kind: Any, declared: Mapping[str, Any], *, condition: bool = True) -> Type:
    """The type of the answer, which has to be a bool where it is a condition.

    Parameters: `kind`, the class; `declared`, what it says of the fields in the tree, by name with dots.
    Raises `FieldTypeError`.
    """
    try:
        found = check(tree, declared, FUNCTIONS, macros=MACROS)
    except RuleTypeError as error:
        raise _refused(tree, kind, declared, error.problem) from None
    if condition and found not in (BOOL, DYN):
        raise _refused(tree, kind, declared, f"it is a {found} and no condition; compare it with something")
    return found


def _refused(tree: Node, kind: Any, declared: Mapping[str, Any], problem: str) -> FieldTypeError:
    file, line = _place()
    says = " and ".join(f"{path} as {_annotation(each)}" for path, each in declared.items() if each is not Any)
    return FieldTypeError(file, line, to_text(tree), f"{problem}; {_annotation(kind)} declares {says}")


def _annotation(annotation: Any) -> str:
    return inspect.formatannotation(annotation).rpartition(".")[2] if isinstance(annotation, type) else str(annotation)


def _place() -> tuple[str, int]:
    """The file, seen from the current folder, and line that is the nearest outside of this package."""
    frame: FrameType | None = sys._getframe(1)  # as `warnings` and `logging` do it
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith(f"{_PACKAGE}."):
        frame = frame.f_back
    if frame is None:
        return "?", 0
    file = frame.f_code.co_filename
    near = file.removeprefix(os.getcwd() + os.sep)
    return near, frame.f_lineno
