"""`insula run` and `check`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from insula.boundaries import CheckUnavailable, crossings, policy_problems
from insula.cli.flag_checks import check_flags
from insula.cli.options import Config, Directory, Host, Json, Only, Port, Target, Topology, configured
from insula.cli.output import FAILED, explained, print_json, say
from insula.cli.target import find_system
from insula.kernel.clock import SystemClock
from insula.kernel.errors import AssemblyError, ConfigurationError
from insula.modules import Assembly
from insula.runtime.configuration import load
from insula.runtime.wiring import assembled, migration_problems

Lifeline = Annotated[int | None, typer.Option(hidden=True)]


@explained
def run(
    target: Target = None, host: Host = None, port: Port = None, directory: Directory = None, config: Config = None,
    topology: Topology = None, only: Only = None, lifeline: Lifeline = None,
) -> None:  # fmt: skip
    """Run a system, or one process of a topology, until SIGTERM or Ctrl-C; a second signal stops at once.

    Example: insula run shop.system:shop --port 8000

    Example: insula run shop.system:shop --topology services --only orders
    """
    configuration = configured(config, directory, host=host, port=port)
    if lifeline is not None:  # before the system is imported, which may take its time
        threading.Thread(target=end_with, args=(lifeline, configuration.http.stop_seconds), daemon=True).start()
    system = find_system(target, configuration)
    _log_to_terminal()
    from insula.runtime.local.addresses import Addresses
    from insula.runtime.part import part_of
    from insula.runtime.process import serve_system  # the server is not needed by the other commands

    if topology is None and only is not None:
        raise ConfigurationError("--only names a process of a topology; add --topology, such as --topology services")
    if topology is not None and port is not None:
        raise ConfigurationError("--port: the topology says where its processes are reached; write port= there")
    up = Addresses.running(Path(configuration.store.directory))
    if topology is None and up is not None:
        raise ConfigurationError(
            f"`insula up` runs topology {up.topology} for {configuration.store.directory}, as process {up.pid}: stop "
            "it first, or name another --directory"
        )
    part = None if topology is None else part_of(system, configuration, topology, only)
    _run(serve_system(system, configuration, part=part, announce=say))


def end_with(lifeline: int, seconds: float) -> None:
    """Stop this process when the one at the other end of the pipe has ended, however it ended.

    Parameters: `seconds`, after which it ends however far its draining is.
    """
    os.read(lifeline, 1)  # nothing is ever written: it returns when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)
    SystemClock().block(seconds)  # a handler may hold the event loop, which then hears of no signal
    os.kill(os.getpid(), signal.SIGKILL)


def _run(main: Any) -> None:
    import uvloop  # only here: other commands and the tests keep asyncio's own loop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


@explained
def check(target: Target = None, config: Config = None, as_json: Json = False) -> None:
    """Put the system together without starting it, and report every problem. Exit code 1 if there are any.

    A problem is what does not fit together, a migration that cannot be one, an import from one module's package past
    another's contract, and a resilience policy at the top of a file that does not do what it looks like. Feature flags
    that have expired are listed, which is no problem yet.
    `insula doctor` compares with the files that are there.

    Example: insula check shop.system:shop
    """
    configuration = load(config)
    system = find_system(target, configuration)
    problems, not_checked = list[str](), list[str]()
    assembly: Assembly | None = None
    try:
        assembly = assembled(system)
    except AssemblyError as error:
        heading, *listed = str(error).splitlines()
        problems += [line.removeprefix("  - ") for line in listed]
    else:
        heading = f"{system.name}: does not hold together"
        problems += migration_problems(system)
        problems += [str(problem) for problem in policy_problems(system)]
        try:
            problems += [str(crossing) for crossing in crossings(system)]
        except CheckUnavailable as error:
            not_checked.append(str(error))
    flags = check_flags(configuration, SystemClock().now().date())
    problems, not_checked = [*problems, *flags.problems], [*not_checked, *flags.not_checked]
    if as_json:
        found = {"problems": problems, "not_checked": not_checked, "expired_flags": flags.expired}
        print_json({"system": system.name, **_summary(assembly), **found})
    elif problems:
        say("\n  - ".join([heading, *problems]), stderr=True)
    elif assembly is not None:
        counts = _summary(assembly)
        say(
            f"{system.name}: {len(counts['modules'])} modules, {counts['commands_and_queries']} commands and queries, "
            f"{counts['events_heard']} events heard, {counts['routes']} routes. No problems."
        )
    if not as_json:
        for note in (*not_checked, *flags.expired):
            say(f"Note: {note}", stderr=True)
    if problems:
        raise SystemExit(FAILED)


def _summary(assembly: Assembly | None) -> dict[str, Any]:
    if assembly is None:
        return {}
    return {
        "modules": [module.name for module in assembly.system.modules],
        "commands_and_queries": len(assembly.handlers),
        "events_heard": len({declaration.message for _, declaration in assembly.consumers}),
        "routes": len(assembly.routes),
    }


def _log_to_terminal() -> None:
    handler: logging.Handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    if sys.stderr.isatty():
        handler = RichHandler(console=Console(stderr=True), show_path=False)
        handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)  # Python's word on what was never awaited belongs into the log, with its line
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
