"""However transactions overlap and whatever a destination does: nothing is lost, and no key is turned round."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete

from insula.kernel.errors import Failure, Unavailable
from insula.messages import Envelope
from insula.messaging.destination import Refused
from insula.messaging.forwarder import Pace
from insula.messaging.outbox_queue import OutboxQueue
from insula.testing import virtual_time
from support.outboxes import DirectTransactions, Kept, forwarder, number_of, outbox, place

WRITERS, KEYS = 3, ("a", "a", "b", None)
ADD = st.tuples(st.just("add"), st.integers(0, WRITERS - 1), st.sampled_from(KEYS))
END = st.tuples(st.sampled_from(["commit", "commit", "commit", "roll back"]), st.integers(0, WRITERS - 1), st.none())
ANSWERS = ("taken", "refused", "failed", "away", "taken, and the relay dies")
RELAY = st.tuples(st.just("relay"), st.lists(st.sampled_from(ANSWERS), max_size=6), st.none())


class Run:
    """An application of several writers and one relay, and what should have come of it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.numbers = count()
        self.open: dict[int, Connection] = {}
        self.added: dict[int, list[tuple[str | None, int]]] = defaultdict(list)
        self.committed: dict[str | None, list[int]] = defaultdict(list)
        self.transactions = DirectTransactions(engine)
        self.answers: list[str] = []
        self.kept = Kept(self.answer)

    def answer(self, message: Envelope) -> None:
        answer = self.answers.pop(0) if self.answers else "taken"
        if answer == "refused":
            raise Refused("no")
        if answer == "failed":
            raise Failure("not now")
        if answer == "away":
            raise Unavailable("away")
        if answer == "taken, and the relay dies":
            self.transactions.trouble = [Unavailable("killed")]

    def must_wait(self, writer: int, key: str | None) -> bool:
        """Whether the database would let this writer wait for another one."""
        others = [row for other, rows in self.added.items() if other != writer for row in rows]
        if self.engine.dialect.name == "sqlite":
            return bool(others)
        return key is not None and key in {each for each, _ in others}

    def add(self, writer: int, key: str | None) -> None:
        if self.must_wait(writer, key):
            return
        if writer not in self.open:
            self.open[writer] = self.engine.connect()
        number = next(self.numbers)
        place(self.open[writer], number, customer=key)
        self.added[writer].append((key, number))

    def commit(self, writer: int) -> None:
        if (connection := self.open.pop(writer, None)) is not None:
            connection.commit()
            connection.close()
            for key, number in self.added.pop(writer):
                self.committed[key].append(number)

    def roll_back(self, writer: int) -> None:
        if (connection := self.open.pop(writer, None)) is not None:
            connection.close()
            del self.added[writer]

    def relay(self, answers: list[str], seconds: float = 2) -> None:
        if self.engine.dialect.name == "sqlite" and self.added:
            return
        self.answers = list(answers)
        with virtual_time() as clock:
            pace = Pace(page=3, lease_seconds=3600)
            relay = forwarder(self.engine, self.kept, clock, pace=pace, transactions=self.transactions)

            async def work() -> None:
                clock.call_at(clock.monotonic() + seconds, relay.stop)
                await clock.run(relay.run())

            asyncio.run(work())
            self.transactions.trouble.clear()

    def end(self) -> None:
        for writer in list(self.open):
            self.commit(writer)
        with virtual_time() as clock, self.engine.begin() as connection:
            OutboxQueue(outbox, clock).retry(connection, "all")
        self.relay([], seconds=20)

    def first_arrivals(self) -> dict[str | None, list[int]]:
        """Key -> its messages as a consumer with an inbox sees them."""
        arrived: dict[str | None, dict[int, None]] = defaultdict(dict)
        for message in self.kept.taken:
            arrived[message.subject].setdefault(number_of(message))
        return {key: list(numbers) for key, numbers in arrived.items()}


@given(actions=st.lists(st.one_of(ADD, ADD, END, RELAY), min_size=8, max_size=40))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whoever_commits_when_each_key_arrives_whole_and_in_the_order_of_its_commits(
    shop_engine: Engine, actions: list[tuple[str, int, str | None]]
) -> None:
    with shop_engine.begin() as connection:
        connection.execute(delete(outbox.table))
        connection.execute(delete(outbox.lease))
    run = Run(shop_engine)
    for verb, subject, key in actions:
        if verb == "add":
            run.add(subject, key)
        else:
            {"commit": run.commit, "roll back": run.roll_back, "relay": run.relay}[verb](subject)
        for arrived_key, numbers in run.first_arrivals().items():
            if arrived_key is not None:
                assert numbers == run.committed[arrived_key][: len(numbers)]
    run.end()
    arrived = run.first_arrivals()
    assert {key: sorted(numbers) for key, numbers in arrived.items()} == {
        key: sorted(numbers) for key, numbers in run.committed.items()
    }
    assert {key: arrived[key] for key in arrived if key} == {key: run.committed[key] for key in arrived if key}
