"""Whether the system has come to rest, and what keeps it from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text

from insula.simulation.invariants import Snapshot
from insula.simulation.process import START
from insula.simulation.service import Service
from insula.store.database import ParkedState

_NEXT_TIMER = text("select min(due) from insula_timer where schedule = ''")


@dataclass
class Unrest:
    """Why the system is not at rest; `until`, the virtual second before which only time passes."""

    reasons: list[str] = field(default_factory=list)
    until: float = 0.0


async def unrest(services: Sequence[Service], snapshot: Snapshot) -> Unrest:
    """Look at every relay, parked message and timer."""
    found = Unrest()
    waits: list[datetime] = []
    service_of = {module: service for service in services for module in service.modules}
    for service in services:
        if not service.ready or service.process is None or service.process.paused:
            found.reasons.append(f"{service.name} does not run")
        elif service.application is not None and not service.application.ready:
            found.reasons.append(f"{service.name}: a background task has ended")
        else:
            await _look_at(service_of, snapshot, service, found.reasons, waits)
    if waits:
        found.reasons.append(f"timers until {min(waits)}")
        if len(found.reasons) == 1:
            found.until = (min(waits) - START).total_seconds()
    return found


async def _look_at(
    service_of: Mapping[str, Service],
    snapshot: Snapshot,
    service: Service,
    reasons: list[str],
    waits: list[datetime],
) -> None:
    wired = service.wired
    for relay in wired.relays:
        source = service_of[relay.source.name]
        if not source.ready:
            continue  # it is a reason of its own
        if await source.database(relay.source.name).log_after(relay.position, relay.receiver.types, 1):
            reasons.append(f"{relay.receiver.module} has not taken all from {relay.source.name}")
    for name, receiver in wired.receivers.items():
        parked = await receiver.database.parked_list(dead_only=False, limit=1000)
        reasons += [
            f"{each.consumer} retries {each.envelope.type}: {each.error}"
            for each in parked
            if each.state is ParkedState.WAITING and each.consumer in receiver.consumers
        ]
        due = snapshot.scalar(name, _NEXT_TIMER)
        if due is not None:
            waits.append(datetime.fromisoformat(due))
