"""`insula up`: all processes of a topology on this machine, with the servers they need."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from insula.cli.options import Config, Directory, Target, configured
from insula.cli.output import explained, say
from insula.cli.target import find_system
from insula.modules import System
from insula.runtime.configuration import Configuration
from insula.runtime.local.addresses import Addresses, claimed, runs_already
from insula.runtime.local.servers import LocalServers
from insula.runtime.supervisor import Program, Supervisor
from insula.runtime.topology import SERVICES, PlannedProcess, TopologyPlan, planned

Which = Annotated[str, typer.Option(help="A topology of insula.toml, or services: a process for each module.")]

_COLOURS = ("cyan", "green", "yellow", "blue", "magenta", "bright_cyan", "bright_green", "bright_yellow")
_READY_SECONDS = 60.0
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@explained
def up(
    target: Target = None, topology: Which = SERVICES, directory: Directory = None, config: Config = None
) -> None:  # fmt: skip
    """Run all processes of a topology on this machine, with the servers that it calls "local"; Ctrl-C stops all.

    A process or server that ends by itself is started again. A second Ctrl-C ends everything at once.

    Example: insula up shop.system:shop --topology services
    """
    configuration = configured(config, directory)
    system = find_system(target, configuration)
    plan = planned(system, configuration, topology)
    place = Path(configuration.store.directory)
    running = Addresses.running(place)
    if running is not None:
        raise runs_already(place, running.pid)
    printer = Printer([*(process.name for process in plan.processes), "postgres", "nats"])
    command = [sys.executable, "-m", "insula.cli", "run", *([target] if target else []), "--topology", topology]
    command += ["--directory", str(place), *(["--config", str(config)] if config else [])]
    programs = [_program(process, command, configuration) for process in plan.processes]
    supervisor = Supervisor(
        programs, printer, ready_seconds=_READY_SECONDS, stop_seconds=configuration.http.stop_seconds
    )
    supervisor.check()
    names = [module.name for module in system.modules]
    with claimed(place):
        servers = LocalServers(plan, names, place, printer, password_file=configuration.store.password_file)
        for number in _STOPS:  # until the processes run, and know better: what has been started is stopped at once
            signal.signal(number, _leave)
        try:
            servers.start()
            asyncio.run(_supervised(supervisor, servers, system, plan))
        finally:
            servers.stop()
    say(f"{system.name} has stopped")


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def _program(process: PlannedProcess, command: list[str], configuration: Configuration) -> Program:
    return Program(process.name, [*command, "--only", process.name], process.port, configuration.http.host)


async def _supervised(supervisor: Supervisor, servers: LocalServers, system: System, plan: TopologyPlan) -> None:
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            supervisor.kill()
            return
        stopping = True
        say("stopping: every process finishes what is under way; Ctrl-C again ends all at once")
        supervisor.stop()

    for number in _STOPS:
        asyncio.get_running_loop().add_signal_handler(number, stop)
    keeping = asyncio.create_task(servers.keep())
    first = plan.processes[0].url
    many = f"{len(plan.processes)} processes" if len(plan.processes) > 1 else "one process"
    try:
        await supervisor.run(lambda: say(f"{system.name} is up: {many}; any answers the whole API, at {first}/docs"))
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


class Printer:
    """Prints what each process says, one below the other, its name in a colour of its own."""

    def __init__(self, names: Iterable[str]) -> None:
        known = list(names)
        self._width = max(len(name) for name in known)
        self._colours = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(known)}

    def __call__(self, name: str, line: str) -> None:
        """Print one line."""
        label = f"{name:<{self._width}} │ "
        say(Text.assemble((label, self._colours.get(name, "")), line))
