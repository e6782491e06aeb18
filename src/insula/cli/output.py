"""How commands speak: tables or JSON on standard output, errors as one clear message and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import msgspec
from rich.console import Console
from rich.table import Table

from insula.kernel.errors import InsulaError

P = ParamSpec("P")
R = TypeVar("R")

FAILED, UNUSABLE = 1, 2
"""Exit codes: the command ran and says no; the command could not be run at all."""


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, as_json: bool) -> None:
    """Print rows as a table, or as a JSON list of objects."""
    found = [list(row) for row in rows]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in found])
        return
    table = Table(*columns, title=title, title_justify="left")
    for row in found:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    Console().print(table if found else f"{title}: none")


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
            Console(stderr=True).print(f"[bold red]{type(error).__name__}[/]: {error}", highlight=False, soft_wrap=True)
            raise SystemExit(UNUSABLE) from None

    return run
