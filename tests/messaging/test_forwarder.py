"""An outbox is emptied in order per key, at least once, by one relay at a time, whatever a destination answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Engine, update

from insula import Event
from insula.kernel.errors import ConfigurationError, Failure, Unavailable
from insula.messages import Envelope
from insula.messaging.destination import Refused
from insula.messaging.forwarder import Forwarder, Pace
from insula.messaging.outbox_queue import LeaseLost, OutboxQueue
from insula.testing import VirtualClock, virtual_time
from support.outboxes import DirectTransactions, Kept, forwarder, number_of, outbox, place, states


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    with virtual_time() as clock:
        yield clock


async def run_for(relay: Forwarder, clock: VirtualClock, seconds: float) -> None:
    """Let it work so long."""
    clock.call_at(clock.monotonic() + seconds, relay.stop)
    await clock.run(relay.run())


def put(engine: Engine, *numbers: int, customer: str | None = "ann") -> None:
    with engine.begin() as connection:
        place(connection, *numbers, customer=customer)


async def test_what_was_committed_is_sent_in_order_and_what_comes_later_too(
    shop_engine: Engine, clock: VirtualClock
) -> None:
    kept = Kept()
    put(shop_engine, *range(5))
    clock.call_at(3, lambda: put(shop_engine, 5, 6))
    await run_for(forwarder(shop_engine, kept, clock), clock, 10)
    assert kept.numbers() == list(range(7))
    assert states(shop_engine) == ["sent"] * 7


async def test_a_page_is_sent_together_and_a_key_one_after_the_other(shop_engine: Engine, clock: VirtualClock) -> None:
    on_their_way, most = set[str | None](), 0

    class Slow(Kept):
        async def send(self, message: Envelope) -> None:
            nonlocal most
            assert message.subject not in on_their_way
            on_their_way.add(message.subject)
            most = max(most, len(on_their_way))
            await clock.sleep(0.1)
            on_their_way.discard(message.subject)
            self.taken.append(message)

    for number in range(12):
        put(shop_engine, number, customer=f"customer {number % 4}")
    slow = Slow(concurrency=3)
    await run_for(forwarder(shop_engine, slow, clock), clock, 10)
    assert sorted(slow.numbers()) == list(range(12))
    assert [number for number in slow.numbers() if number % 4 == 1] == [1, 5, 9]
    assert most == 3


async def test_a_message_that_is_refused_is_parked_with_its_key_and_others_flow(
    shop_engine: Engine, clock: VirtualClock
) -> None:
    def refuse(message: Envelope) -> None:
        if number_of(message) == 1:
            raise Refused("422: no such order")

    kept = Kept(refuse)
    put(shop_engine, 0, 1, 2)
    put(shop_engine, 3, customer="bob")
    put(shop_engine, 4, customer=None)
    clock.call_at(5, lambda: put(shop_engine, 5))
    await run_for(forwarder(shop_engine, kept, clock), clock, 120)
    assert kept.numbers() == [0, 3, 4]
    assert states(shop_engine) == ["sent", "parked", "behind", "sent", "sent", "behind"]
    queue = OutboxQueue(outbox, clock)
    with shop_engine.begin() as connection:
        status = queue.status(connection)
        (held,) = status.held
        assert status.counts == {"waiting": 0, "delayed": 0, "parked": 1, "behind": 2}
        assert (held.key, held.attempts, held.error, held.behind) == ("ann", 1, "422: no such order", 2)
        assert queue.drop(connection, held.id) == 1
    await run_for(forwarder(shop_engine, kept, clock), clock, 60)
    assert kept.numbers() == [0, 3, 4, 2, 5]


async def test_a_parked_message_that_is_retried_comes_before_what_waits_behind_it(
    shop_engine: Engine, clock: VirtualClock
) -> None:
    kept = Kept(_refuse)
    put(shop_engine, 0, 1)
    await run_for(forwarder(shop_engine, kept, clock), clock, 10)
    with shop_engine.begin() as connection:
        assert OutboxQueue(outbox, clock).retry(connection, "nothing") == 0
        assert OutboxQueue(outbox, clock).retry(connection, "all") == 1
    kept.answer = lambda _: None
    await run_for(forwarder(shop_engine, kept, clock), clock, 10)
    assert kept.numbers() == [0, 1]


def _refuse(message: Envelope) -> None:
    raise Refused("no")


async def test_a_message_that_fails_is_tried_again_with_growing_delay_and_never_given_up(
    shop_engine: Engine, clock: VirtualClock
) -> None:
    moments: list[float] = []

    def fail(message: Envelope) -> None:
        if number_of(message) == 0:
            moments.append(clock.monotonic())
            if len(moments) < 12:
                raise Failure("500")

    kept = Kept(fail)
    put(shop_engine, 0, 1)
    put(shop_engine, 2, customer="bob")
    await run_for(forwarder(shop_engine, kept, clock), clock, 600)
    gaps = [round(later - sooner) for sooner, later in pairwise(moments)]
    assert gaps[2:] == [2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert kept.numbers() == [2, 0, 1]


async def test_while_the_destination_is_away_nothing_is_parked_and_one_message_looks_whether_it_is_back(
    shop_engine: Engine, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    def away(message: Envelope) -> None:
        if clock.monotonic() < 100:
            raise Unavailable("kept does not answer")

    kept = Kept(away)
    for number in range(100):
        put(shop_engine, number, customer=str(number))
    await run_for(forwarder(shop_engine, kept, clock), clock, 200)
    assert sorted(kept.numbers()) == list(range(100))
    assert len(kept.tried) < 100 + 20
    assert "kept does not answer; trying again in 2.0 s" in caplog.text


async def test_a_destination_that_says_when_is_asked_then(shop_engine: Engine, clock: VirtualClock) -> None:
    moments: list[float] = []

    def busy(message: Envelope) -> None:
        moments.append(clock.monotonic())
        if len(moments) == 1:
            raise Unavailable("busy", retry_after=42)

    put(shop_engine, 1)
    await run_for(forwarder(shop_engine, Kept(busy), clock), clock, 60)
    assert [round(moment) for moment in moments] == [0, 42]


async def test_a_database_that_is_away_for_a_while_loses_nothing(shop_engine: Engine, clock: VirtualClock) -> None:
    transactions, kept = DirectTransactions(shop_engine), Kept()
    put(shop_engine, 1, 2)
    transactions.trouble = [Unavailable("the database does not answer") for _ in range(5)]
    await run_for(forwarder(shop_engine, kept, clock, transactions=transactions), clock, 60)
    assert kept.numbers() == [1, 2]


async def test_a_second_relay_waits_until_the_first_has_stopped_or_died(
    shop_engine: Engine, clock: VirtualClock
) -> None:
    told: list[str] = []
    queue, kept = OutboxQueue(outbox, clock), Kept()
    with shop_engine.begin() as connection:
        assert queue.acquire(connection, "another", 1000) == 1
    put(shop_engine, 1)
    relay = forwarder(shop_engine, kept, clock, announce=told.append)
    await run_for(relay, clock, 25)
    assert (kept.numbers(), told) == ([], ["another relay empties outbox; waiting to take over"])
    run_out(shop_engine)
    await run_for(forwarder(shop_engine, kept, clock), clock, 5)
    assert kept.numbers() == [1]
    with shop_engine.begin() as connection, pytest.raises(LeaseLost):
        queue.renew(connection, 1, 10)


def run_out(engine: Engine) -> None:
    """Let the lease of whoever has it end."""
    with engine.begin() as connection:
        connection.execute(update(outbox.lease).values(until=datetime(2001, 1, 1, tzinfo=UTC)))


async def test_who_has_lost_the_lease_stores_nothing_and_waits(shop_engine: Engine, clock: VirtualClock) -> None:
    queue = OutboxQueue(outbox, clock)

    def take_over(message: Envelope) -> None:
        if len(kept.tried) == 1:
            run_out(shop_engine)
            with shop_engine.begin() as connection:
                assert queue.acquire(connection, "another", 1000)

    kept = Kept(take_over)
    put(shop_engine, 1)
    await run_for(forwarder(shop_engine, kept, clock), clock, 20)
    assert (kept.numbers(), states(shop_engine)) == ([1], ["waiting"])


async def test_the_stop_lets_what_is_on_its_way_end_and_begins_nothing_more(
    shop_engine: Engine, clock: VirtualClock
) -> None:
    class Slow(Kept):
        async def send(self, message: Envelope) -> None:
            relay.stop()
            await clock.sleep(5)
            self.taken.append(message)

    slow = Slow()
    relay = forwarder(shop_engine, slow, clock)
    put(shop_engine, 1, 2)
    await clock.run(relay.run())
    assert (slow.numbers(), states(shop_engine)) == ([1], ["sent", "waiting"])
    with shop_engine.begin() as connection:
        assert OutboxQueue(outbox, clock).acquire(connection, "the next", 10) == 2


async def test_a_slow_destination_keeps_the_lease(shop_engine: Engine, clock: VirtualClock) -> None:
    class Slow(Kept):
        async def send(self, message: Envelope) -> None:
            await clock.sleep(60)
            with shop_engine.begin() as connection:
                assert OutboxQueue(outbox, clock).acquire(connection, "another", 10) is None
            self.taken.append(message)

    put(shop_engine, 1)
    slow = Slow()
    await run_for(forwarder(shop_engine, slow, clock), clock, 100)
    assert slow.numbers() == [1]


async def test_what_was_sent_is_deleted_after_a_while_and_nothing_else(
    shop_engine: Engine, clock: VirtualClock
) -> None:
    kept = Kept(lambda message: _refuse(message) if number_of(message) == 2 else None)
    put(shop_engine, 1)
    put(shop_engine, 2, customer="bob")
    pace = Pace(kept=timedelta(hours=1), poll_seconds=60)
    await run_for(forwarder(shop_engine, kept, clock, pace=pace), clock, 3000)
    assert states(shop_engine) == ["sent", "parked"]
    await run_for(forwarder(shop_engine, kept, clock, pace=pace), clock, 3000)
    assert states(shop_engine) == ["parked"]


class Offer(Event, expires=timedelta(minutes=5)):
    number: int = 1


async def test_what_has_expired_is_not_sent(shop_engine: Engine, clock: VirtualClock) -> None:
    kept = Kept()
    with shop_engine.begin() as connection:
        outbox.add(connection, Offer())
    clock.advance(301)
    await run_for(forwarder(shop_engine, kept, clock), clock, 5)
    assert (kept.taken, states(shop_engine)) == ([], ["dropped"])


async def test_a_row_that_is_no_cloudevent_is_parked(shop_engine: Engine, clock: VirtualClock) -> None:
    put(shop_engine, 1)
    with shop_engine.begin() as connection:
        connection.execute(update(outbox.table).values(message="{}"))
    await run_for(forwarder(shop_engine, Kept(), clock), clock, 5)
    assert states(shop_engine) == ["parked"]


async def test_missing_tables_end_it_with_what_to_do(shop_engine: Engine, clock: VirtualClock) -> None:
    outbox.lease.drop(shop_engine)
    with pytest.raises(ConfigurationError, match="has no table outbox_lease: make it by your migrations"):
        await clock.run(forwarder(shop_engine, Kept(), clock).run())


async def test_progress_is_told_from_time_to_time_and_at_the_end(shop_engine: Engine, clock: VirtualClock) -> None:
    told: list[str] = []
    put(shop_engine, 1, 2)
    clock.call_at(1, lambda: put(shop_engine, 3))
    clock.call_at(2, lambda: put(shop_engine, 4))
    await run_for(forwarder(shop_engine, Kept(), clock, announce=told.append), clock, 5)
    assert told == ["2 sent to kept", "4 sent to kept"]
