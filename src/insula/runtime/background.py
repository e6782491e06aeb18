"""What moves messages by itself in a running system: relays, publishers, subscribers, timers, retries, upkeep."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from insula.kernel.clock import Clock
from insula.kernel.deadline import without_deadline
from insula.messaging.timers import Retrier
from insula.runtime.configuration import Configuration
from insula.runtime.wiring import Wired

_log = logging.getLogger("insula.runtime")

_MAINTENANCE_SECONDS = 60.0
_ROWS_AT_ONCE = 1000
_CHUNKS_AT_ONCE = 1000


class Background:
    """The tasks of one process. Only one process of a module may run them at a time; it may begin and end again.

    Parameters: `broken`, called when one of them has ended by itself, without which messages stand still.
    """

    def __init__(
        self, wired: Wired, configuration: Configuration, clock: Clock, broken: Callable[[], None]
    ) -> None:  # fmt: skip
        self._wired = wired
        self._configuration = configuration
        self._clock = clock
        self._broken = broken
        self._tasks: list[asyncio.Task[None]] = []
        self._retriers = [Retrier(receiver, clock) for receiver in wired.receivers.values()]
        self.runs = False
        self._to_land = False

    async def begin(self) -> None:
        """Pick up what the last run left, wherever that was, and go on."""
        wired = self._wired
        await wired.start()
        self.runs = self._to_land = True
        for timer in wired.timers:
            self._begin(timer.run())
        for retrier in self._retriers:
            self._begin(retrier.run())
        for run in wired.runs():
            self._begin(run)
        self._begin(self._maintain())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        # Whoever starts the system may be in a hurry; what it starts is not.
        task = asyncio.get_running_loop().create_task(work, context=without_deadline())
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """These tasks never end by themselves: without one of them messages stand still, so say it and be unready."""
        if not self.runs:
            return
        error = None if task.cancelled() else task.exception()
        _log.critical("%s has ended; restart the process", task.get_coro(), exc_info=error)
        self._broken()

    async def end(self, seconds: float) -> None:
        """Begin no handler any more, let those under way end for so long, save cursors.

        What has not ended by then is cancelled; it is delivered again next time. Who is cancelled meanwhile may call it
        again, and goes on where it was.
        """
        self.runs = False
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if not self._to_land:
            return
        await asyncio.gather(*tasks, return_exceptions=True)
        wired = self._wired
        landing = [relay.land(seconds) for relay in wired.relays]
        landing += [subscriber.land(seconds) for subscriber in wired.subscribers]
        landing += [retrier.land(seconds) for retrier in self._retriers]
        await asyncio.gather(*landing)
        endings = [relay.save for relay in wired.relays]
        endings += [publisher.stop for publisher in wired.publishers]
        endings += [subscriber.stop for subscriber in wired.subscribers]
        for ending in endings:
            try:
                await ending()
            except Exception as problem:  # what is delivered again finds its mark
                _log.warning("a cursor could not be saved: %s", problem)
        self._to_land = False

    async def _maintain(self) -> None:
        """Delete, a little at a time, what nothing can need any more."""
        while True:
            await self._clock.sleep(_MAINTENANCE_SECONDS)
            try:
                await self.maintain()
            except Exception as error:
                _log.warning("maintenance: %s", error)

    async def maintain(self) -> int:
        """One round of pruning; returns how many rows went."""
        wired, store, now, deleted = self._wired, self._configuration.store, self._clock.now(), 0
        for name, database in wired.databases.items():
            marks = {relay.source.name: relay.saved for relay in wired.relays if relay.receiver.module == name}
            marks |= {each.source: each.needless for each in wired.subscribers if each.receiver.module == name}
            passed = [relay.saved for relay in wired.relays if relay.source.name == name]
            passed += [publisher.saved for publisher in wired.publishers if publisher.source == name]
            for _ in range(_CHUNKS_AT_ONCE):  # each a commit of its own, so that handlers get their turn in between
                chunk = await database.prune(
                    marks=marks,
                    answers_before=now - timedelta(hours=store.answers_kept_hours),
                    log_below=min(passed, default=0),
                    log_before=now - timedelta(days=store.log_kept_days),
                    limit=_ROWS_AT_ONCE,
                )
                deleted += chunk
                if chunk < _ROWS_AT_ONCE:
                    break
        return deleted
