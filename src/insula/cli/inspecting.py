"""`insula status`, `doctor`, `events tail` and `trace`: looking into a system."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from insula.cli.client import request
from insula.cli.options import Config, Json, Target
from insula.cli.output import FAILED, explained, print_json, print_json_line, show
from insula.cli.target import find_system
from insula.kernel.clock import SystemClock
from insula.kernel.errors import ConfigurationError, InsulaError
from insula.messages import Envelope
from insula.modules import System
from insula.runtime import presence
from insula.runtime.configuration import Configuration, load
from insula.runtime.inspection import Inspection

events = typer.Typer(no_args_is_help=True, help="The modules' logs.")


@explained
def status(config: Config = None, as_json: Json = False) -> None:
    """Show how the running system stands: logs, what waits between modules, what is parked.

    Example: insula status --json
    """
    configuration = load(config)
    found = request(Path(configuration.store.directory), "GET", "/_insula/status")
    if as_json:
        print_json(found)
        return
    modules = [tuple(each.values()) for each in found["modules"]]
    show(f"{found['system']}: modules", ("module", "log", "parked", "dead", "handled"), modules, as_json=False)
    behind = [tuple(each.values()) for each in found["relays"] if each["waiting"]]
    show("On their way", ("source", "subscriber", "position", "head", "waiting"), behind, as_json=False)


@explained
def doctor(target: Target = None, config: Config = None, as_json: Json = False) -> None:
    """Look for what would keep a system from running here. Exit code 1 if something would.

    Example: insula doctor shop.system:shop
    """
    configuration = load(config)
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
        f"{directory} ({'there' if directory.exists() else 'made at start'})",
    )
    try:
        running = presence.read(directory)
        yield "process", True, f"{running.pid} at {running.url}" if running else "none runs here"
        system = find_system(target, configuration)
        from insula.runtime.wiring import assembled

        assembled(system)
        yield "system", True, f"{system.name} fits together"
        yield from _files(system, directory)
    except InsulaError as error:
        yield "system", False, str(error)


def _files(system: System, directory: Path) -> Iterator[tuple[str, bool, str]]:
    for module in system.modules:
        path = directory / f"{module.name}.db"
        if not path.exists():
            continue
        try:
            with sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True) as connection:
                verdict = connection.execute("pragma quick_check").fetchone()[0]
        except sqlite3.Error as error:
            verdict = str(error)
        yield str(path), verdict == "ok", "sound" if verdict == "ok" else f"{verdict}; restore it from a backup"


@events.command()
@explained
def tail(
    target: Target = None, config: Config = None, as_json: Json = False,
    module: Annotated[str | None, typer.Option(help="Only this module's log.")] = None,
    count: Annotated[int, typer.Option("-n", min=0, help="How many of the newest of each log to begin with.")] = 10,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as the logs grow, until Ctrl-C.")] = False,
) -> None:  # fmt: skip
    """Print the newest messages of the logs; with --json, one to a line.

    Example: insula events tail shop.system:shop -f
    """
    configuration = load(config)
    system = find_system(target, configuration)
    chosen = [each for each in system.modules if module in (None, each.name)]
    if not chosen:
        raise ConfigurationError(f"{system.name} has no module {module!r}")
    with Inspection(system, configuration) as data:
        positions = {}
        for each in chosen:
            head = data.scalar(each, "select coalesce(max(position), 0) from insula_log")
            positions[each] = max(head - count, 0)
        while True:
            fresh = [envelope for each in chosen for envelope in data.log(each, after=positions[each])]
            for envelope in sorted(fresh, key=lambda one: one.time):
                _print(envelope, as_json=as_json)
            for each in chosen:
                positions[each] = max([positions[each], *(one.position for one in fresh if one.source == each.name)])
            if not follow:
                return
            asyncio.run(SystemClock().sleep(0.5))


def _print(envelope: Envelope, *, as_json: bool) -> None:
    if as_json:
        print_json_line(_shown(envelope))
        return
    when = envelope.time.isoformat(timespec="milliseconds")
    Console(soft_wrap=True).print(
        f"{when}  {envelope.source}:{envelope.position}  [bold]{envelope.type}[/]  "
        f"{escape(envelope.data.decode())}  {envelope.id}",
        highlight=False,
    )


def _shown(envelope: Envelope) -> dict[str, object]:
    shown = {name: getattr(envelope, name) for name in envelope.__struct_fields__}
    return {**shown, "data": msgspec.Raw(envelope.data)}


@explained
def trace(
    message_id: Annotated[str, typer.Argument(help="A message id: of a log, or the `insula-message-id` of an answer.")],
    target: Target = None, config: Config = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Show what one message caused, from the logs of all modules.

    Example: insula trace 01900000-0000-7000-8000-000000000000 shop.system:shop
    """
    configuration = load(config)
    system = find_system(target, configuration)
    with Inspection(system, configuration) as data:
        known = [envelope for module in system.modules for envelope in data.log(module)]
    own = next((one for one in known if one.id == message_id), None)
    correlation = own.correlation_id if own else message_id
    flow = [one for one in known if one.correlation_id == correlation]
    wanted = _caused_by(message_id, flow)
    if own is None and not wanted:
        Console(stderr=True).print(f"no log has message {message_id}, nor anything it caused")
        raise SystemExit(FAILED)
    if as_json:
        print_json([_shown(one) for one in ([own] if own else []) + wanted])
        return
    tree = Tree(_label(own) if own else f"{message_id} (called directly)")
    _grow(tree, message_id, flow)
    Console().print(tree)


def _caused_by(message_id: str, flow: list[Envelope]) -> list[Envelope]:
    found = [one for one in flow if one.causation_id == message_id]
    return [each for one in found for each in (one, *_caused_by(one.id, flow))]


def _grow(tree: Tree, message_id: str, flow: list[Envelope]) -> None:
    for one in flow:
        if one.causation_id == message_id:
            _grow(tree.add(_label(one)), one.id, flow)


def _label(envelope: Envelope) -> str:
    when = envelope.time.isoformat(timespec="milliseconds")
    return f"[bold]{envelope.type}[/] {envelope.source}:{envelope.position} {when} key={envelope.subject} {envelope.id}"
