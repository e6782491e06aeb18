"""The relay of an outbox is killed again and again: every message arrives, in order per key, with one effect."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from sqlalchemy import Engine, select

from insula.kernel.randomness import SeededRandomness
from insula.runtime.local.postgres import LocalPostgres
from support.outboxes import orders, place, postgres_engine, sqlite_engine
from support.postgres import server_folder
from support.processes import pause
from support.relays import Receiver, relaying, served, wait_until

KILLS, BATCHES, KEYS = 6, 60, 5


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
