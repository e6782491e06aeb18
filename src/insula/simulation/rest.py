"""Whether the system has come to rest, and what keeps it from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from insula.messaging.relay import Relay
from insula.simulation.machine.process import START
from insula.simulation.service import Service


class Rest:
    """What is still to be done in the services of one run."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = services
        self._service_of = {module: service for service in services for module in service.modules}
        counts = Counter(module for service in services for module in service.modules)
        self._shared = [module for module, count in counts.items() if count > 1]
        self._nothing_in_between: dict[Relay, tuple[int, int]] = {}

    async def reason_against(self) -> str | None:
        """Why the system is not at rest, the first reason that is found; None when it is, but for timers."""
        services = self._services
        for service in services:
            if not service.ready or service.process is None or service.process.paused:
                return f"{service.name} does not run"
            if service.application is not None and not service.application.ready:
                return f"{service.name}: a background task has ended"
        for service in services:
            for receiver in service.wired.receivers.values():
                if await receiver.next_due() is not None:
                    return f"{receiver.module} tries again what failed"
        heads = {name: await each.log_head() for service in services for name, each in service.wired.databases.items()}
        return await self._not_taken(heads)

    async def _not_taken(self, heads: Mapping[str, int]) -> str | None:
        """Which messages have not been moved, or that nobody moves them."""
        movers = [service for service in self._services if service.moves_messages]
        moved = {module for service in movers for module in service.modules}
        for module in self._shared:
            if module not in moved:
                return f"no process moves the messages of {module}"
        for service in movers:
            behind = await self._behind(service, heads)
            if behind is not None:
                return behind
        return None

    async def _behind(self, service: Service, heads: Mapping[str, int]) -> str | None:
        for relay in service.wired.relays:
            source, types = relay.source.name, relay.receiver.types
            stretch = relay.position, heads[source]
            # A relay looks at nothing but the types it delivers, so its position may lag behind for no reason.
            if relay.position >= heads[source] or self._nothing_in_between.get(relay) == stretch:
                continue
            log = self._service_of[source].database(source)
            if await log.log_after(relay.position, types, 1):
                return f"{relay.receiver.module} has not taken all from {source}"
            self._nothing_in_between[relay] = stretch
        return None

    async def next_timer(self) -> float | None:
        """The virtual second when the next delayed message is due; schedules, which never end, do not count."""
        databases = [each for service in self._services for each in service.wired.databases.values()]
        dues = [await each.timers_next(once=True) for each in databases]
        earliest = min((due for due in dues if due is not None), default=None)
        return None if earliest is None else (earliest - START).total_seconds()
