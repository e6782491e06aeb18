"""A message that comes again shows, as its mark was committed together with what was done for it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, MetaData, func, insert, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from insula.adapters.postgres.address import Address
from insula.messaging.inbox import Inbox
from insula.testing import virtual_time
from support.outboxes import inbox, orders, postgres_engine


def is_new(session: Session, message_id: str = "1", consumer: str = "receipts") -> bool:
    return inbox.first_time(session, consumer=consumer, message_id=message_id)


def test_the_second_time_is_not_the_first_for_each_consumer(shop_engine: Engine) -> None:
    with Session(shop_engine) as session, session.begin():
        assert is_new(session)
        assert not is_new(session)
    with Session(shop_engine) as session, session.begin():
        assert not is_new(session)
        assert is_new(session, message_id="2")
        assert is_new(session, consumer="loyalty")


def test_without_a_commit_the_message_was_never_taken(shop_engine: Engine) -> None:
    with Session(shop_engine) as session:
        session.execute(insert(orders).values(number=1, customer="ann"))
        assert is_new(session)
        session.rollback()
        assert is_new(session)
        assert session.scalar(select(func.count()).select_from(orders)) == 0


def test_a_connection_will_do(shop_engine: Engine) -> None:
    with shop_engine.begin() as connection:
        assert inbox.first_time(connection, consumer="receipts", message_id="1")


async def test_asyncio_sessions_run_it_on_their_connection(postgres_address: Address) -> None:
    with postgres_engine(postgres_address.url):
        asyncio_engine = create_async_engine(postgres_address.url.replace("postgresql:", "postgresql+asyncpg:"))
        async with AsyncSession(asyncio_engine) as session, session.begin():
            assert await session.run_sync(inbox.first_time, consumer="receipts", message_id="1")
            assert not await session.run_sync(inbox.first_time, consumer="receipts", message_id="1")
            with pytest.raises(TypeError, match=r"write await session\.run_sync\(inbox\.first_time"):
                inbox.first_time(session, consumer="receipts", message_id="1")
        await asyncio_engine.dispose()


def test_who_takes_the_same_message_at_the_same_time_waits_for_the_outcome(postgres_address: Address) -> None:
    with postgres_engine(postgres_address.url) as engine, Session(engine) as first, Session(engine) as second:
        assert is_new(first)
        second.execute(text("set local lock_timeout = '100ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            is_new(second)
        second.rollback()
        first.rollback()
        assert is_new(second)


def test_marks_are_kept_for_so_long_and_no_longer(shop_engine: Engine) -> None:
    with virtual_time() as clock, Session(shop_engine) as session:
        is_new(session, "old")
        clock.advance(timedelta(days=29))
        is_new(session, "young")
        clock.advance(timedelta(days=2))
        assert inbox.prune(session) == 1
        assert (is_new(session, "old"), is_new(session, "young")) == (True, False)


def test_what_cannot_be_meant_is_refused(shop_engine: Engine) -> None:
    with pytest.raises(ValueError, match="kept=0 is no time to keep a mark"):
        Inbox(MetaData(), kept=0)
    with Session(shop_engine) as session, pytest.raises(ValueError, match="neither may be empty"):
        is_new(session, "")
    with pytest.raises(TypeError, match="takes a Session or a Connection, not Engine"):
        inbox.first_time(shop_engine, consumer="receipts", message_id="1")
