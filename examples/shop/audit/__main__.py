"""python -m shop.audit: checks the shop's invariants over every module's data, whether or not it runs."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from insula import InsulaError
from insula.kernel import SystemClock
from insula.runtime.configuration import Configuration, load
from insula.runtime.inspection import Inspection
from shop.audit.books import read_books
from shop.audit.invariants import Finding, audit
from shop.system import shop

SHOWN_VIOLATIONS = 10
PAUSE_SECONDS = 0.25


def check(
    config: Annotated[Path | None, typer.Option(help="Configuration file. Default: insula.toml, if there.")] = None,
    directory: Annotated[
        Path | None, typer.Option(help="Where the modules' files lie. Default: as configured.")
    ] = None,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to look again while the running shop still has work to do.")
    ] = 10.0,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check every invariant of the shop over its modules' data, and print each with its figures.

    Exits with 1 if one is violated, with 2 if there is no data to read.

    Example: python -m shop.audit --directory .insula
    """
    try:
        findings = asyncio.run(look(load(config), directory, patience))
    except InsulaError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    if json:
        print(msgspec.json.format(msgspec.json.encode(report(findings))).decode())
    else:
        Console().print(table(findings))
    raise typer.Exit(0 if all(finding.holds for finding in findings) else 1)


async def look(configuration: Configuration, directory: Path | None, patience_seconds: float) -> tuple[Finding, ...]:
    """The findings once all invariants hold, or when patience is over: what is under way may need a moment."""
    clock = SystemClock()
    until = clock.monotonic() + patience_seconds
    while True:
        with Inspection(shop, configuration, directory=directory) as data:
            findings = audit(read_books(data))
        if all(finding.holds for finding in findings) or clock.monotonic() >= until:
            return findings
        await clock.sleep(PAUSE_SECONDS)


def report(findings: tuple[Finding, ...]) -> dict[str, Any]:
    """The findings, ready for JSON."""
    return {
        "holds": all(finding.holds for finding in findings),
        "invariants": [
            {
                "invariant": finding.invariant,
                "holds": finding.holds,
                "figures": finding.figures,
                "violations": finding.violations,
            }
            for finding in findings
        ],
    }


def table(findings: tuple[Finding, ...]) -> Table:
    """The findings as a table, the first violations below each."""
    shown = Table(title="audit")
    shown.add_column("invariant")
    shown.add_column("holds")
    shown.add_column("figures")
    for finding in findings:
        figures = ", ".join(f"{name} {value}" for name, value in finding.figures.items())
        shown.add_row(finding.invariant, "yes" if finding.holds else "[red]NO", figures)
        for violation in finding.violations[:SHOWN_VIOLATIONS]:
            shown.add_row("", "", f"[red]{violation}")
        if len(finding.violations) > SHOWN_VIOLATIONS:
            shown.add_row("", "", f"[red]and {len(finding.violations) - SHOWN_VIOLATIONS} more")
    return shown


if __name__ == "__main__":
    typer.run(check)
