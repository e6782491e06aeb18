"""What plain code may wait for: a thread may be held, an event loop may not."""

from __future__ import annotations

import sys

from insula.kernel.context import may_start_threads
from insula.resilience.functions import Misused


def check_may_hold(policy: str, seconds: float, cause: BaseException | None = None) -> None:
    """Asked before a thread is held. Raises `Misused` where an event loop runs in it: every task there would wait too.

    Parameters: `seconds`, for how long at most; `cause`, the error after which is to be waited.
    """
    asyncio = sys.modules.get("asyncio")  # it takes 40 ms to import; without it no loop runs
    if seconds <= 0 or asyncio is None or not may_start_threads():  # in one thread, what runs there plays the others
        return
    if asyncio._get_running_loop() is None:  # noqa: SLF001 - public but for its name
        return
    raise Misused(
        f"{policy}: to wait up to {seconds:.3g} s here would hold the event loop of this thread, and every task on it; "
        "make the function async (around a block: `async with` or `async for`), or run the plain one on a thread: "
        "`await asyncio.to_thread(function, ...)`"
    ) from cause
