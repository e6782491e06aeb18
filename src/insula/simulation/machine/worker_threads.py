"""Worker threads of anyio run inline: Starlette and FastAPI hand them every endpoint that is a plain `def`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

from insula.simulation.machine.loop import SimulatedLoop


@contextmanager
def inline_worker_threads() -> Iterator[None]:
    """Within, `anyio.to_thread.run_sync` on a simulated loop calls the function on the loop, a moment later.

    On any other loop it starts threads as ever. `asyncio.to_thread` needs nothing: it asks the loop, which knows.
    Does nothing if anyio is not loaded.
    """
    if "anyio" not in sys.modules:
        yield
        return
    from anyio._backends._asyncio import AsyncIOBackend

    original = AsyncIOBackend.__dict__["run_sync_in_worker_thread"]
    AsyncIOBackend.run_sync_in_worker_thread = classmethod(_inline(original.__func__))  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        AsyncIOBackend.run_sync_in_worker_thread = original  # type: ignore[method-assign]


def _inline(original: Callable[..., Any]) -> Callable[..., Any]:
    async def run_sync_in_worker_thread(
        backend: Any, func: Callable[..., Any], args: tuple[Any, ...], abandon_on_cancel: bool = False,
        limiter: Any = None,
    ) -> Any:  # fmt: skip
        loop = asyncio.get_running_loop()
        if not isinstance(loop, SimulatedLoop):
            return await original(backend, func, args, abandon_on_cancel, limiter)
        await backend.checkpoint()
        async with limiter or backend.current_default_thread_limiter():
            with backend.create_cancel_scope(shield=not abandon_on_cancel):
                return await loop.run_in_executor(None, copy_context().run, func, *args)
        raise AssertionError("a cancelled scope raises")

    return run_sync_in_worker_thread
