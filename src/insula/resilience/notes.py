"""What policies write on the errors that they raise."""

from __future__ import annotations


def leave_note(error: Exception, policy: str, note: str) -> None:
    """Let a traceback show what a policy did; its note of another time is replaced, so that no error grows."""
    # Into the dictionary, which every exception has: classes may refuse attributes (frozen dataclasses do).
    fields = error.__dict__
    notes, mine = fields.get("__notes__"), f"{policy}: "
    others = [each for each in notes if not str(each).startswith(mine)] if isinstance(notes, list) else []
    fields["__notes__"] = [*others, mine + note]


def shown(error: Exception) -> str:
    """The class and the text of an error, in at most 80 characters."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return text if len(text) <= 80 else f"{text[:79]}…"
