"""`insula run`."""

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

from insula.cli.options import Config, Directory, Host, Only, Port, Target, Topology, configured
from insula.cli.output import explained, say
from insula.cli.target import find_system
from insula.kernel.clock import SystemClock
from insula.kernel.errors import ConfigurationError

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
    told_by_up = lifeline is not None and part is not None  # `insula up` says itself when a process is ready
    _run(serve_system(system, configuration, part=part, announce=say, tells_ready=not told_by_up))


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


def _log_to_terminal() -> None:
    handler: logging.Handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    if sys.stderr.isatty():
        handler = RichHandler(console=Console(stderr=True), show_path=False)
        handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)  # Python's word on what was never awaited belongs into the log, with its line
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
