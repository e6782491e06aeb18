"""Makes a module's database and role, with no rights elsewhere, on behalf of an administrator."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import asyncpg

from insula.adapters.postgres.address import Address, require_version
from insula.kernel.errors import ConfigurationError

_HAS_ROLE = "select 1 from pg_roles where rolname = $1"
_HAS_DATABASE = "select 1 from pg_database where datname = $1"
# These statements take no parameters, so the server itself quotes the names into them.
_MAKE_ROLE = "select format('create role %I login password %L', $1::text, $2::text)"
_MAKE_DATABASE = "select format('create database %I owner %I', $1::text, $2::text)"
_SHUT_OTHERS_OUT = "select format('revoke all on database %I from public', $1::text)"


async def provision(administrator: str, module: Address) -> list[str]:
    """Make the role and the database of `module` where they are missing; nobody else may connect to it afterwards.

    Parameters: `administrator`, the address of somebody who may create both; `module`, with the role's password.
    Returns what was done, a line each. Raises ConfigurationError when the administrator is refused, too.
    """
    parts = urlsplit(module.url)
    role, database = unquote(parts.username or ""), module.database
    password = await module.password() if module.password_file is not None else unquote(parts.password or "")
    if not role or not password:
        raise ConfigurationError(f"{module}: name a role and its password, in the address or store.password_file")
    by_whom = Address(administrator)
    try:
        connection = await by_whom.connect("insula provision", {})
    except Exception as error:
        raise by_whom.explained(error) or error from error
    try:
        require_version(connection, by_whom)
        return await _provided(connection, role, password, database)
    finally:
        await connection.close()


async def _provided(connection: asyncpg.Connection, role: str, password: str, database: str) -> list[str]:
    done = []
    if not await connection.fetchval(_HAS_ROLE, role):
        await connection.execute(await connection.fetchval(_MAKE_ROLE, role, password))
        done.append(f"made role {role}")
    if not await connection.fetchval(_HAS_DATABASE, database):
        await connection.execute(await connection.fetchval(_MAKE_DATABASE, database, role))
        done.append(f"made database {database}")
    await connection.execute(await connection.fetchval(_SHUT_OTHERS_OUT, database))
    return done
