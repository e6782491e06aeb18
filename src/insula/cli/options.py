"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from insula.runtime.configuration import Configuration, load

Target = Annotated[
    str | None, typer.Argument(help="The system, like shop.system:shop. Default: `system` in insula.toml.")
]
Config = Annotated[Path | None, typer.Option("--config", help="Configuration file. Default: insula.toml, if there.")]
Port = Annotated[int | None, typer.Option(help="Port to serve on; 0 takes a free one. Default: as configured, 8000.")]
Host = Annotated[str | None, typer.Option(help="Address to serve on. Default: as configured, 127.0.0.1.")]
Directory = Annotated[Path | None, typer.Option(help="Where the modules' files lie. Default: as configured, .insula.")]
Only = Annotated[
    str | None, typer.Option(help="Which process of the topology: its name, or its modules, like orders,billing.")
]
Topology = Annotated[str | None, typer.Option(help="A topology of insula.toml, or services. Default: one process.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")]


def configured(
    config: Path | None, directory: Path | None = None, *, host: str | None = None, port: int | None = None
) -> Configuration:
    """The configuration, with what the command line says instead. Raises what `load` raises."""
    configuration = load(config)
    replace = msgspec.structs.replace
    http, store = configuration.http, configuration.store
    http = replace(http, host=host or http.host, port=http.port if port is None else port)
    store = replace(store, directory=str(directory or store.directory))
    return replace(configuration, http=http, store=store)
