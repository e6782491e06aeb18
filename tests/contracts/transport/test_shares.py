"""What every transport promises to the processes of one receiver, which divide its reading among themselves."""

from __future__ import annotations

from contracts.transport.brokers import Broker
from contracts.transport.reading import message, reading
from contracts.transport.test_transport import process
from insula.messages import Envelope
from insula.messaging.transport import partition_of

KEYS = [f"key {number}" for number in range(12)]


def sent() -> list[Envelope]:
    """Messages of many keys, and so of all partitions."""
    return [message(number, key=KEYS[number % len(KEYS)]) for number in range(1, 121)]


def of_share(share: int) -> list[Envelope]:
    """Those of one share."""
    return [each for each in sent() if partition_of(each, 4) % 2 == share]


async def test_each_share_brings_the_partitions_that_are_its_own_in_their_order(shared_broker: Broker) -> None:
    async with (
        process(shared_broker) as here, process(shared_broker) as there,
        reading(here, share=0) as one, reading(there, share=1) as other,
    ):  # fmt: skip
        await here.publish("source", sent())
        for share, reader in enumerate((one, other)):
            mine = of_share(share)
            arrived = [each.envelope for each in await reader.next(len(mine))]
            assert sorted(each.position for each in arrived) == [each.position for each in mine]
            for key in KEYS:
                assert [each for each in arrived if each.subject == key] == [e for e in mine if e.subject == key]
            assert await reader.nothing()


async def test_a_share_that_nobody_reads_is_kept_and_holds_up_no_other(shared_broker: Broker) -> None:
    async with process(shared_broker) as transport:
        await transport.open("source", ["reading"])
        await transport.publish("source", sent())
        async with reading(transport, share=0, window=5) as reader:
            for _ in range(len(of_share(0))):
                await reader.acknowledge(await reader.next(1))
        async with reading(transport, share=1) as reader:
            arrived = [each.envelope.position for each in await reader.next(len(of_share(1)))]
        assert sorted(arrived) == [each.position for each in of_share(1)]


async def test_what_one_process_has_not_acknowledged_of_a_share_comes_to_the_next(shared_broker: Broker) -> None:
    key = next(key for key in KEYS if partition_of(message(1, key=key), 4) % 2 == 1)
    async with process(shared_broker) as here, process(shared_broker) as there, reading(here, share=0) as other:
        async with reading(here, share=1) as reader:
            await here.publish("source", [message(number, key=key) for number in range(1, 6)])
            await reader.acknowledge((await reader.next(5))[:2])
        async with reading(there, share=1) as reader:
            assert [each.envelope.position for each in await reader.next(3)] == [3, 4, 5]
        assert await other.nothing()
