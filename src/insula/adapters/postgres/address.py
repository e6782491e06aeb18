"""Where a module's database is, as whom it is opened, and what to say when it cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg

from insula.adapters.postgres.errors import failure_of, original, state_of
from insula.adapters.postgres.shown import without_password
from insula.kernel.errors import ConfigurationError

OLDEST_VERSION = 14
_CONNECT_SECONDS = 10.0
_MODULE = "{module}"
_MADE_BY = "`insula provision` makes it, or correct store.address"
_SCHEMES = ("postgresql", "postgres")


@dataclass(frozen=True, slots=True)
class Address:
    """A database and the role that opens it.

    Parameters: `url`, postgresql://role:password@host:port/database; `password_file`, a file with the password alone,
    which is read at each new connection, so that a password that was changed is found (default: that of the URL, else
    PGPASSWORD or a .pgpass file).
    """

    url: str
    password_file: Path | None = None

    @classmethod
    def of_module(cls, template: str, module: str, password_file: str = "") -> Address:
        """The address with the module's name in place of `{module}`, in the file's name too.

        Raises ConfigurationError for what is no address.
        """
        parts = urlsplit(template)
        if parts.scheme not in _SCHEMES or not parts.path.strip("/"):
            raise ConfigurationError(
                f"store.address: {without_password(template)} is no address of a database; write it like "
                f"postgresql://{_MODULE}@localhost:5432/{_MODULE}"
            )
        file = Path(password_file.replace(_MODULE, module)) if password_file else None
        return cls(template.replace(_MODULE, module), file)

    def __str__(self) -> str:
        return without_password(self.url)

    @property
    def database(self) -> str:
        """The database's name."""
        return unquote(urlsplit(self.url).path.strip("/"))

    async def connect(self, name: str, settings: Mapping[str, str]) -> asyncpg.Connection:
        """A new connection. Parameters: `name` that the server shows; `settings` of the session.

        Raises OSError, TimeoutError and PostgreSQL's own errors; `explained` has words for them.
        """
        return await asyncpg.connect(
            self.url,
            password=self.password if self.password_file is not None else None,
            timeout=_CONNECT_SECONDS,
            statement_cache_size=512,
            server_settings={"application_name": name, "jit": "off", **settings},
        )

    async def password(self) -> str:
        """What the password file says now."""
        assert self.password_file is not None  # noqa: S101 - see connect
        return await asyncio.to_thread(_read, self.password_file)

    def explained(self, error: BaseException) -> ConfigurationError | None:
        """What to say at start when the database cannot be opened; None when it may just be away for a moment."""
        cause, state, parts = original(error), state_of(error), urlsplit(self.url)
        role, database = unquote(parts.username or ""), self.database
        if isinstance(cause, ConfigurationError):
            return cause
        if state == "28P01":
            return ConfigurationError(f"{self}: role {role} is refused: wrong password; see store.password_file")
        if state == "28000":
            return ConfigurationError(
                f"{self}: role {role} is refused ({cause}); `insula provision` makes it, or correct store.address"
            )
        if state == "42501":
            return ConfigurationError(f"{self}: role {role} may not open database {database}; {cause}")
        if state == "3D000":
            return ConfigurationError(
                f"{self}: there is no database {database}; `insula provision` makes it, or correct store.address"
            )
        if isinstance(cause, (asyncpg.ClientConfigurationError, ValueError)):
            return ConfigurationError(f"{self}: {cause}; correct store.address")
        if isinstance(cause, (OSError, TimeoutError)):
            where = f"{parts.hostname or 'localhost'}:{parts.port or 5432}"
            return ConfigurationError(f"{self}: nobody answers at {where} ({cause}); start PostgreSQL, or correct it")
        failure = failure_of(error, str(self))
        return None if failure is None else ConfigurationError(str(failure))


def require_version(connection: asyncpg.Connection, address: Address) -> None:
    """Raise ConfigurationError for a server that is too old."""
    found = connection.get_server_version().major
    if found < OLDEST_VERSION:
        raise ConfigurationError(f"{address}: PostgreSQL {found} is too old; {OLDEST_VERSION} or newer is needed")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"store.password_file: {file}: {error.strerror}") from error
