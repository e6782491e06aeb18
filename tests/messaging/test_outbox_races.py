"""Many transactions of the same keys at the same time, while a relay sends what they leave."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.orm import Session

from insula.adapters.postgres.address import Address
from insula.adapters.sql.transactions import SqlTransactions
from insula.kernel.clock import SystemClock
from insula.kernel.randomness import SeededRandomness
from insula.messages import Envelope
from insula.messaging.forwarder import Pace
from support.outboxes import Kept, OrderPlaced, forwarder, number_of, orders, outbox, postgres_engine, states

WRITERS, TRANSACTIONS, KEYS = 4, 60, ("ann", "bob", "cid")


def write(engine: Engine, seed: int) -> None:
    """Count up each key's own row, and tell each number; a fifth is rolled back."""
    chance = SeededRandomness(seed)
    for _ in range(TRANSACTIONS):
        with Session(engine) as session:
            told = sorted(KEYS, key=lambda _: chance.random())[: 1 + int(2 * chance.random())]
            for key in sorted(told):
                row = update(orders).where(orders.c.customer == key).values(number=orders.c.number + 1)
                number = session.execute(row.returning(orders.c.number)).scalar_one()
                outbox.add(session, OrderPlaced(customer=key, number=number))
            if chance.random() < 0.8:
                session.commit()


async def test_each_key_arrives_as_its_transactions_committed(postgres_address: Address) -> None:
    arrived: dict[str | None, list[int]] = defaultdict(list)

    def take(message: Envelope) -> None:
        arrived[message.subject].append(number_of(message))

    with postgres_engine(postgres_address.url) as engine:
        with engine.begin() as connection:
            starts = [{"customer": key, "number": 1_000_000 * place} for place, key in enumerate(KEYS)]
            connection.execute(insert(orders), starts)
        transactions = SqlTransactions(engine.url.render_as_string(hide_password=False))
        clock, pace = SystemClock(), Pace(poll_seconds=0.001, page=20)
        relay = forwarder(engine, Kept(take), clock, transactions=transactions, pace=pace)
        running = asyncio.ensure_future(relay.run())
        await asyncio.gather(*(asyncio.to_thread(write, engine, seed) for seed in range(WRITERS)))
        with engine.connect() as connection:
            last = {row.customer: row.number for row in connection.execute(select(orders))}
        until = clock.monotonic() + 30
        while states(engine).count("sent") < sum(map(len, arrived.values())) or "waiting" in states(engine):
            assert clock.monotonic() < until
            await clock.sleep(0.01)
        relay.stop()
        await running
        await transactions.close()
    for place, key in enumerate(KEYS):
        assert arrived[key] == list(range(1_000_000 * place + 1, last[key] + 1))
