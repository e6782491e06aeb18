"""Whether the system has come to rest, and what keeps it from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from insula.simulation.machine.process import START
from insula.simulation.service import Service


async def unrest(services: Sequence[Service]) -> str | None:
    """Why the system is not at rest, the first reason that is found; None when it is, but for timers."""
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
    service_of = {module: service for service in services for module in service.modules}
    for service in services:
        behind = await _behind(service, service_of, heads)
        if behind is not None:
            return behind
    return None


async def _behind(service: Service, service_of: Mapping[str, Service], heads: Mapping[str, int]) -> str | None:
    for relay in service.wired.relays:
        source, types = relay.source.name, relay.receiver.types
        # A relay looks at nothing but the types it delivers, so its position may lag behind for no reason.
        if heads[source] > relay.position and await service_of[source].database(source).log_after(
            relay.position, types, 1
        ):
            return f"{relay.receiver.module} has not taken all from {source}"
    return None


async def next_timer(services: Sequence[Service]) -> float | None:
    """The virtual second at which the next delayed message is due; schedules, which never end, do not count."""
    dues = [await each.timers_next(once=True) for service in services for each in service.wired.databases.values()]
    earliest = min((due for due in dues if due is not None), default=None)
    return None if earliest is None else (earliest - START).total_seconds()
