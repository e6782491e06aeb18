"""`insula status` and `doctor`: how a system stands, and what would keep it from running."""

from __future__ import annotations

import importlib.metadata
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from insula.cli.client import ask, processes
from insula.cli.options import Config, Directory, Json, Target, configured
from insula.cli.output import FAILED, explained, print_json, show
from insula.cli.target import find_system
from insula.kernel.errors import ConfigurationError, InsulaError
from insula.modules import System
from insula.runtime import presence
from insula.runtime.configuration import Configuration
from insula.runtime.inspection import Inspection
from insula.runtime.presence import Presence
from insula.runtime.wiring import assembled, migration_problems

_MODULE_COLUMNS = ("module", "log", "parked", "dead", "delayed", "handled")
_MISSING_COLUMNS = ("source", "subscriber", "position", "missing")
_DATABASE_COLUMNS = ("module", "busy", "limit", "waits", "longest_wait_seconds", "refused", "failed", "circuit")
_LONG_WAIT_SECONDS = 1.0
_OPEN_COLUMNS = ("module", "unnumbered", "oldest_transaction", "oldest_transaction_seconds")
_FLAGS_COLUMNS = ("source", "version", "flags", "age_seconds", "stale", "trouble")
_LONG_SECONDS = 10.0
_RELAY_COLUMNS = ("source", "subscriber", "position", "head", "waiting")


@explained
def status(directory: Directory = None, config: Config = None, as_json: Json = False) -> None:
    """Show how the running system stands: logs, what is parked or delayed, what waits between modules.

    Example: insula status --json
    """
    configuration = configured(config, directory)
    running = processes(Path(configuration.store.directory))
    told, silent = list[tuple[Presence, dict[str, Any]]](), list[tuple[str, str]]()
    for process in running:
        try:
            told.append((process, ask(process, "GET", "/_insula/status")))
        except InsulaError as error:  # whoever asks wants to know of the others all the more
            silent.append((process.name or str(process.pid), str(error)))
    if not told:
        raise InsulaError("; ".join(f"{name}: {reason}" for name, reason in silent))
    found = _together(told)
    if silent:
        found = {**found, "ready": False, "silent": [{"process": name, "reason": reason} for name, reason in silent]}
    if as_json:
        print_json(found)
        return
    if silent:
        show("Processes that do not tell", ("process", "reason"), silent, as_json=False)
    columns = _MODULE_COLUMNS if len(running) == 1 else ("process", *_MODULE_COLUMNS, "moves_messages", "shares")
    show(f"{found['system']}: modules", columns, _cells(found["modules"], columns), as_json=False)
    unpublished = [{**each, "subscriber": "(the broker)"} for each in found["publishers"]]
    behind = [each for each in (*found["relays"], *unpublished) if each["waiting"]]
    show("On their way", _RELAY_COLUMNS, _cells(behind, _RELAY_COLUMNS), as_json=False)
    missing = [each for each in found["subscribers"] if each["missing"]]
    if missing:
        show("Partitions that miss something", _MISSING_COLUMNS, _cells(missing, _MISSING_COLUMNS), as_json=False)
    show_open_transactions(found["modules"])
    show_strained_databases(found["modules"])
    if found["flags"]:
        show("Flags", _FLAGS_COLUMNS, _cells(found["flags"], _FLAGS_COLUMNS), as_json=False)


def show_open_transactions(modules: list[dict[str, Any]]) -> None:
    """Those that are open for long: they hold what they have locked, and what the database would clean up."""
    held = [each for each in modules if each["unnumbered"] or each["oldest_transaction_seconds"] > _LONG_SECONDS]
    if held:
        rounded = [{**each, "oldest_transaction_seconds": round(each["oldest_transaction_seconds"])} for each in held]
        show("Open for long: find who has begun it, and end it", _OPEN_COLUMNS, _cells(rounded, _OPEN_COLUMNS),
             as_json=False)  # fmt: skip


def show_strained_databases(modules: list[dict[str, Any]]) -> None:
    """Those for whose connections somebody waited long or in vain, or that could not be reached."""
    counted = [(each["module"], measures) for each in modules if (measures := each["database"]) is not None]
    strained = [
        {"module": module, **each, "longest_wait_seconds": round(each["longest_wait_seconds"], 2)}
        for module, each in counted
        if each["refused"] or each["failed"] or each["longest_wait_seconds"] > _LONG_WAIT_SECONDS
    ]
    if strained:
        show("Databases that were short of connections, or away", _DATABASE_COLUMNS,
             _cells(strained, _DATABASE_COLUMNS), as_json=False)  # fmt: skip


def _together(told: list[tuple[Presence, dict[str, Any]]]) -> dict[str, Any]:
    """What the processes of a system say, as one."""
    if len(told) == 1:
        return told[0][1]
    lists = {
        part: [
            {"process": process.name, **each, "moves_messages": said["moves_messages"], "shares": said["shares"]}
            for process, said in told
            for each in said[part]
        ]
        for part in ("modules", "relays", "publishers", "subscribers", "flags")
    }
    return {"system": told[0][1]["system"], "ready": all(said["ready"] for _, said in told), **lists}


def _cells(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return [tuple(_cell(row.get(column)) for column in columns) for row in rows]


def _cell(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list) else value


@explained
def doctor(target: Target = None, directory: Directory = None, config: Config = None, as_json: Json = False) -> None:
    """Look for what would keep a system from running here. Exit code 1 if something would.

    The modules' files are read, never changed.

    Example: insula doctor shop.system:shop
    """
    configuration = configured(config, directory)
    rows = list(_findings(target, configuration))
    show("Doctor", ("what", "ok", "finding"), rows, as_json=as_json)
    if not all(ok for _, ok, _ in rows):
        raise SystemExit(FAILED)


def _findings(target: str | None, configuration: Configuration) -> Iterator[tuple[str, bool, str]]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield "python", sys.version_info >= (3, 11), f"{version} (3.11 or newer is needed)"
    yield "sqlite", sqlite3.sqlite_version_info >= (3, 35), f"{sqlite3.sqlite_version} (3.35 or newer is needed)"
    yield "insula", True, importlib.metadata.version("insula")
    directory = Path(configuration.store.directory)
    nearest = directory if directory.exists() else directory.absolute().parent
    yield (
        "directory",
        os.access(nearest, os.W_OK),
        f"{directory.absolute()} ({'there' if directory.exists() else 'made at start'})",
    )
    try:
        running = presence.found(directory)
        names = ", ".join(f"{each.name or each.pid} at {each.url}" for each in running)
        yield "process", True, names or "none runs here"
        system = find_system(target, configuration)
        assembled(system)
        problems = migration_problems(system)
        yield "system", not problems, "; ".join(problems) or f"{system.name} fits together"
        yield from _stored(system, configuration)
    except InsulaError as error:
        yield "system", False, str(error)


def _stored(system: System, configuration: Configuration) -> Iterator[tuple[str, bool, str]]:
    with Inspection(system, configuration) as data:
        for module in system.modules:
            records = data.of(module)
            try:
                if records.exists():
                    faults = data.faults(module)
                    yield records.place, not faults, "; ".join(faults) or "sound"
            except ConfigurationError as error:
                yield records.place, False, str(error)
