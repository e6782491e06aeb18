"""`insula module extract`: a module's data goes to another engine or place while the system runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from insula.cli.client import NotServed, ask_any
from insula.cli.options import Config, Directory, Json, configured
from insula.cli.output import FAILED, explained, print_json, print_json_line, say
from insula.kernel.clock import SystemClock
from insula.kernel.errors import ConfigurationError, InsulaError
from insula.runtime.databases import SQLITE, Place, provision_at
from insula.runtime.extraction.progress import ENDED, Phase, Progress

module = typer.Typer(
    no_args_is_help=True,
    help="A module of a running system: extract. Example: insula module extract orders --to postgresql://…",
)

_LOOK_SECONDS = 0.2
_AWAY_SECONDS = 60.0
_ANSWER_SECONDS = 60.0

Name = Annotated[str, typer.Argument(help="The module, like orders.", metavar="MODULE")]
To = Annotated[
    str, typer.Option("--to", help="Where to: postgresql://role@host/database or sqlite:FILE; it has to be empty.")
]
PasswordFile = Annotated[Path | None, typer.Option(help="A file with the role's password, if --to has none.")]
Administrator = Annotated[
    str,
    typer.Option(
        help="Address of somebody who may make role and database of --to where they are missing; - reads it from "
        "standard input."
    ),
]


@module.callback()
def about() -> None:
    """A module of a running system."""


@module.command()
@explained
def extract(
    name: Name, to: To = "", password_file: PasswordFile = None, administrator: Administrator = "",
    status: Annotated[bool, typer.Option("--status", help="Tell how far it is.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Give it up, before the switch.")] = False,
    back: Annotated[bool, typer.Option("--back", help="Take it back with all changes since the switch.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Give up the way back.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="With --finish: delete the file it came from.")] = False,
    directory: Directory = None, config: Config = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Move a module's data to another engine or place while the system runs. Requests wait for a moment, none fails.

    The same command goes on with what was broken off. Until --finish the source is kept.

    Example: insula module extract orders --to postgresql://orders@db.internal/orders --password-file orders.txt
    """
    wanted = [bool(to), status, abort, back, finish]
    if sum(wanted) != 1:
        raise ConfigurationError("name one of --to ADDRESS, --status, --abort, --back and --finish")
    if remove and not finish:
        raise ConfigurationError("--remove goes with --finish")
    running = _Running(name, Path(configured(config, directory).store.directory))
    if status:
        _show_status(running, as_json=as_json)
    elif abort or finish:
        progress = running.ask("finish" if finish else "abort", {"remove": remove})
        _tell_end(progress, as_json=as_json)
    elif back:
        _tell_end(running.until_ended("back", {}, _telling(as_json=as_json)), as_json=as_json)
    else:
        place = _place(name, to, password_file)
        if administrator:
            _provision(name, place, administrator)
        asked = {"address": place.address, "password_file": place.password_file}
        _tell_end(running.until_ended("begin", asked, _telling(as_json=as_json)), as_json=as_json)


def _place(name: str, to: str, password_file: Path | None) -> Place:
    """As the process understands it, which may run in another folder."""
    file = "" if password_file is None else str(password_file.absolute())
    local = Place(to).file(name, Path())
    return Place(to.replace("{module}", name), file) if local is None else Place(f"{SQLITE}{local.absolute()}")


def _provision(name: str, place: Place, administrator: str) -> None:
    if place.file(name, Path()) is not None:
        raise ConfigurationError("--administrator: an SQLite file needs no provisioning")
    by_whom = sys.stdin.readline().strip() if administrator == "-" else administrator
    for line in asyncio.run(provision_at(name, place, by_whom)):
        say(f"{name}: {line}")


class _Running:
    """The process that runs a module. Parameters: `name` of the module; `directory`, where its process is found."""

    def __init__(self, name: str, directory: Path) -> None:
        self._name = name
        self._directory = directory
        self._clock = SystemClock()

    def ask(self, action: str, body: dict[str, Any]) -> Progress:
        """Let the process do something; raises InsulaError with its reason."""
        path = f"/_insula/extractions/{self._name}/{action}"
        return msgspec.convert(self._asked("POST", path, body), Progress)

    def progress(self) -> Progress | None:
        """How far it is; None when nothing was begun."""
        answer = self._asked("GET", f"/_insula/extractions/{self._name}", None)["progress"]
        return None if answer is None else msgspec.convert(answer, Progress)

    def _asked(self, method: str, path: str, body: Any) -> Any:
        try:
            return ask_any(self._directory, method, path, body, timeout_seconds=_ANSWER_SECONDS)
        except NotServed:
            raise ConfigurationError(
                f"no process here runs a module {self._name}; `insula status` names them"
            ) from None

    def until_ended(self, action: str, body: dict[str, Any], tell: Callable[[Progress], None]) -> Progress:
        """Begin and look on until nothing happens any more; begin again when the process was away meanwhile."""
        progress = self.ask(action, body)
        patience = self._clock.monotonic() + _AWAY_SECONDS
        while progress.phase not in ENDED:
            tell(progress)
            self._clock.block(_LOOK_SECONDS)
            try:
                found = self.progress()
                gone_on = found is not None and not found.back and found.phase is Phase.SWITCHED
                if found is not None and (found.broken_off or (action == "back" and gone_on)):
                    found = self.ask(action, body)
            except (InsulaError, OSError) as error:
                if self._clock.monotonic() > patience:
                    raise InsulaError(
                        f"{error}; start it again, and give the same command to go on, or --abort"
                    ) from error
                continue
            patience = self._clock.monotonic() + _AWAY_SECONDS
            if found is None:  # it was on its way back, and is there
                return Progress(self._name, progress.address, Phase.SWITCHED, back=True)
            progress = found
        return progress


def _telling(*, as_json: bool) -> Callable[[Progress], None]:
    """Tells of each phase once, and of the rows now and then."""
    last: list[str] = []

    def tell(progress: Progress) -> None:
        rows = f" {progress.rows} of {progress.total} rows" if progress.phase is Phase.COPYING else ""
        line = f"{progress.module}: {progress.phase}{rows}"
        if last != [line]:
            last[:] = [line]
            if as_json:
                print_json_line(progress)
            else:
                say(line)

    return tell


def _show_status(running: _Running, *, as_json: bool) -> None:
    progress = running.progress()
    if as_json:
        print_json(progress)
    elif progress is None:
        say("no extraction was begun")
    else:
        _say_end(progress)


def _tell_end(progress: Progress, *, as_json: bool) -> None:
    if as_json:
        print_json_line(progress)
    else:
        _say_end(progress)
    if progress.phase is Phase.FAILED:
        raise SystemExit(FAILED)


def _say_end(progress: Progress) -> None:
    name, address = progress.module, progress.address
    if progress.phase is Phase.FAILED:
        say(f"{name}: not moved: {progress.problem}", stderr=True)
    elif progress.phase is Phase.SWITCHED and progress.back:
        say(f"{name} is back from {address}, with all that has changed there")
    elif progress.phase is Phase.SWITCHED:
        say(
            f"{name} lies in {address} now. {len(progress.verified)} tables have the same checksums; "
            f"units waited {progress.held_seconds:g} s.\n"
            f'Write addresses = {{{name} = "{address}"}} into [store] of insula.toml. '
            "--back takes it back until --finish"
        )
    elif progress.phase is Phase.FINISHED:
        say(f"{name} lies in {address}; there is no way back any more")
    else:
        say(f"{name}: {progress.phase}")
