"""`insula dead-letters`: what could not be handled, and what becomes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from insula.cli.client import NotRunning, NotServed, ask_all
from insula.cli.options import Config, Directory, DryRun, Json, Target, configured
from insula.cli.output import FAILED, explained, print_json, say, show
from insula.cli.target import find_system
from insula.kernel.errors import ConfigurationError
from insula.modules import Module, System
from insula.runtime.application import Application
from insula.runtime.configuration import Configuration
from insula.runtime.inspection import Inspection
from insula.store.database import Parked, ParkedState

letters = typer.Typer(
    no_args_is_help=True,
    help="Messages that could not be handled: list, show, retry, drop. Example: insula dead-letters list",
)

Which = Annotated[str, typer.Argument(help="module/number, as `list` prints it, or module/all.")]


@letters.command("list")
@explained
def list_letters(
    target: Target = None, directory: Directory = None, config: Config = None, as_json: Json = False,
    waiting: Annotated[bool, typer.Option("--waiting", help="Also what still waits for its next attempt.")] = False,
) -> None:  # fmt: skip
    """List dead letters.

    Example: insula dead-letters list shop.system:shop --waiting
    """
    configuration = configured(config, directory)
    system = find_system(target, configuration)
    rows = [
        (f"{module.name}/{each.sequence}", each.state.value, each.consumer, each.envelope.type, each.key,
         each.attempts, each.since.isoformat(timespec="seconds"), each.error)
        for module in system.modules
        for each in _parked(system, configuration, module)
        if waiting or each.state is ParkedState.DEAD
    ]  # fmt: skip
    columns = ("letter", "state", "consumer", "message", "key", "attempts", "since", "error")
    show("Dead letters", columns, rows, as_json=as_json, whole="letter")


@letters.command("show")
@explained
def show_letter(letter: Which, target: Target = None, directory: Directory = None, config: Config = None) -> None:
    """Show a dead letter with its message, as JSON.

    Example: insula dead-letters show billing/3
    """
    _, module, chosen = _chosen(letter, target, configured(config, directory))
    print_json(
        [
            {
                "letter": f"{module.name}/{each.sequence}",
                "error": each.error,
                "attempts": each.attempts,
                "envelope": {**_fields(each), "data": msgspec.Raw(each.envelope.data)},
            }
            for each in chosen
        ]
    )


@letters.command("retry")
@explained
def retry(
    letter: Which, target: Target = None, directory: Directory = None, config: Config = None, dry_run: DryRun = False
) -> None:
    """Let dead letters be tried again at once, with what waits behind them.

    Example: insula dead-letters retry billing/all
    """
    _change("retry", letter, target, configured(config, directory), dry_run=dry_run)


@letters.command("drop")
@explained
def drop(
    letter: Which, target: Target = None, directory: Directory = None, config: Config = None, dry_run: DryRun = False
) -> None:
    """Give dead letters up for good: they count as taken, and their keys flow on.

    Example: insula dead-letters drop billing/3 --dry-run
    """
    _change("drop", letter, target, configured(config, directory), dry_run=dry_run)


def _change(action: str, letter: str, target: str | None, configuration: Configuration, *, dry_run: bool) -> None:
    system, module, chosen = _chosen(letter, target, configuration)
    sequences = [each.sequence for each in chosen]
    if dry_run:
        say(f"would {action} {len(sequences)} of {module.name}: {sequences}")
        return
    directory = Path(configuration.store.directory)
    path = f"/_insula/dead-letters/{module.name}/{action}"
    try:
        changed = sum(answer["changed"] for answer in ask_all(directory, "POST", path, sequences))
    except NotServed:
        raise ConfigurationError(
            f"no process takes messages of {module.name} just now: start it, or wait a moment if one was only just "
            f"started or stopped, then {action} again"
        ) from None
    except NotRunning:
        changed = asyncio.run(_change_offline(system, configuration, module, action, sequences))
    say(f"{action}: {changed} of {module.name}")


async def _change_offline(
    system: System, configuration: Configuration, module: Module, action: str, sequences: list[int]
) -> int:
    """With no process running, this command is the one process."""
    async with Application(system, configuration) as application:
        receiver = application.wired.receivers[module.name]
        if action == "retry":
            changed = await receiver.revive(sequences)
            await receiver.retry_due()
            return changed
        return sum([await receiver.drop(sequence) for sequence in sequences])


def _chosen(letter: str, target: str | None, configuration: Configuration) -> tuple[System, Module, list[Parked]]:
    system = find_system(target, configuration)
    name, _, which = letter.partition("/")
    module = next((each for each in system.modules if each.name == name), None)
    if module is None or not (which.isdecimal() or which == "all"):
        names = ", ".join(each.name for each in system.modules)
        raise ConfigurationError(f"{letter}: write module/number or module/all; modules are {names}")
    chosen = [
        each
        for each in _parked(system, configuration, module)
        if (each.state is ParkedState.DEAD if which == "all" else each.sequence == int(which))
    ]
    if not chosen:
        say(f"{module.name} has no such parked message: {letter}; `insula dead-letters list` shows them", stderr=True)
        raise SystemExit(FAILED)
    return system, module, chosen


def _parked(system: System, configuration: Configuration, module: Module) -> list[Parked]:
    with Inspection(system, configuration) as data:
        return list(data.parked(module))


def _fields(parked: Parked) -> dict[str, object]:
    envelope = parked.envelope
    return {name: getattr(envelope, name) for name in envelope.__struct_fields__ if name != "data"}
