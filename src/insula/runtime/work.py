"""What moves messages by itself in a running system, as the parts that one process at a time may do.

Reading the broker is one part for each share. Everything else is one part: the relays between modules of one process,
publishing, timers, upkeep.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, Protocol

from insula.kernel.clock import Clock
from insula.messaging.timers import Retrier
from insula.messaging.transport import needless_cursor, partition_of_key
from insula.messaging.turns import Key
from insula.runtime.configuration import Store
from insula.runtime.wiring import Wired

_log = logging.getLogger("insula.runtime")

MAINTENANCE_SECONDS = 60.0
_ROWS_AT_ONCE = 1000
_CHUNKS_AT_ONCE = 1000


class Work(Protocol):
    """One of these parts."""

    async def start(self) -> None:
        """Pick up what the last run left, wherever that was."""
        ...

    def runs(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What to run then, each until it is cancelled."""
        ...

    async def land(self, seconds: float) -> None:
        """Once those were cancelled: let handlers under way end for so long, and cancel those that have not."""
        ...

    async def stop(self) -> None:
        """Then: save cursors, and let go."""
        ...

    def owns(self, module: str, key: Key) -> bool:
        """Whether the messages of a key are taken by a module here."""
        ...


class _Runs(Protocol):
    async def run(self) -> None: ...


class _Lands(Protocol):
    async def land(self, seconds: float) -> None: ...


class ModulesWork:
    """All but the reading of the broker. Parameters: `store`, how long what is kept for."""

    def __init__(self, wired: Wired, store: Store, clock: Clock) -> None:
        self._wired = wired
        self._store = store
        self._clock = clock
        self._retriers = [
            Retrier(receiver, clock, self._owner(name)) for name, receiver in wired.receivers.items()
        ]  # fmt: skip

    def owns(self, module: str, key: Key) -> bool:
        """Whether a key's messages come from a module of this process."""
        return not _is_shared(self._wired, module, key)

    def _owner(self, module: str) -> Callable[[Key], bool]:
        return lambda key: self.owns(module, key)

    async def settle(self) -> None:
        """Store where new subscribers begin, if others may take requests before the work is begun."""
        here = [relay for relay in self._wired.relays if relay.source.name in self._wired.databases]
        await asyncio.gather(*(relay.settle() for relay in here))

    async def start(self) -> None:
        """Parked keys, schedules, cursors."""
        wired = self._wired
        for name, receiver in wired.receivers.items():
            await receiver.start(self._owner(name))
        for timers in wired.timers:
            await timers.start()
        await asyncio.gather(*(relay.start() for relay in wired.relays))  # together, so that they share commits
        for publisher in wired.publishers:
            await publisher.start()

    def runs(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Timers, retries, relays, publishers, upkeep."""
        wired = self._wired
        running: list[_Runs] = [*wired.timers, *self._retriers, *wired.relays, *wired.publishers]
        return [*(each.run() for each in running), _again_and_again(self.maintain, self._clock)]

    async def land(self, seconds: float) -> None:
        """Handlers that relays and retries have begun."""
        landing: list[_Lands] = [*self._wired.relays, *self._retriers]
        await asyncio.gather(*(each.land(seconds) for each in landing))

    async def stop(self) -> None:
        """Cursors of relays and publishers."""
        wired = self._wired
        await _ended([*(relay.save for relay in wired.relays), *(each.stop for each in wired.publishers)])
        for name, receiver in wired.receivers.items():
            receiver.end(self._owner(name))

    async def maintain(self) -> int:
        """Delete, a little at a time, what nothing can need any more; returns how many rows went."""
        wired, store, now, deleted = self._wired, self._store, self._clock.now(), 0
        for name, database in wired.databases.items():
            marks = {relay.source.name: relay.saved for relay in wired.relays if relay.receiver.module == name}
            for source in wired.shared.get(name, ()):
                vouched = [await database.cursor(needless_cursor(source, share)) for share in range(wired.shares)]
                marks[source] = min(position or 0 for position in vouched)
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


class ShareWork:
    """One share of what the broker brings to the modules of this process."""

    def __init__(self, wired: Wired, share: int, clock: Clock) -> None:
        self.share = share
        self.subscribers = [each for each in wired.subscribers if each.share == share]
        self._wired = wired
        self._clock = clock
        self._receivers = {each.receiver.module: each.receiver for each in self.subscribers}
        self._retriers = [
            Retrier(receiver, clock, self._owner(name)) for name, receiver in self._receivers.items()
        ]  # fmt: skip

    def owns(self, module: str, key: Key) -> bool:
        """Whether a key's messages come from the broker, in this share."""
        wired = self._wired
        return (
            _is_shared(wired, module, key)
            and partition_of_key(key[2], wired.partitions) % wired.shares == self.share
        )  # fmt: skip

    def _owner(self, module: str) -> Callable[[Key], bool]:
        return lambda key: self.owns(module, key)

    async def start(self) -> None:
        """Parked keys and cursors."""
        for name, receiver in self._receivers.items():
            await receiver.start(self._owner(name))
        for subscriber in self.subscribers:
            await subscriber.start()

    def runs(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Subscribers and retries."""
        running: list[_Runs] = [*self.subscribers, *self._retriers]
        return [*(each.run() for each in running), _again_and_again(self.vouch, self._clock)]

    async def vouch(self) -> None:
        """Tell whoever deletes marks which ones are needed no more."""
        for subscriber in self.subscribers:
            await subscriber.vouch()

    async def land(self, seconds: float) -> None:
        """Handlers that subscribers and retries have begun."""
        landing: list[_Lands] = [*self.subscribers, *self._retriers]
        await asyncio.gather(*(each.land(seconds) for each in landing))

    async def stop(self) -> None:
        """Cursors; what was not taken goes back to the broker."""
        await _ended([each.stop for each in self.subscribers])
        for name, receiver in self._receivers.items():
            receiver.end(self._owner(name))


def _is_shared(wired: Wired, module: str, key: Key) -> bool:
    return key[1] in wired.shared.get(module, ())


async def _ended(endings: Sequence[Callable[[], Awaitable[None]]]) -> None:
    for ending in endings:
        try:
            await ending()
        except Exception as problem:  # what is delivered again finds its mark
            _log.warning("a cursor could not be saved: %s", problem)


async def _again_and_again(upkeep: Callable[[], Awaitable[Any]], clock: Clock) -> None:
    while True:
        await clock.sleep(MAINTENANCE_SECONDS)
        try:
            await upkeep()
        except Exception as error:
            _log.warning("maintenance: %s", error)
