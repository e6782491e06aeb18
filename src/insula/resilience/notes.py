"""What policies write on the errors that they raise."""

from __future__ import annotations

from insula.kernel.notes import leave_note


def leave_policy_note(error: BaseException, policy: str, note: str) -> None:
    """Let a traceback show what a policy did; its note of another time is replaced, so that no error grows."""
    leave_note(error, f"{policy}: {note}", replaces=f"{policy}: ")


def shown(error: Exception) -> str:
    """The class and the text of an error, in at most 80 characters."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return text if len(text) <= 80 else f"{text[:79]}…"
