"""`insula`: run a system, look into it, and mend it."""

from __future__ import annotations

import typer

from insula.cli import inspecting, letters, running, scaffolding, simulating

application = typer.Typer(
    name="insula",
    help="Write service systems as modules; run them as one process.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
application.command()(running.run)
application.command()(running.dev)
application.command()(running.check)
application.command()(inspecting.status)
application.command()(inspecting.doctor)
application.command()(inspecting.trace)
application.add_typer(simulating.simulate, name="simulate")
application.add_typer(inspecting.events, name="events")
application.add_typer(letters.letters, name="dead-letters")
application.add_typer(scaffolding.new, name="new")


def main() -> None:
    """Entry point of the console script."""
    application()
