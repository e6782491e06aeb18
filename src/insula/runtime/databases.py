"""Which adapter a module's data is behind: SQLite files, or PostgreSQL where an address is configured."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from insula.adapters.postgres.shown import without_password
from insula.adapters.sqlite.database import SqliteDatabase
from insula.adapters.sqlite.records import SqliteRecords
from insula.adapters.sqlite.sessions import SqliteSession
from insula.kernel.errors import ConfigurationError
from insula.runtime.configuration import Store
from insula.runtime.module_database import ModuleDatabase
from insula.runtime.movable import MovableDatabase
from insula.runtime.moves import Move, MoveState, move_of
from insula.runtime.surroundings import Surroundings
from insula.store.records import Records

_DRIVERS = ("asyncpg", "greenlet")
SQLITE = "sqlite:"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data of a module lies.

    Parameters: `address`, "postgresql://…" or "sqlite:FILE"; empty for the file in the directory of all; a
    `password_file` for the former.
    """

    address: str = ""
    password_file: str = ""

    def __str__(self) -> str:
        return without_password(self.address)

    def file(self, module: str, directory: Path) -> Path | None:
        """The SQLite file, None where it is none."""
        if not self.address:
            return directory / f"{module}.db"
        if not self.address.startswith(SQLITE):
            return None
        path = self.address.removeprefix(SQLITE).replace("{module}", module)
        return Path(path.removeprefix("//"))


def place_of(module: str, store: Store) -> Place:
    """Where the configuration says that the data of a module lies."""
    return Place(store.addresses.get(module, store.address), store.password_file)


def found_at(module: str, store: Store, directory: Path) -> Place:
    """Where it lies, also after it was moved. Raises ConfigurationError when the configuration says something else.

    The configuration may name the place it came from, until somebody writes the new one into it.
    """
    configured, move = place_of(module, store), move_of(directory, module)
    if move is None:
        return configured
    if store.addresses.get(module, move.source) not in (move.source, move.address):
        raise ConfigurationError(
            f"[store] says that the data of {module} lies in {configured}, but it was moved to {target_of(move)}; "
            f'write addresses = {{{module} = "{target_of(move)}"}}'
        )
    if move.state is not MoveState.UNDER_WAY:
        return target_of(move)
    return source_of(move) if configured.address == move.address else configured


def source_of(move: Move) -> Place:
    """Where a module came from."""
    return Place(move.source, move.source_password_file)


def target_of(move: Move) -> Place:
    """Where a module goes."""
    return Place(move.address, move.password_file)


def database_of(
    module: str, store: Store, surroundings: Surroundings, directory: Path, owners: Mapping[str, str]
) -> ModuleDatabase:
    """The database of a module; it is not started yet. Raises ConfigurationError and `AlreadyOpen`.

    Parameters: `directory`, where SQLite files lie; `owners`, table -> module, of tables that lie elsewhere.
    """
    if surroundings.sole_process:  # the simulator moves nothing
        return opened(module, place_of(module, store), store, surroundings, directory, owners)
    move = move_of(directory, module)

    def target() -> ModuleDatabase:
        place = Place() if move is None else target_of(move)
        return opened(module, place, store, surroundings, directory, owners)

    current = opened(module, found_at(module, store, directory), store, surroundings, directory, owners)
    return cast("ModuleDatabase", MovableDatabase(module, current, directory, move, target))


def opened(
    module: str, place: Place, store: Store, surroundings: Surroundings, directory: Path, owners: Mapping[str, str]
) -> ModuleDatabase:
    """The database at a place, as `database_of`."""
    file = place.file(module, directory)
    if file is None:
        from insula.adapters.postgres.database import PostgresDatabase

        return PostgresDatabase(
            _address(module, place), module, surroundings.clock, connections=store.connections,
            isolation=store.isolation, busy_timeout_seconds=store.busy_timeout_seconds,
            query_timeout_seconds=store.query_timeout_seconds, owners=owners, alone=not surroundings.holder,
            replica=_replica(module, place, store),
        )  # fmt: skip
    committer = surroundings.committer
    common: dict[str, Any] = {
        "busy_timeout_seconds": store.busy_timeout_seconds, "query_timeout_seconds": store.query_timeout_seconds,
        "committer": None if committer is None else committer(module), "threads": surroundings.threads,
        "owners": owners, "sole_process": surroundings.sole_process,
    }  # fmt: skip
    if surroundings.holder and surroundings.server is not None:
        return SqliteSession(file, module, surroundings.clock, server=surroundings.server(module), **common)
    if surroundings.holder:
        raise ConfigurationError(
            f"{module}: its data lies in an SQLite file, which one process may open; name a PostgreSQL database"
        )
    return SqliteDatabase(file, module, surroundings.clock, **common)


def records_of(module: str, store: Store, directory: Path, *, sole_process: bool) -> Records:
    """A module's data, for looking into. Parameters: `directory`, where SQLite files lie."""
    place = found_at(module, store, directory)
    file = place.file(module, directory)
    if file is None:
        from insula.adapters.postgres.records import PostgresRecords

        return PostgresRecords(_address(module, place), module)
    return SqliteRecords(file, module, sole_process=sole_process)


async def provision(modules: Sequence[str], store: Store, administrator: str) -> Sequence[str]:
    """Make the database and the role of each module where they are missing, shut to everybody else.

    Parameters: `administrator`, the address of somebody who may. Returns what was done, a line each.
    Raises ConfigurationError.
    """
    places = {module: place_of(module, store) for module in modules}
    return [
        f"{module}: {line}"
        for module, place in places.items()
        for line in await provision_at(module, place, administrator)
    ]


async def provision_at(module: str, place: Place, administrator: str) -> Sequence[str]:
    """Make the database and the role of one module at a place, as `provision`."""
    from insula.adapters.postgres.provision import provision as make

    return await make(administrator, _address(module, place))


def _replica(module: str, place: Place, store: Store) -> Any:
    """Where the handlers of queries read; None where that is the database itself, as for a module that lies apart."""
    if not store.read_address or place.address != store.address:
        return None
    return _address(module, Place(store.read_address, store.password_file))


def _address(module: str, place: Place) -> Any:
    missing = [name for name in _DRIVERS if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"store.address needs {' and '.join(missing)}, which is not installed: pip install 'insula[postgres]'"
        )
    from insula.adapters.postgres.address import Address

    return Address.of_module(place.address, module, place.password_file)
