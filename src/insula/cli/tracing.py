"""`insula events tail` and `trace`: what the modules' logs say, and what became of one message."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import typer
from rich.text import Text
from rich.tree import Tree

from insula.cli.options import Config, Directory, Json, Target, configured
from insula.cli.output import FAILED, explained, print_json, print_json_line, say
from insula.cli.target import find_system
from insula.kernel.clock import SystemClock
from insula.kernel.errors import ConfigurationError
from insula.messages import Envelope
from insula.modules import System
from insula.runtime.inspection import Inspection
from insula.store.database import Parked, ParkedState

events = typer.Typer(no_args_is_help=True, help="The modules' logs. Example: insula events tail shop.system:shop -f")


@events.command()
@explained
def tail(
    target: Target = None, directory: Directory = None, config: Config = None, as_json: Json = False,
    module: Annotated[str | None, typer.Option(help="Only this module's log.")] = None,
    count: Annotated[int, typer.Option("-n", min=0, help="How many of the newest of each log to begin with.")] = 10,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as the logs grow, until Ctrl-C.")] = False,
) -> None:  # fmt: skip
    """Print the newest messages of the logs; with --json, one to a line.

    Example: insula events tail shop.system:shop -f
    """
    configuration = configured(config, directory)
    system = find_system(target, configuration)
    chosen = [each for each in system.modules if module in (None, each.name)]
    if not chosen:
        raise ConfigurationError(f"{system.name} has no module {module!r}")
    with Inspection(system, configuration) as data:
        positions = {}
        for each in chosen:
            head = data.scalar(each, "select coalesce(max(position), 0) from insula_log")
            positions[each] = max(head - count, 0)
        while True:
            fresh = [envelope for each in chosen for envelope in data.log(each, after=positions[each])]
            for envelope in sorted(fresh, key=lambda one: one.time):
                _print(envelope, as_json=as_json)
            for each in chosen:
                positions[each] = max([positions[each], *(one.position for one in fresh if one.source == each.name)])
            if not follow:
                return
            asyncio.run(SystemClock().sleep(0.5))


def _print(envelope: Envelope, *, as_json: bool) -> None:
    if as_json:
        print_json_line(_shown(envelope))
        return
    when = envelope.time.isoformat(timespec="milliseconds")
    place = f"{envelope.source}:{envelope.position}"
    say(Text.assemble(f"{when}  {place}  ", (envelope.type, "bold"), f"  {envelope.data.decode()}  {envelope.id}"))


def _shown(envelope: Envelope) -> dict[str, object]:
    shown = {name: getattr(envelope, name) for name in envelope.__struct_fields__}
    return {**shown, "data": msgspec.Raw(envelope.data)}


@explained
def trace(
    message_id: Annotated[str, typer.Argument(help="A message id: of a log, or the `insula-message-id` of an answer.")],
    target: Target = None, directory: Directory = None, config: Config = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Show what one message caused: from the logs of all modules, with who took it and how that ended.

    How a message was taken is known as long as its mark is kept: a success for about a minute, all else for
    `answers_kept_hours`.

    Example: insula trace 01900000-0000-7000-8000-000000000000 shop.system:shop
    """
    configuration = configured(config, directory)
    system = find_system(target, configuration)
    with Inspection(system, configuration) as data:
        known = [envelope for module in system.modules for envelope in data.log(module)]
        delayed = {each.envelope.id: each for module in system.modules for each in data.delayed(module)}
        known += [each.envelope for each in delayed.values()]
        own = next((one for one in known if one.id == message_id), None)
        correlation = own.correlation_id if own else message_id
        flow = [one for one in known if one.correlation_id == correlation]
        wanted = _caused_by(message_id, flow)
        parked = [(module.name, each) for module in system.modules for each in data.parked(module)]
        fates = {one: _fates(data, system, parked, one) for one in (message_id, *(each.id for each in wanted))}
    for identifier, timer in delayed.items():
        fates.setdefault(identifier, []).append(f"delayed until {timer.due.isoformat(timespec='seconds')}")
    if own is None and not wanted and not fates[message_id]:
        say(f"no log has message {message_id}, nor anything it caused", stderr=True)
        raise SystemExit(FAILED)
    if as_json:
        shown = ([own] if own else []) + wanted
        print_json([{**_shown(one), "outcomes": fates.get(one.id, [])} for one in shown])
        return
    tree = Tree(_label(own) if own else Text(f"{message_id} (called directly)"))
    _grow(tree, message_id, flow, fates)
    say(tree)


def _caused_by(message_id: str, flow: list[Envelope]) -> list[Envelope]:
    found = [one for one in flow if one.causation_id == message_id]
    return [each for one in found for each in (one, *_caused_by(one.id, flow))]


def _fates(data: Inspection, system: System, parked: list[tuple[str, Parked]], message_id: str) -> list[str]:
    """What became of a message, a line for each consumer that is known to have met it."""
    fates = []
    for module in system.modules:
        for consumer, answer, when in data.taken(module, message_id):
            said = f" {answer.body.decode()}" if answer.body else ""
            fates.append(f"{consumer}: {answer.outcome.value}{said} {when.isoformat(timespec='milliseconds')}")
    for owner, each in parked:
        if each.envelope.id == message_id:
            due = each.due.isoformat(timespec="seconds")
            fate = "dead letter" if each.state is ParkedState.DEAD else f"tried again {due}, parked as"
            fates.append(
                f"{each.consumer}: {fate} {owner}/{each.sequence} after {each.attempts} attempts: {each.error}"
            )
    return fates


def _grow(tree: Tree, message_id: str, flow: list[Envelope], fates: dict[str, list[str]]) -> None:
    for fate in fates.get(message_id, ()):
        tree.add(Text(fate))
    for one in flow:
        if one.causation_id == message_id:
            _grow(tree.add(_label(one)), one.id, flow, fates)


def _label(envelope: Envelope) -> Text:
    when = envelope.time.isoformat(timespec="milliseconds")
    place = f"{envelope.source}:{envelope.position}" if envelope.position else envelope.source
    return Text.assemble((envelope.type, "bold"), f" {place} {when} key={envelope.subject} {envelope.id}")
