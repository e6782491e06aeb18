"""Channels and flows as docs/streams.md shows them."""

from __future__ import annotations

from dataclasses import dataclass

# fmt: off
# isort: off
from collections.abc import Iterable
from threading import Thread

from insula.streams import BlockingEnd, Channel, Flow, Overflow
# isort: on
# fmt: on


@dataclass(frozen=True)
class Reading:
    """What a sensor says."""

    number: int
    valid: bool
    place: str = ""


stored: list[list[Reading]] = []


async def locate(reading: Reading) -> Reading:
    """Where it was taken."""
    return Reading(reading.number, reading.valid, "roof")


async def store(readings: list[Reading]) -> None:
    """All in one transaction."""
    stored.append(readings)


# fmt: off
def watch(sensor: Iterable[Reading], end: BlockingEnd[Reading]) -> None:
    for reading in sensor:                   # blocks: on a thread of its own
        end.send(reading)                    # if nobody keeps up, the oldest reading makes room
    end.close()

async def keep(readings: Channel[Reading]) -> int:
    flow = (
        Flow(readings)
        .filter(lambda reading: reading.valid)
        .map(locate, concurrency=8)          # eight at once, results in order
        .batch(100, within=0.5)              # a hundred, or what came within half a second
        .map(store)
    )
    return await flow.run()

async def keep_readings(sensor: Iterable[Reading]) -> int:
    readings: Channel[Reading] = Channel(1000, overflow=Overflow.DROP_OLDEST, name="readings")
    Thread(target=watch, args=(sensor, readings.blocking), daemon=True).start()
    return await keep(readings)
# fmt: on


async def test_readings_are_located_and_stored_in_order() -> None:
    stored.clear()
    assert await keep_readings([Reading(number, valid=number % 2 == 0) for number in range(500)]) >= 3
    numbers = [reading.number for batch in stored for reading in batch]
    assert numbers == list(range(0, 500, 2))
    assert {reading.place for batch in stored for reading in batch} == {"roof"}
