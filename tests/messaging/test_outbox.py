"""A message leaves with the commit of the application's own transaction, in the order of the commits of its key."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, MetaData, create_engine, insert, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from insula import Command, Event, Query
from insula.adapters.postgres.address import Address
from insula.messages import from_cloudevent
from insula.messaging.outbox import Outbox
from insula.messaging.outgoing import OutgoingInvalid
from support.outboxes import TABLES, OrderPlaced, orders, outbox, place, postgres_engine

ANN = OrderPlaced(customer="ann", number=1)


def kept(engine: Engine) -> list[tuple[str | None, str]]:
    """Key and type of every message in the outbox, in order."""
    with engine.connect() as connection:
        columns = outbox.table.c
        return [tuple(row) for row in connection.execute(select(columns.key, columns.type).order_by(columns.position))]


def test_a_message_is_there_once_the_session_has_committed(shop_engine: Engine) -> None:
    with Session(shop_engine) as session, session.begin():
        session.execute(insert(orders).values(number=1, customer="ann"))
        message_id = outbox.add(session, ANN)
        assert kept(shop_engine) == []
    with shop_engine.connect() as connection:
        (row,) = connection.execute(select(outbox.table))
    envelope = from_cloudevent(row.message.encode())
    assert (row.id, row.key, row.state) == (message_id, "ann", "waiting")
    assert (envelope.id, envelope.source, envelope.type, envelope.kind) == (message_id, "shop", "OrderPlaced", "event")
    assert (envelope.subject, envelope.data) == ("ann", b'{"customer":"ann","number":1}')


def test_a_transaction_that_is_rolled_back_leaves_nothing(shop_engine: Engine) -> None:
    with Session(shop_engine) as session:
        outbox.add(session, ANN)
        session.flush()
        session.rollback()
    with shop_engine.connect() as connection:
        place(connection, 1)
        connection.rollback()
    assert kept(shop_engine) == []


def test_a_savepoint_that_is_rolled_back_takes_its_messages_along(shop_engine: Engine) -> None:
    with Session(shop_engine) as session, session.begin():
        outbox.add(session, ANN, key="kept")
        savepoint = session.begin_nested()
        outbox.add(session, ANN, key="lost")
        savepoint.rollback()
        with session.begin_nested():
            outbox.add(session, ANN, key="kept too")
    assert [key for key, _ in kept(shop_engine)] == ["kept", "kept too"]


def test_messages_stand_in_the_order_in_which_they_were_added(shop_engine: Engine) -> None:
    keys = [str(number) for number in range(300)]
    with Session(shop_engine) as session, session.begin():
        for key in reversed(keys):
            outbox.add(session, ANN, key=key)
    assert [key for key, _ in kept(shop_engine)] == list(reversed(keys))


def test_connections_and_scoped_sessions_take_messages_too(shop_engine: Engine) -> None:
    with shop_engine.begin() as connection:
        place(connection, 1)
    session = scoped_session(sessionmaker(shop_engine))
    outbox.add(session, ANN, key=7)
    session.commit()
    session.remove()
    assert kept(shop_engine) == [("ann", "OrderPlaced"), ("7", "OrderPlaced")]


async def test_asyncio_sessions_and_connections_take_messages(postgres_address: Address) -> None:
    with postgres_engine(postgres_address.url) as engine:
        asyncio_engine = create_async_engine(postgres_address.url.replace("postgresql:", "postgresql+asyncpg:"))
        async with AsyncSession(asyncio_engine) as session, session.begin():
            outbox.add(session, ANN)
        async with asyncio_engine.begin() as connection:
            await connection.run_sync(outbox.add, ANN, key="bob")
            with pytest.raises(TypeError, match=r"write await connection\.run_sync\(outbox\.add, message\)"):
                outbox.add(connection, ANN)
        await asyncio_engine.dispose()
        assert [key for key, _ in kept(engine)] == ["ann", "bob"]


def test_a_second_transaction_waits_for_the_first_of_its_key_and_for_no_other(postgres_address: Address) -> None:
    with postgres_engine(postgres_address.url) as engine, engine.connect() as first, engine.connect() as second:
        place(first, 1, customer="ann")
        second.execute(text("set local lock_timeout = '100ms'"))
        place(second, 2, customer="bob")
        place(second, 3, customer=None)
        with pytest.raises(OperationalError, match="lock timeout"):
            place(second, 4, customer="ann")
        first.rollback()
        second.rollback()
        place(second, 4, customer="ann")


def test_transactions_that_add_the_same_keys_in_another_order_do_not_wait_for_each_other(
    postgres_address: Address,
) -> None:
    with postgres_engine(postgres_address.url) as engine, Session(engine) as first, Session(engine) as second:
        outbox.add(first, ANN, key="a")
        outbox.add(second, ANN, key="b")
        outbox.add(first, ANN, key="b")
        outbox.add(second, ANN, key="a")
        first.commit()
        second.commit()
        assert [key for key, _ in kept(engine)] == ["a", "b", "b", "a"]


class Hello(Query[int]):
    pass


class Greet(Command[None], name="greet", version=3):
    pass


class Late(Event):
    number: int


def test_commands_are_sent_as_such_and_queries_are_refused(shop_engine: Engine) -> None:
    with shop_engine.begin() as connection:
        outbox.add(connection, Greet())
        with pytest.raises(TypeError, match="Hello is a Query, whose answer is lost"):
            outbox.add(connection, Hello())
        sent = from_cloudevent(connection.execute(select(outbox.table.c.message)).scalar_one().encode())
    assert (sent.kind, sent.type, sent.version, sent.subject) == ("command", "greet", 3, None)


def test_what_does_not_fit_its_types_is_refused_where_it_leaves(shop_engine: Engine) -> None:
    with (
        shop_engine.begin() as connection,
        pytest.raises(OutgoingInvalid, match=r"Late does not fit its types: number"),
    ):
        outbox.add(connection, Late(number="7"))


def test_no_session_and_a_source_of_two_words_are_refused() -> None:
    with pytest.raises(TypeError, match="takes a Session, an AsyncSession or a Connection, not Engine"):
        outbox.add(create_engine("sqlite://"), ANN)
    with pytest.raises(ValueError, match="source='my shop' must be one word, such as source='shop'"):
        Outbox(MetaData(), source="my shop")


def test_migrations_see_nothing_to_change_in_tables_that_are_as_they_should_be(shop_engine: Engine) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def ours(named: object, kind: str, *rest: object) -> bool:
        return kind != "table" or str(named) in TABLES.tables

    with shop_engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": ours})
        assert compare_metadata(context, TABLES) == []
