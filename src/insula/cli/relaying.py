"""`insula relay`: carries the messages of an application's outbox to where they are dealt with."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any

import msgspec
import typer
from sqlalchemy import Connection

from insula.cli.options import Config, DryRun, Json, configured
from insula.cli.output import FAILED, explained, print_json, say, show
from insula.cli.target import find
from insula.kernel.errors import ConfigurationError
from insula.messaging.outbox import Outbox
from insula.messaging.outbox_queue import OutboxQueue, Status
from insula.runtime import outbox_relay
from insula.runtime.configuration import Relay

Of = Annotated[str | None, typer.Argument(help="The outbox, like shop.tables:outbox. Default: as configured.")]
To = Annotated[
    str | None,
    typer.Option(help="nats://host:4222, kafka://host:9092/topic, https://host/path, or celery:package.module:app."),
]
Database = Annotated[str | None, typer.Option(help="Its database, like postgresql+psycopg://shop@localhost/shop.")]
ShowStatus = Annotated[bool, typer.Option("--status", help="Show what waits and what could not be sent, and end.")]
Retry = Annotated[str | None, typer.Option(help="Let a message that is held be tried again: its id, or all.")]
Drop = Annotated[str | None, typer.Option(help="Give a message that is held up for good: its id, or all.")]


@explained
def relay(
    outbox: Of = None, to: To = None, database: Database = None, status: ShowStatus = False, retry: Retry = None,
    drop: Drop = None, as_json: Json = False, dry_run: DryRun = False, config: Config = None,
) -> None:  # fmt: skip
    """Send what is in an outbox until SIGTERM or Ctrl-C: in order per key, at least once, each with a stable id.

    A message that is refused is parked with its key; --status shows it, --retry and --drop say what becomes of it.

    Example: insula relay shop.tables:outbox --database sqlite:///shop.db --to celery:shop.tasks:app
    """
    configuration = configured(config)
    given = {"outbox": outbox, "to": to, "database": database}
    settings = msgspec.structs.replace(configuration.relay, **{name: text for name, text in given.items() if text})
    if not settings.outbox:
        raise ConfigurationError("which outbox? Give one, like shop.tables:outbox, or outbox = … in [relay]")
    found = find(settings.outbox, Outbox)
    if retry is not None or drop is not None:
        _change(found, settings, "retry" if drop is None else "drop", retry or drop or "", dry_run=dry_run)
    elif status:
        _show(found, settings, as_json=as_json)
    else:
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
        asyncio.run(outbox_relay.relay(found, settings, _load, say))


def _load(target: str) -> Any:
    if ":" not in target:
        raise ConfigurationError(f"relay.to: celery:{target}: name the application, like celery:shop.tasks:app")
    return find(target, object)


def _status(queue: OutboxQueue, connection: Connection) -> Status:
    return queue.status(connection)


def _show(outbox: Outbox, settings: Relay, *, as_json: bool) -> None:
    found = asyncio.run(outbox_relay.in_outbox(outbox, settings, _status))
    if as_json:
        print_json({"counts": found.counts, "oldest": found.oldest, "held": found.held})
        return
    counts = ", ".join(f"{count} {state}" for state, count in found.counts.items())
    say(
        f"{outbox.table.fullname}: {counts}"
        + (f"; the oldest of {found.oldest:%Y-%m-%d %H:%M:%S} UTC" if found.oldest else "")
    )
    columns = ("id", "type", "key", "state", "attempts", "due", "error", "behind")
    show("Held", columns, [[getattr(each, name) for name in columns] for each in found.held], as_json=False, whole="id")


def _change(outbox: Outbox, settings: Relay, action: str, message_id: str, *, dry_run: bool) -> None:
    def change(queue: OutboxQueue, connection: Connection) -> int:
        changed = (queue.retry if action == "retry" else queue.drop)(connection, message_id)
        if dry_run:
            connection.rollback()
        return changed

    changed = asyncio.run(outbox_relay.in_outbox(outbox, settings, change))
    if changed == 0:
        say(f"{message_id}: no such message is held; --status shows those that are", stderr=True)
        raise SystemExit(FAILED)
    say(f"would {action} {changed}" if dry_run else f"{action}: {changed}")
