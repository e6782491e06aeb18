"""`insula`: run a system, look into it, and mend it."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer

from insula.cli import (
    checking,
    developing,
    extracting,
    flagging,
    inspecting,
    letters,
    provisioning,
    relaying,
    running,
    scaffolding,
    simulating,
    supervising,
    tracing,
)
from insula.cli.output import say

application = typer.Typer(
    name="insula",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"insula {importlib.metadata.version('insula')}")
        raise typer.Exit


@application.callback()
def insula(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Write service systems as modules; run them as one process or as many. Example: insula run shop.system:shop"""


application.command()(running.run)
application.command()(developing.dev)
application.command()(supervising.up)
application.command()(checking.check)
application.command()(inspecting.status)
application.command()(inspecting.doctor)
application.command()(provisioning.provision)
application.command()(relaying.relay)
application.command()(tracing.trace)
application.add_typer(simulating.simulate, name="simulate")
application.add_typer(tracing.events, name="events")
application.add_typer(letters.letters, name="dead-letters")
application.add_typer(flagging.flags, name="flags")
application.add_typer(extracting.module, name="module")
application.add_typer(scaffolding.new, name="new")


def main() -> None:
    """Entry point of the console script."""
    application()
