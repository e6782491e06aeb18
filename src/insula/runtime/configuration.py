"""Configuration: `insula.toml` and `INSULA_…` environment variables, checked before anything starts."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from insula.kernel.errors import ConfigurationError

# How msgspec words this error.
_UNKNOWN = "Object contains unknown field "

FILE = "insula.toml"
_NOT_BY_VARIABLE = ("system", "topology")
PREFIX = "INSULA_"

_SAVE_SECONDS = 10.0

_Positive = Annotated[float, msgspec.Meta(gt=0)]
_Count = Annotated[int, msgspec.Meta(ge=1)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class Http(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where requests are taken. `port` 0 takes a free one; `caller_header` is trusted to name the caller, if set.

    `drain_seconds` is how long the stop waits for requests under way, and then for other handlers under way.
    """

    host: str = "127.0.0.1"
    port: _Port = 8000
    body_limit_bytes: _Count = 1_048_576
    requests_at_once: _Count = 1000
    caller_header: str = ""
    drain_seconds: _Positive = 10.0

    @property
    def stop_seconds(self) -> float:
        """How long a stop may take before the process is killed: both waits, and the saving of cursors."""
        return 2 * self.drain_seconds + _SAVE_SECONDS


class Delivery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often a message that fails is tried again, before it is a dead letter.

    `handler_timeout_seconds` is how long the handler of an event, a schedule or a sent command may take.
    """

    attempts: _Count = 8
    first_delay_seconds: _Positive = 0.5
    longest_delay_seconds: _Positive = 300.0
    handler_timeout_seconds: _Positive = 60.0


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the modules' data lies, and how long things are kept and waited for.

    `address` is that of the modules' PostgreSQL databases, such as "postgresql://{module}@127.0.0.1/{module}"; empty
    means SQLite files in `directory`. `password_file` holds a module's password and may have `{module}` in its name; it
    is read again for each connection. `addresses` names those of single modules that lie elsewhere, also
    "sqlite:FILE". `read_address` is that of a replica, from which the handlers of queries read what was true a moment
    ago. `connections` is the most that one module has open; `isolation`, of handlers.
    """

    directory: str = ".insula"
    address: str = ""
    password_file: str = ""
    read_address: str = ""
    addresses: dict[str, str] = {}
    connections: Annotated[int, msgspec.Meta(ge=4)] = 10
    isolation: Literal["serializable", "repeatable read", "read committed"] = "serializable"
    busy_timeout_seconds: _Positive = 5.0
    query_timeout_seconds: _Positive = 30.0
    answers_kept_hours: _Positive = 168.0
    log_kept_days: _Positive = 30.0


class Processes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some modules that run in one process, or in `replicas` alike; `port` 0 takes the next of the topology.

    `address` is where the others reach it, such as "http://orders:8000", when that is not this machine.
    """

    modules: tuple[str, ...]
    replicas: _Count = 1
    port: _Port = 0
    address: str = ""


class Topology(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a system is spread over processes.

    `database` is the address of the modules' databases, such as "postgresql://127.0.0.1/{module}"; "local" starts a
    server from the wheel; empty means SQLite files. `transport` is the broker's, likewise; empty means none.
    `token_file` holds what the processes show each other when they call; empty means one that `insula up` makes.
    `processes`, by name; modules in none of them have their own. They take ports from `first_port` on.
    """

    database: str = ""
    transport: str = ""
    token_file: str = ""
    first_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8001
    processes: dict[str, Processes] = {}


class Relay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `insula relay` does by default: `outbox`, like "shop.tables:outbox", is emptied into `to`.

    `database` is its address as SQLAlchemy takes it. Another relay goes on `lease_seconds` after one has died; what was
    sent stays in the table for `kept_days`.
    """

    outbox: str = ""
    database: str = ""
    to: str = ""
    poll_seconds: _Positive = 0.5
    lease_seconds: Annotated[float, msgspec.Meta(ge=1)] = 10.0
    kept_days: _Positive = 7.0


class Package(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The package of one module; others may import its `contract`, by default `<package>.contract`."""

    package: str
    contract: str = ""


