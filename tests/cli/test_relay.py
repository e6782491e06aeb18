"""`insula relay`, as a user runs it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from nats import connect
from sqlalchemy import Engine
from typer.testing import CliRunner

from insula.cli.main import application
from insula.runtime.local.nats import LocalNats
from support.outboxes import place, sqlite_engine, states
from support.relays import Receiver, RelayProcess, relaying, served, wait_until

runner = CliRunner()
OUTBOX = "support.outboxes:outbox"


def insula(*arguments: str) -> tuple[int, str]:
    """Exit code and output of one command."""
    done = runner.invoke(application, ["relay", *arguments])
    return done.exit_code, done.output


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'shop.db'}"


def test_a_relay_says_where_messages_go_and_stops_cleanly(shop_engine: Engine, tmp_path: Path) -> None:
    with sqlite_engine(tmp_path / "receiver.db") as received:
        receiver = Receiver(received)
        with served(receiver) as url, relaying(shop_engine, url, tmp_path / "output") as relay:
            with shop_engine.begin() as connection:
                place(connection, 1, 2)
            wait_until(lambda: receiver.arrived == [1, 2], relay)
            assert relay.stop() == 0
    told = relay.told
    assert "outbox in " in told
    assert f"goes to {url}\n" in told
    assert f"2 sent to {url}\n" in told
    assert "stopping: what is on its way ends first\n" in told
    assert told.endswith("stopped\n")
    assert "quoted" not in told  # the password of the tests' database
    assert states(shop_engine) == ["sent", "sent"]


def test_a_relay_fills_a_stream(tmp_path: Path, nats_server: LocalNats) -> None:
    async def prepare() -> None:
        async with await connect(nats_server.url) as client:
            await client.jetstream().add_stream(name="relayed", subjects=["relayed.>"])

    async def stored() -> list[str]:
        async with await connect(nats_server.url) as client:
            last = (await client.jetstream().stream_info("relayed")).state.last_seq
            found = [await client.jetstream().get_msg("relayed", number) for number in range(1, last + 1)]
            return [(each.headers or {})["Nats-Msg-Id"] for each in found]

    asyncio.run(prepare())
    with sqlite_engine(tmp_path / "shop.db") as engine:
        with engine.begin() as connection:
            ids = place(connection, 1, 2, 3)
        with relaying(engine, f"{nats_server.url}/relayed", tmp_path / "output") as relay:
            wait_until(lambda: states(engine) == ["sent"] * 3, relay)
            assert relay.stop() == 0
    assert asyncio.run(stored()) == ids


def test_of_two_relays_one_works_and_the_other_takes_over(shop_engine: Engine, tmp_path: Path) -> None:
    with sqlite_engine(tmp_path / "receiver.db") as received:
        receiver = Receiver(received)
        with served(receiver) as url, relaying(shop_engine, url, tmp_path / "first") as first:
            with shop_engine.begin() as connection:
                place(connection, 1)
            wait_until(lambda: receiver.arrived == [1], first)
            second = RelayProcess(shop_engine, url, tmp_path / "second")
            second.start()
            try:
                wait_until(lambda: "another relay empties outbox; waiting" in second.told, second)
                first.kill()
                with shop_engine.begin() as connection:
                    place(connection, 2)
                wait_until(lambda: receiver.arrived[-1] == 2, second)
                wait_until(lambda: "taking over outbox" in second.told, second)
                assert second.stop() == 0
            finally:
                second.kill()


def test_what_is_refused_is_shown_retried_and_dropped(tmp_path: Path, database: str) -> None:
    with sqlite_engine(tmp_path / "shop.db") as engine, sqlite_engine(tmp_path / "receiver.db") as received:
        receiver = Receiver(received, refused=1)
        with engine.begin() as connection:
            message_id, *_ = place(connection, 1, 2)
        with served(receiver) as url, relaying(engine, url, tmp_path / "output") as relay:
            wait_until(lambda: states(engine) == ["parked", "behind"], relay)
            code, told = insula(OUTBOX, "--database", database, "--status", "--json")
            found = json.loads(told)
            assert (code, found["counts"]) == (0, {"waiting": 0, "delayed": 0, "parked": 1, "behind": 1})
            assert (found["held"][0]["id"], found["held"][0]["behind"]) == (message_id, 1)
            code, told = insula(OUTBOX, "--database", database, "--status")
            assert (code, message_id in told, "0 waiting, 0 delayed, 1 parked, 1 behind" in told) == (0, True, True)
            assert insula(OUTBOX, "--database", database, "--drop", "7")[0] == 1
            dropping = (OUTBOX, "--database", database, "--drop", message_id)
            assert insula(*dropping, "--dry-run") == (0, "would drop 1\n")
            assert insula(OUTBOX, "--database", database, "--retry", "all") == (0, "retry: 1\n")
            wait_until(lambda: receiver.arrived == [1, 1], relay)
            wait_until(lambda: states(engine) == ["parked", "behind"], relay)
            assert insula(*dropping) == (0, "drop: 1\n")
            wait_until(lambda: states(engine) == ["dropped", "sent"], relay)
            assert receiver.arrived == [1, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "which outbox? Give one, like shop.tables:outbox"),
        ((OUTBOX,), "relay.to is not set; give --to, or write it in [relay]"),
        ((OUTBOX, "--status"), "relay.database is not set: give --database"),
        ((OUTBOX, "--database", "shop.db", "--to", "http://127.0.0.1"), "no address that SQLAlchemy knows; write it"),
        ((OUTBOX, "--database", "sqlite://", "--to", "amqp://x"), "amqp://x is no destination; give --to"),
        (
            (OUTBOX, "--database", "sqlite://", "--to", "http://127.0.0.1"),
            "has no table outbox: make it by your",
        ),
        ((OUTBOX, "--database", "sqlite://", "--to", "celery:app"), "name the application, like celery:shop.tasks:app"),
        ((OUTBOX, "--database", "mysql+nothing://x:secret@y/z", "--status"), "no address that SQLAlchemy knows"),
    ],
)
def test_what_cannot_be_is_answered_with_what_to_write(arguments: tuple[str, ...], told: str) -> None:
    code, output = insula(*arguments)
    assert (code, told in output, "secret" in output) == (2, True, False), output
