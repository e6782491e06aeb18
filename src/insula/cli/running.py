"""`insula run`, `dev` and `check`."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.logging import RichHandler

from insula.boundaries import CheckUnavailable, crossings
from insula.cli.options import Config, Json, Target
from insula.cli.output import FAILED, explained, print_json
from insula.cli.target import find_system
from insula.kernel.errors import AssemblyError
from insula.runtime.configuration import Configuration, load
from insula.runtime.wiring import assembled

Port = Annotated[int | None, typer.Option(help="Port to serve on; 0 takes a free one. Default: as configured, 8000.")]
Host = Annotated[str | None, typer.Option(help="Address to serve on. Default: as configured, 127.0.0.1.")]
Directory = Annotated[Path | None, typer.Option(help="Where the modules' files lie. Default: as configured, .insula.")]


@explained
def run(
    target: Target = None, host: Host = None, port: Port = None, directory: Directory = None, config: Config = None
) -> None:
    """Run a system in one process until SIGTERM or Ctrl-C; a second signal stops at once.

    Example: insula run shop.system:shop --port 8000
    """
    configuration = with_overrides(load(config), host, port, directory)
    system = find_system(target, configuration)
    _log_to_terminal()
    from insula.runtime.process import serve_system  # the server is not needed by the other commands

    console = Console(soft_wrap=True)
    _run(serve_system(system, configuration, announce=lambda line: console.print(line, highlight=False)))


def _run(main: Any) -> None:
    import uvloop  # only here: other commands and the tests keep asyncio's own loop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


@explained
def dev(
    target: Target = None, host: Host = None, port: Port = None, directory: Directory = None, config: Config = None
) -> None:
    """Run a system and start it again whenever a Python file or insula.toml below this folder changes.

    Example: insula dev hello:shop
    """
    from watchfiles import PythonFilter, run_process  # only `dev` watches files

    arguments = [sys.executable, "-m", "insula.cli", "run"]
    arguments += [target] if target else []
    named = (("--host", host), ("--port", port), ("--directory", directory), ("--config", config))
    for option, value in named:
        arguments += [option, str(value)] if value is not None else []
    import shlex

    Console().print("insula dev: starting again when a file changes; Ctrl-C ends it")
    run_process(
        Path.cwd(), target=shlex.join(arguments), target_type="command",
        watch_filter=PythonFilter(extra_extensions=(".toml", ".sql")), sigint_timeout=12,
    )  # fmt: skip


@explained
def check(target: Target = None, config: Config = None, as_json: Json = False) -> None:
    """Put the system together without starting it, and report every problem. Exit code 1 if there are any.

    A problem is what does not fit together, and an import from one module's package past another's contract.

    Example: insula check shop.system:shop
    """
    system = find_system(target, load(config))
    try:
        assembly = assembled(system)
    except AssemblyError as error:
        _refuse(system.name, str(error), str(error).splitlines()[1:], as_json=as_json)
    unchecked = ""
    try:
        problems = [str(crossing) for crossing in crossings(system)]
    except CheckUnavailable as error:
        problems, unchecked = [], str(error)
    if problems:
        _refuse(
            system.name,
            f"{system.name}: modules reach past contracts\n  " + "\n  ".join(problems),
            problems,
            as_json=as_json,
        )
    heard = {declaration.message for _, declaration in assembly.consumers}
    summary = {
        "system": system.name,
        "modules": [module.name for module in system.modules],
        "commands and queries": len(assembly.handlers),
        "events heard": len(heard),
        "routes": len(assembly.routes),
        "problems": [],
        "not checked": [unchecked] if unchecked else [],
    }
    if as_json:
        print_json(summary)
        return
    Console().print(
        f"{system.name}: {len(system.modules)} modules, {len(assembly.handlers)} commands and queries, "
        f"{len(heard)} events heard, {len(assembly.routes)} routes. No problems.",
        soft_wrap=True,
    )
    if unchecked:
        Console(stderr=True).print(f"Note: {unchecked}", highlight=False, soft_wrap=True)


def _refuse(system: str, text: str, problems: Sequence[str], *, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"system": system, "problems": problems})
    else:
        Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)
    raise SystemExit(FAILED) from None


def with_overrides(
    configuration: Configuration, host: str | None, port: int | None, directory: Path | None
) -> Configuration:
    """The configuration with what the command line says instead."""
    replace = msgspec.structs.replace
    http, store = configuration.http, configuration.store
    http = replace(http, host=host or http.host, port=http.port if port is None else port)
    store = replace(store, directory=str(directory or store.directory))
    return replace(configuration, http=http, store=store)


def _log_to_terminal() -> None:
    handler: logging.Handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    if sys.stderr.isatty():
        handler = RichHandler(console=Console(stderr=True), show_path=False)
        handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
