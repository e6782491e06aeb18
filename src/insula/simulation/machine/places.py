"""Whose code runs: the user's, or that of the standard library, a package or Insula."""

from __future__ import annotations

import functools
import os
import sysconfig
from pathlib import Path
from types import FrameType
from typing import Literal

Owner = Literal["user", "package", "standard", "framework"]

_INSULA = str(Path(__file__).parents[2]) + os.sep
_STANDARD = tuple({sysconfig.get_path("stdlib") + os.sep, sysconfig.get_path("platstdlib") + os.sep})
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_FRAMEWORK = tuple(f"{folder}sqlalchemy{os.sep}" for folder in _PACKAGES)
_DEFAULTS = f"{os.sep}sqlalchemy{os.sep}sql{os.sep}schema.py"


@functools.cache
def owner_of(file: str) -> Owner:
    """Who wrote a source file. SQLAlchemy belongs to the framework: what it asks the machine is never kept."""
    if file.startswith(_INSULA) or any(folder in file for folder in _FRAMEWORK):
        return "framework"
    if any(folder in file for folder in _PACKAGES):
        return "package"
    if file.startswith(("<", *_STANDARD)):  # "<frozen importlib>", "<string>" of a dataclass
        return "standard"
    return "user"


def may_matter(file: str) -> bool:
    """Whether a call from this file can be the user's: not from the framework, but for a column's default."""
    return owner_of(file) != "framework" or file.endswith(_DEFAULTS)


@functools.cache
def shown(file: str) -> str:
    """A file as one opens it from here."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file


def users_call(frame: FrameType | None) -> tuple[FrameType | None, FrameType | None]:
    """The nearest frame of the user's around `frame`, and the frame of the standard library that it entered.

    The first is None where the framework called, or nobody. The second is the outermost that belongs together: what the
    user called, or what a package called that the user had called; None where there is none.
    """
    entered, foreign = None, False
    while frame is not None:
        owner = owner_of(frame.f_code.co_filename)
        if owner == "user":
            return frame, entered
        if owner == "framework":
            break
        if owner == "package":
            foreign = True
        elif not foreign:
            entered = frame
        frame = frame.f_back
    return None, entered


def place(frame: FrameType) -> str:
    """Where a frame is, for people: file:line in function."""
    code = frame.f_code
    return f"{shown(code.co_filename)}:{frame.f_lineno} in {code.co_qualname}"


def column_default(frame: FrameType | None) -> str | None:
    """Which column's default SQLAlchemy makes in `frame` or just around it, None if it does something else."""
    while frame is not None and owner_of(frame.f_code.co_filename) == "standard":
        frame = frame.f_back
    if frame is None or not frame.f_code.co_filename.endswith(_DEFAULTS):
        return None
    while frame is not None and owner_of(frame.f_code.co_filename) == "framework":
        column = getattr(frame.f_locals.get("self"), "current_column", None)
        if column is not None:
            return f"the default of column {column}"
        frame = frame.f_back
    return None
