"""A database of the user's, by its SQLAlchemy address, with whatever driver stands in it: plain or asyncio."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from insula.kernel.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

Value = TypeVar("Value")

_POSTGRES_DRIVERS = ("psycopg", "psycopg2", "asyncpg")


class SqlTransactions:
    """Runs functions on a connection, each in a transaction of its own, one at a time.

    Parameters: `address` as SQLAlchemy takes it, such as "postgresql+psycopg://shop@localhost/shop"; without a
    driver in it one that is installed is taken; a password may also stand where the driver looks for it (PGPASSWORD,
    .pgpass).
    Raises ConfigurationError for what is no address, and for a driver that is not installed.
    """

    def __init__(self, address: str) -> None:
        self.address = "the database"
        self._engine: Engine | None = None
        self._async_engine: AsyncEngine | None = None
        try:
            url = with_driver(make_url(address))
            self.address = url.set(query={}).render_as_string(hide_password=True)
            if url.get_dialect().is_async:
                from sqlalchemy.ext.asyncio import create_async_engine

                self._async_engine = create_async_engine(url, pool_size=1, pool_pre_ping=True)
            else:
                self._engine = create_engine(url, pool_pre_ping=True)
        except (ArgumentError, NoSuchModuleError):
            raise ConfigurationError(
                f"{self.address}: no address that SQLAlchemy knows; write it like sqlite:///shop.db or "
                "postgresql+psycopg://shop@localhost/shop"
            ) from None
        except ModuleNotFoundError as error:
            raise ConfigurationError(f"{self.address} needs {error.name}, which is not installed") from error
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="insula-sql")
        self._turn = asyncio.Lock()

    async def run(self, work: Callable[[Connection], Value]) -> Value:
        """Run a function in a transaction that commits when it returns.

        Raises `Unavailable` where the database does not answer or refuses, and what the function raises.
        """
        try:
            async with self._turn:
                if self._async_engine is not None:
                    async with self._async_engine.begin() as connection:
                        return await connection.run_sync(work)
                return await self._in_thread(work)
        except DBAPIError as error:
            raise Unavailable(f"{self.address}: {first_line(error.orig or error)}") from error
        except Exception as error:
            if isinstance(error, OSError) or type(error).__module__.startswith("asyncpg"):  # while it connects
                raise Unavailable(f"{self.address}: {first_line(error)}") from error
            raise

    async def _in_thread(self, work: Callable[[Connection], Value]) -> Value:
        """A thread cannot be stopped: whoever is cancelled waits for its end, so that none runs beside the next."""

        def transaction() -> Value:
            assert self._engine is not None  # noqa: S101 - there is one or the other
            with self._engine.begin() as connection:
                return work(connection)

        running = asyncio.get_running_loop().run_in_executor(self._thread, transaction)
        try:
            return await asyncio.shield(running)
        finally:
            await asyncio.wait([running])

    async def close(self) -> None:
        """Close every connection."""
        if self._async_engine is not None:
            await self._async_engine.dispose()
        if self._engine is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()


def with_driver(url: URL) -> URL:
    """The address with a driver that is installed, where it names none. Raises ConfigurationError."""
    if url.drivername != "postgresql":
        return url
    driver = next((each for each in _POSTGRES_DRIVERS if importlib.util.find_spec(each) is not None), None)
    if driver is None:
        raise ConfigurationError("PostgreSQL needs a driver: pip install 'insula[postgres]'")
    return url.set(drivername=f"postgresql+{driver}")


def first_line(error: BaseException) -> str:
    """What an error says, without what drivers add to it."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