class Boundaries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `insula check` keeps apart. `baseline` is a file of imports past contracts that are known.

    `modules`, name -> package, says what the modules are where there is no System.
    """

    baseline: str = ""
    modules: dict[str, str | Package] = {}


class FlagSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where flags come from: `source`, a file of TOML or JSON, a URL, or a database; empty: the code's defaults.

    It is looked at every `check_seconds`; flags that it does not confirm for `stale_seconds` are stale. The last good
    ones are in the file `kept` (default "flags.kept" in the store's directory). `token_file` holds the token for a URL,
    or the password of a database.
    """

    source: str = ""
    check_seconds: _Positive = 5.0
    stale_seconds: _Positive = 60.0
    kept: str = ""
    token_file: str = ""


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be configured. `system` is what the command line is about by default."""

    system: str = ""
    http: Http = Http()
    delivery: Delivery = Delivery()
    store: Store = Store()
    relay: Relay = Relay()
    boundaries: Boundaries = Boundaries()
    flags: FlagSettings = FlagSettings()
    topology: dict[str, Topology] = {}


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Configuration:
    """Read the configuration.

    Parameters: `path`, default `insula.toml` in the current folder, where it may be missing; `environment`, whose
    `INSULA_HTTP_PORT=9000` overrides `port` in `[http]`, default that of the process.
    Raises ConfigurationError naming file (or variable), key and what was expected.
    """
    file = path or Path(FILE)
    values: dict[str, Any] = {}
    if path is not None and not file.is_file():
        raise ConfigurationError(f"{file}: no such file")
    if file.is_file():
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{file}: {error}") from error
        _checked(values, str(file), strict=True)
    for variable, text in sorted((os.environ if environment is None else environment).items()):
        if variable.startswith(PREFIX):
            _override(values, variable, text)
    return _checked(values, str(file), strict=False)


def _override(values: dict[str, Any], variable: str, text: str) -> None:
    name = variable.removeprefix(PREFIX).lower()
    if name == "system":
        values["system"] = text
        return
    section, _, key = name.partition("_")
    known = {field.name: field for field in msgspec.structs.fields(Configuration) if field.name not in _NOT_BY_VARIABLE}
    if section not in known or key not in {field.name for field in msgspec.structs.fields(known[section].type)}:
        names = ", ".join(f"{PREFIX}{name.upper()}_…" for name in known)
        raise ConfigurationError(f"environment variable {variable}: no such setting; there are {names}")
    one = {section: {key: text}}
    _checked(one, f"environment variable {variable}", strict=False)
    values.setdefault(section, {})[key] = text


def _checked(values: dict[str, Any], origin: str, *, strict: bool) -> Configuration:
    try:
        configuration = msgspec.convert(values, Configuration, strict=strict)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        section = where.rstrip("`").lstrip(".")
        unknown = reason.removeprefix(_UNKNOWN)
        if unknown != reason:
            raise ConfigurationError(f"{origin}: {_no_such_key(section, unknown.strip('`'))}") from error
        raise ConfigurationError(f"{origin}: {section or 'the file'}: {reason}") from error
    delivery = configuration.delivery
    if delivery.first_delay_seconds > delivery.longest_delay_seconds:
        raise ConfigurationError(
            f"{origin}: delivery.first_delay_seconds is {delivery.first_delay_seconds:g}, longer than "
            f"longest_delay_seconds, which is {delivery.longest_delay_seconds:g}; raise the latter"
        )
    return configuration


def _no_such_key(section: str, key: str) -> str:
    """What is wrong with a key that is not known, and which there are."""
    known = [field.name for field in msgspec.structs.fields(_kind_of(section))]
    near = difflib.get_close_matches(key, known, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    where = f"[{section.replace('[...]', '.NAME')}]" if section else "the file"
    return f"{where} has no key {key}; {meant}There are {', '.join(known)}"


def _kind_of(section: str) -> type[msgspec.Struct]:
    if section.startswith("topology"):
        return Processes if "processes" in section else Topology
    if section.startswith("boundaries.modules"):
        return Package
    kinds: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Configuration)}
    kind: type[msgspec.Struct] = kinds[section] if section else Configuration
    return kind
