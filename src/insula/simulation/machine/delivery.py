"""How messages get from a log to a module: late, lost and sent again, twice; never out of the order of their key."""

from __future__ import annotations

import asyncio

from insula.kernel.errors import Failure
from insula.messages import Envelope
from insula.messaging.receiver import Receiver
from insula.simulation.machine.labels import message_label
from insula.simulation.machine.process import SimulatedProcess
from insula.store.lease import acting_for


class MessageLost(Failure):
    """The message did not arrive; its log will be read again."""


class Delivery:
    """Takes the messages of one log to one receiver, at least once, in order per key, as every transport must.

    Parameters: `process`, that of the receiver; `source`, the module whose log it is.
    """

    def __init__(self, process: SimulatedProcess, source: str, receiver: Receiver) -> None:
        self._process = process
        self._source = source
        self._receiver = receiver
        self._tails: dict[str, asyncio.Future[None]] = {}
        self._missing: dict[str, str] = {}
        self._lease: object = None

    async def __call__(self, envelope: Envelope) -> None:
        """Deliver after what came before under the same key; fail with it, or its successor would overtake it."""
        key = envelope.subject
        if key is None:
            await self._deliver(envelope)
            return
        before, done = self._tails.get(key), asyncio.get_running_loop().create_future()
        self._tails[key] = done
        try:
            if before is not None:
                await asyncio.shield(before)
            self._begin_again()
            # The sender may have sent this one before it learns of the loss, so the key waits for the lost one itself.
            if self._missing.get(key, envelope.id) != envelope.id:
                raise MessageLost(f"{envelope.type} {envelope.id}: one before it was lost")
            self._missing[key] = envelope.id
            await self._deliver(envelope)
            del self._missing[key]
        finally:
            done.set_result(None)
            if self._tails.get(key) is done:
                del self._tails[key]

    def _begin_again(self) -> None:
        """Forget what was lost under another lease: another process may have taken it meanwhile."""
        leases = getattr(self._receiver.database, "leases", None)
        lease = None if leases is None else acting_for(leases)
        if lease != self._lease:
            self._lease = lease
            self._missing.clear()

    async def _deliver(self, envelope: Envelope) -> None:
        process, world, module = self._process, self._process.world, self._receiver.module
        what = world.choices.number(f"{self._source} → {module}: {message_label(envelope, world.aliases)}")
        ids = (envelope.id,)
        seconds = world.fault("delay", what)
        if seconds is not None:
            delayed = f"{what} by {seconds:g} s"
            world.record(process.name, "delay", delayed, choice=("delay", what), seconds=seconds, messages=ids)
            await asyncio.sleep(seconds)
        if world.fault("loss", what) is not None:
            world.record(process.name, "loss", what, choice=("loss", what), messages=ids)
            raise MessageLost(f"{what}: lost")
        world.record(process.name, "deliver", what, messages=ids)
        await process.boundary(f"before {what}")
        await self._receiver.deliver(envelope)
        if world.fault("duplicate", what) is not None:
            world.record(process.name, "duplicate", what, choice=("duplicate", what), messages=ids)
            await self._receiver.deliver(envelope)
        await process.boundary(f"after {what}")
