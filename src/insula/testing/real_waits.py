"""Finds out that something waited in real time while virtual time went on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from insula.kernel.notes import leave_note

_REAL = {("asyncio.tasks", "sleep"): "asyncio.sleep", ("asyncio.threads", "to_thread"): "asyncio.to_thread"}


def explain_real_wait(error: BaseException) -> None:
    """Leave a note on an error that came of a wait which no virtual time ends, and which was cancelled therefore."""
    for each in _history(error):
        name = _waiting_in(each) if isinstance(each, asyncio.CancelledError) else None
        if name is not None:
            leave_note(
                error,
                f"it was waiting in {name}, which takes real time, while virtual time went on to the next moment that "
                "somebody waits for; code that runs in virtual time waits by `await clock_of_process().sleep(...)`, "
                "and a test gives it a fake in place of what runs on a thread or over a network",
            )
            return


def _history(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _waiting_in(error: BaseException) -> str | None:
    """What of asyncio the task was in when it was cancelled."""
    trace, names = error.__traceback__, []
    while trace is not None:
        code = trace.tb_frame
        names.append(_REAL.get((code.f_globals.get("__name__", ""), code.f_code.co_name)))
        trace = trace.tb_next
    return names[-1] if names else None
