"""The relay of an outbox is killed again and again: every message arrives, in order per key, with one effect."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from sqlalchemy import Engine, select

from insula.kernel.randomness import SeededRandomness
from insula.messages import from_cloudevent
from insula.runtime.local.postgres import LocalPostgres
from support.kafka import MockKafka, mock_kafka
from support.outboxes import number_of, orders, place, postgres_engine, sqlite_engine
from support.postgres import server_folder
from support.processes import pause
from support.relays import Receiver, relaying, served, wait_until

KILLS, BATCHES, KEYS, PARTITIONS = 6, 60, 5, 4


def test_messages_survive_kills_of_the_relay(shop_engine: Engine, tmp_path: Path) -> None:
    chance, number, added = SeededRandomness(7), 0, defaultdict[str, list[int]](list)
    with sqlite_engine(tmp_path / "receiver.db") as received:
        receiver = Receiver(received)
        with served(receiver) as url, relaying(shop_engine, url, tmp_path / "relay.output") as relay:
            for batch in range(BATCHES):
                with shop_engine.begin() as connection:
                    for _ in range(1 + int(10 * chance.random())):
                        customer = f"customer {int(KEYS * chance.random())}"
                        place(connection, number, customer=customer)
                        added[customer].append(number)
                        number += 1
                if batch % (BATCHES // KILLS) == 0:
                    arrived = len(receiver.arrived)
                    wait_until(lambda before=arrived: len(receiver.arrived) > before, relay)
                    pause(0.02 * chance.random())
                    relay.kill()
                    relay.start()
            wait_until(lambda: len(set(receiver.arrived)) == number, relay)
            assert relay.stop() == 0
        with received.connect() as connection:
            effects = [tuple(row) for row in connection.execute(select(orders.c.customer, orders.c.number))]
        assert sorted(effect[1] for effect in effects) == list(range(number))
        arrived_first = list(dict.fromkeys(receiver.arrived))
        for numbers in added.values():
            assert [each for each in arrived_first if each in numbers] == numbers


def test_messages_survive_kills_of_the_database_and_of_the_receiver(tmp_path: Path) -> None:
    with (
        server_folder() as folder,
        LocalPostgres(folder / "server", durable=False) as server,
        sqlite_engine(tmp_path / "receiver.db") as received,
        postgres_engine(server.address) as engine,
    ):
        receiver = Receiver(received)
        with served(receiver) as url, relaying(engine, url, tmp_path / "relay.output") as relay:
            for batch in range(3):
                with engine.begin() as connection:
                    place(connection, *range(100 * batch, 100 * batch + 100))
                wait_until(lambda before=batch: len(set(receiver.arrived)) > 100 * before, relay)
                server.kill()
                receiver.away = True
                engine.dispose()
                server.start()
                receiver.away = False
            wait_until(lambda: len(set(receiver.arrived)) == 300, relay)
            assert relay.stop() == 0
    assert list(dict.fromkeys(receiver.arrived)) == list(range(300))


def test_messages_survive_brokers_that_are_cut_off_and_kills_of_the_relay(tmp_path: Path) -> None:
    with mock_kafka() as cluster, sqlite_engine(tmp_path / "shop.db") as engine:
        cluster.make("application", PARTITIONS)
        with relaying(engine, f"{cluster.url}/application", tmp_path / "relay.output") as relay:
            for batch in range(3):
                with engine.begin() as connection:
                    for number in range(100 * batch, 100 * batch + 100):
                        place(connection, number, customer=f"customer {number % KEYS}")
                wait_until(lambda before=batch: len(set(lying(cluster))) > 100 * before, relay)
                cluster.stop()
                if batch == 1:
                    relay.kill()
                    relay.start()
                cluster.start()
            wait_until(lambda: len(set(lying(cluster))) == 300, relay)
            assert relay.stop() == 0
        found = lying(cluster)
    arrived_first = list(dict.fromkeys(number for number, _ in found))
    for key in range(KEYS):
        assert [each for each in arrived_first if each % KEYS == key] == list(range(key, 300, KEYS))
    assert len(set(found)) == 300, "what came twice has another id"


def lying(cluster: MockKafka) -> list[tuple[int, str]]:
    """Number and id of every message in the topic, each partition in its order."""
    contents = [data for partition in range(PARTITIONS) for _, data in cluster.stored("application", partition)]
    return [(number_of(message), message.id) for message in map(from_cloudevent, contents)]
