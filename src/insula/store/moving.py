"""The port of a database as one end of an extraction: a module's rows go from one to another while the module runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection as SqlConnection

from insula.kernel.errors import ConfigurationError
from insula.store.moved_rows import MovedTable

Value = TypeVar("Value")

MOVED_TO = "moved_to"
"""The row of `insula_meta` that says a database is out of use. Every transaction that would write looks for it."""

STATE = "insula_extraction"
STATE_TABLE = f"create table if not exists {STATE} (name text primary key, value text not null)"
IDENTIFIER = "identifier"
GIVEN_UP = "given up"


class View(Protocol):
    """Committed rows, all as they were at one moment."""

    async def run(self, work: Callable[[SqlConnection], Value]) -> Value:
        """What `work` reads. It is synchronous, and may run on a thread."""
        ...


class Hold(View, Protocol):
    """The same while nobody else can write."""

    async def commit(self, statements: Sequence[str]) -> None:
        """Run statements and commit them; from then on others may write again, if the database lets them."""
        ...


class Side(Protocol):
    """One end of an extraction."""

    def snapshot(self) -> AbstractAsyncContextManager[View]:
        """A moment of the database."""
        ...

    def hold(self, tables: Sequence[str]) -> AbstractAsyncContextManager[Hold]:
        """Keep everybody from writing. What is not committed at the end of the block is undone, and all go on."""
        ...

    async def write(self, work: Callable[[SqlConnection], Value]) -> Value:
        """Run `work` in a transaction, on a database that nobody else writes."""
        ...

    async def execute(self, statements: Sequence[str]) -> None:
        """Run statements in one transaction, beside the units of the running module."""
        ...

    def capture(self, connection: SqlConnection, table: MovedTable) -> Sequence[str]:
        """The statements after which the database notes the key of each row of a table that changes."""
        ...

    def captured(self, connection: SqlConnection) -> Collection[str]:
        """The names of the tables of which changes are noted."""
        ...

    def stop_capture(self, table: MovedTable) -> Sequence[str]:
        """The statements that undo `capture`; harmless without it."""
        ...

    def refuse(self, tables: Sequence[str], why: str) -> Sequence[str]:
        """The statements after which every transaction that writes is refused."""
        ...

    def accept(self, tables: Sequence[str]) -> Sequence[str]:
        """The statements that undo `refuse`."""
        ...

    def quiet(self, connection: SqlConnection) -> Mapping[str, Sequence[str]]:
        """Let rows come in any order and set nothing off: foreign keys, triggers and the like.

        Returns, by kind, the statements that undo it; they have to be kept, since the database forgets.
        """
        ...

    def numbers(self, connection: SqlConnection) -> Mapping[str, int]:
        """The last number given by the database itself, by table."""
        ...

    def number_on(self, connection: SqlConnection, numbers: Mapping[str, int]) -> None:
        """Go on after the greatest number there is, and after those given elsewhere."""
        ...

    async def close(self) -> None:
        """Close the connections that were opened for this."""
        ...


class MovableAdapter(Protocol):
    """What an extraction asks of a database beside its `Side`."""

    async def claim(self, identifier: str) -> bool:
        """Mark an empty database as the target of one extraction, before `start`; False when it was marked before.

        One whose extraction was given up may be taken again. Raises ConfigurationError for any other.
        """
        ...

    async def rivals(self) -> Sequence[str]:
        """The names of other processes that have the database open for the same module."""
        ...

    def side(self) -> Side:
        """This database, once it is started, as one end of an extraction."""
        ...

    def succeed(self, successor: Any) -> None:
        """Hand over what was held up, and all that comes, to another database."""
        ...


def claimed(place: str, tables: Sequence[str], found: str | None, identifier: str) -> bool:
    """Whether a database is taken anew for an extraction; False when it was its target before.

    Parameters: `tables` that are there; `found`, the extraction that it was marked with, None for none.
    Raises ConfigurationError when it may not be taken.
    """
    if found == identifier:
        return False
    if found == GIVEN_UP or not tables:
        return True
    if found is not None:
        raise ConfigurationError(f"{place} is the target of another extraction; name an empty database")
    some = ", ".join(sorted(tables)[:3])
    raise ConfigurationError(f"{place} is not empty: it has {len(tables)} tables ({some}…); name an empty database")
