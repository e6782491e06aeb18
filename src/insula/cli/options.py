"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Target = Annotated[
    str | None, typer.Argument(help="The system, like shop.system:shop. Default: `system` in insula.toml.")
]
Config = Annotated[Path | None, typer.Option("--config", help="Configuration file. Default: insula.toml, if there.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")]
