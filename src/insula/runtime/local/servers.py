"""The servers that a topology wants on this machine: started, provisioned, started again when they end, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from insula.kernel.clock import Clock, SystemClock
from insula.kernel.errors import InsulaError
from insula.kernel.randomness import Randomness, SystemRandomness
from insula.runtime.configuration import Store
from insula.runtime.databases import provision
from insula.runtime.local.addresses import FOLDER, Addresses, keep_secret
from insula.runtime.local.nats import LocalNats
from insula.runtime.local.postgres import LocalPostgres
from insula.runtime.topology import LOCAL, TopologyPlan

_LOOK_SECONDS = 0.2
_LONGEST_DELAY_SECONDS = 10.0

Say = Callable[[str, str], None]
"""Told the name of a server, and a line about it."""


class Server(Protocol):
    """A server that runs as a process of its own."""

    @property
    def pid(self) -> int | None:
        """The id of the running process; None while there is none."""
        ...

    def start(self) -> None:
        """Start it and wait until it answers."""
        ...

    def stop(self) -> None:
        """Stop it and wait until it is gone."""
        ...


class LocalServers:
    """What "local" stands for in a topology. None of them outlives this process, however it ends.

    Parameters: `plan`; `modules`, that need a database each; `directory`, where the modules' data lies; `say`;
    `password_file`, of databases elsewhere.
    """

    def __init__(
        self,
        plan: TopologyPlan,
        modules: Sequence[str],
        directory: Path,
        say: Say,
        *,
        password_file: str = "",
        clock: Clock | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        self._plan = plan
        self._modules = modules
        self._password_file = password_file
        self._directory = directory
        self._say = say
        self._clock = clock or SystemClock()
        self._randomness = randomness or SystemRandomness()
        folder = (directory / FOLDER).absolute()
        self._passwords = folder / "passwords"
        self._nats_password = folder / "nats-password"
        self._postgres = LocalPostgres(folder / "postgres") if plan.database == LOCAL else None
        self._nats = LocalNats(folder / "nats", password_file=self._nats_password) if plan.transport == LOCAL else None
        self._guards: dict[str, subprocess.Popen[bytes]] = {}
        self._lifeline, self._end = os.pipe()

    def start(self) -> None:
        """Start all, make what the modules need in them, and tell the processes where they are.

        Raises ConfigurationError and what the servers raise.
        """
        keep_secret(Addresses.token_file(self._directory), self._randomness)
        database, transport, password_file = self._plan.database, self._plan.transport, self._password_file
        if self._postgres is not None:
            self._start("postgres", self._postgres, signal.SIGINT)
            database = f"postgresql://{{module}}@127.0.0.1:{self._postgres.port}/{{module}}"
            password_file = str(self._passwords / "{module}")
            self._provision(Store(address=database, password_file=password_file), self._postgres.address)
            self._say("postgres", f"is ready at 127.0.0.1:{self._postgres.port}")
        if self._nats is not None:
            keep_secret(self._nats_password, self._randomness)
            self._start("nats", self._nats, signal.SIGTERM)
            transport = self._nats.url
            self._say("nats", f"is ready at {self._nats.address}")
        Addresses(os.getpid(), self._plan.name, database, password_file, transport).write(self._directory)

    def _provision(self, store: Store, administrator: str) -> None:
        for module in self._modules:
            keep_secret(self._passwords / module, self._randomness)
        for line in asyncio.run(provision(self._modules, store, administrator)):
            self._say("postgres", line)

    def _start(self, name: str, server: Server, number: signal.Signals) -> None:
        server.start()
        self._let_go(name)
        guard = [
            sys.executable,
            "-m",
            "insula.runtime.local.lifeline",
            str(self._lifeline),
            str(server.pid),
            str(+number),
        ]
        try:
            self._guards[name] = subprocess.Popen(guard, pass_fds=(self._lifeline,), start_new_session=True)
        except OSError:  # without a guard it could outlive us
            server.stop()
            raise

    def _let_go(self, name: str) -> None:
        guard = self._guards.pop(name, None)
        if guard is not None:
            guard.terminate()
            guard.wait()

    async def keep(self) -> None:
        """Start again what has ended, until cancelled."""
        await asyncio.gather(
            self._keep("postgres", self._postgres, signal.SIGINT), self._keep("nats", self._nats, signal.SIGTERM)
        )

    async def _keep(self, name: str, server: Server | None, number: signal.Signals) -> None:
        delay = _LOOK_SECONDS
        while server is not None:
            await self._clock.sleep(delay)
            if server.pid is not None:
                continue
            self._say(name, "has ended; starting it again")
            try:
                await asyncio.to_thread(self._start, name, server, number)
            except Exception as error:  # a full disk, no more processes: whatever it is may pass, and none else looks
                delay = min(2 * delay, _LONGEST_DELAY_SECONDS)
                told = str(error) if isinstance(error, InsulaError) else f"{type(error).__name__}: {error}"
                self._say(name, f"{told}; again in {delay:g} s")
            else:
                delay = _LOOK_SECONDS
                self._say(name, f"is ready again, as process {server.pid}")

    def stop(self) -> None:
        """Stop all, the last started first."""
        Addresses.remove(self._directory)
        for name, server in (("nats", self._nats), ("postgres", self._postgres)):
            if server is not None and server.pid is not None:
                server.stop()
                self._say(name, "has stopped")
            self._let_go(name)
        os.close(self._lifeline)
        os.close(self._end)
