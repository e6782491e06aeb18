"""A timer that fires twice.

The bug: a scheduler of one's own publishes what is due, and takes it from its table in a second transaction. A run that
begins in between finds the same timer once more.
In the wild: cron jobs that overlap, two replicas of a scheduler, "fire, then mark as fired".
The cure: firing and forgetting are one transaction (in Insula `work.send(..., delay=...)` does both).
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Column, MetaData, String, Table, delete, func, insert, select

from insula import Clock, Command, Event, Module, System, UnitOfWork
from insula.simulation import Client, Simulation, Snapshot, eventually

INVARIANT = "every reminder is sent once"

TIMER_TABLES, LETTER_TABLES = MetaData(), MetaData()
timers = Table("timers", TIMER_TABLES, Column("name", String), Column("due", String))
letters = Table("letters", LETTER_TABLES, Column("name", String))


class Remind(Command[None]):
    name: str


class FireUntil(Command[None]):
    due: str


class Forget(Command[None]):
    name: str


class TimerFired(Event, key="name"):
    name: str


async def remind(command: Remind, clock: Clock, work: UnitOfWork) -> None:
    due = (clock.now() + timedelta(seconds=3)).isoformat()
    await work.execute(insert(timers).values(name=command.name, due=due))
    work.send(FireUntil(due=due), delay=timedelta(seconds=3))


async def fire_then_forget(command: FireUntil, work: UnitOfWork) -> None:
    for row in await work.execute(select(timers.c.name).where(timers.c.due <= command.due)):
        work.publish(TimerFired(name=row.name))
        work.send(Forget(name=row.name))


async def forget(command: Forget, work: UnitOfWork) -> None:
    await work.execute(delete(timers).where(timers.c.name == command.name))


async def fire_and_forget(command: FireUntil, work: UnitOfWork) -> None:
    due = delete(timers).where(timers.c.due <= command.due).returning(timers.c.name)
    for row in await work.execute(due):
        work.publish(TimerFired(name=row.name))


async def write_letter(event: TimerFired, work: UnitOfWork) -> None:
    await work.execute(insert(letters).values(name=event.name))


async def ask_for_reminders(client: Client) -> None:
    for name in ("ann", "bob"):
        await client.call(Remind(name=name))
        await client.sleep(client.random())


@eventually
def every_reminder_is_sent_once(state: Snapshot) -> None:
    asked = sum(each.type.endswith("FireUntil") for each in state.log("clockwork"))
    counts = state.rows("post", select(func.count()).select_from(letters).group_by(letters.c.name))
    assert [row[0] for row in counts] == [1] * asked


def build(broken: bool) -> Simulation:
    clockwork, post = Module("clockwork", tables=TIMER_TABLES), Module("post", tables=LETTER_TABLES)
    clockwork.handle(Remind)(remind)
    clockwork.handle(FireUntil)(fire_then_forget if broken else fire_and_forget)
    clockwork.handle(Forget)(forget)
    post.on(TimerFired)(write_letter)
    return Simulation(
        System("reminders", clockwork, post), ask_for_reminders, [every_reminder_is_sent_once], topology="together"
    )
