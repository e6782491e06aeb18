"""A message that can never succeed, and is tried for ever.

The bug: the handler catches what goes wrong and sends itself the same command again, a little later, without counting.
In the wild: `except Exception: queue.put(message)`, nack with requeue, infinite retries without a dead letter queue.
The cure: let the error out. The framework tries a few times with growing delay, then sets the message aside.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Column, MetaData, String, Table, insert, select

from insula import Command, Module, System, UnitOfWork
from insula.runtime.configuration import Configuration, Delivery
from insula.simulation import Simulation, Snapshot, sometimes

INVARIANT = "the system comes to rest"

TABLES = MetaData()
sent = Table("sent", TABLES, Column("address", String))


class Invite(Command[None]):
    address: str


class SendInvitation(Command[None]):
    address: str


class NoSuchAddress(Exception):
    """The mail server does not know it, and never will."""


class MailServer:
    async def deliver(self, address: str) -> None:
        if "@" not in address:
            raise NoSuchAddress(address)


async def invite(command: Invite, work: UnitOfWork) -> None:
    work.send(SendInvitation(address=command.address))


async def send_until_it_works(command: SendInvitation, server: MailServer, work: UnitOfWork) -> None:
    try:
        await server.deliver(command.address)
    except Exception:
        work.send(command, delay=timedelta(seconds=1))
    else:
        await work.execute(insert(sent).values(address=command.address))


async def send_or_fail(command: SendInvitation, server: MailServer, work: UnitOfWork) -> None:
    await server.deliver(command.address)
    await work.execute(insert(sent).values(address=command.address))


@sometimes
def who_can_be_reached_is_invited(state: Snapshot) -> bool:
    return [row.address for row in state.rows("mailing", select(sent))] == ["ann@example.org"]


def build(broken: bool) -> Simulation:
    mailing = Module("mailing", tables=TABLES)
    mailing.handle(Invite)(invite)
    mailing.handle(SendInvitation)(send_until_it_works if broken else send_or_fail)
    mailing.bind(MailServer, MailServer)
    return Simulation(
        System("invitations", mailing),
        [Invite(address="ann@example.org"), Invite(address="bob")],
        [who_can_be_reached_is_invited],
        topology="together",
        ports={MailServer: MailServer},
        configuration=Configuration(delivery=Delivery(attempts=4)),
        dead_letters_allowed=True,
    )
