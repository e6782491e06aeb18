"""What is written on errors as they pass. Errors are the user's: they may be shared, and may refuse attributes."""

from __future__ import annotations


def leave_note(error: BaseException, note: str, *, replaces: str | None = None) -> None:
    """Let a traceback show a note, once however often the same error passes.

    Parameters: `replaces`, how an earlier note begins whose place it takes (default: as this one).
    """
    # Into the dictionary, which every exception has: classes may refuse attributes (frozen dataclasses do).
    fields, start = error.__dict__, note if replaces is None else replaces
    notes = fields.get("__notes__")
    others = [each for each in notes if not str(each).startswith(start)] if isinstance(notes, list) else []
    fields["__notes__"] = [*others, note]


def chain(error: BaseException, before: BaseException) -> None:
    """Let a traceback show the error before as well."""
    object.__setattr__(error, "__context__", before)  # past what a class says about attributes
