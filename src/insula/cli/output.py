"""How commands speak: tables or JSON on standard output, errors as one clear message and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from insula.kernel.errors import InsulaError

P = ParamSpec("P")
R = TypeVar("R")

FAILED, UNUSABLE = 1, 2
"""Exit codes: the command ran and says no; the command could not be run at all."""


def console(*, stderr: bool = False) -> Console:
    """A console for texts with users' data in them: what looks like markup or an emoji's name is printed as it is."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def say(text: str | Text | Tree, *, stderr: bool = False) -> None:
    """Print one text as it is."""
    console(stderr=stderr).print(text, soft_wrap=not isinstance(text, Tree))  # a tree would be cut, not wrapped


def show(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, as_json: bool, whole: str | None = None
) -> None:
    """Print rows as a table, or as a JSON list of objects.

    Parameters: `whole`, the column that is never folded, since it is there to be typed (default: none).
    """
    found = [list(row) for row in rows]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in found])
        return
    if not found:
        say(f"{title}: none")
        return
    table = Table(title=Text(title), title_justify="left")
    for number, column in enumerate(columns):
        width = max(len(str(row[number])) for row in found) if column == whole else None
        table.add_column(Text(column), overflow="fold", no_wrap=column == whole, min_width=width)
    for row in found:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console().print(table)


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value, enc_hook=str)).decode() + "\n")


def print_json_line(value: Any) -> None:
    """Print a value as one line of JSON, at once, for whoever reads along."""
    sys.stdout.write(msgspec.json.encode(value, enc_hook=str).decode() + "\n")
    sys.stdout.flush()


def explained(command: Callable[P, R]) -> Callable[P, R]:
    """Turn Insula's errors into a message on standard error and exit code 2."""

    @wraps(command)
    def run(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return command(*arguments, **options)
        except InsulaError as error:
            say(Text.assemble((type(error).__name__, "bold red"), f": {error}"), stderr=True)
            raise SystemExit(UNUSABLE) from None

    return run
