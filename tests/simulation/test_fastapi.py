"""An existing FastAPI application under a path of the system lives in the simulation as it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio import to_thread
from fastapi import BackgroundTasks, FastAPI, Request, Response

from insula import Command, Module, System
from insula.simulation import Client, Outcome, Plan, Simulation
from insula.simulation.guards.audit import Audit
from insula.simulation.simulation import Stage

OpenStage = Callable[[Simulation], Stage]


class Wake(Command[None]):
    pass


class Old:
    """A FastAPI application that writes a diary."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.application = FastAPI(lifespan=self._lifespan)
        self.application.middleware("http")(self._middleware)
        self.application.get("/waiting")(self._waiting)
        self.application.get("/blocking/{number}")(self._blocking)
        self.application.get("/both")(self._both)

    @asynccontextmanager
    async def _lifespan(self, application: FastAPI) -> AsyncIterator[None]:
        self.lines.append("begins")
        yield

    async def _middleware(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers["x-seen"] = "by the middleware"
        return response

    async def _waiting(self, tasks: BackgroundTasks) -> dict[str, str]:
        await anyio.sleep(5)
        tasks.add_task(self._afterwards, "a task in the background")
        tasks.add_task(self.lines.append, "and one on the loop")
        return {"how": "after five seconds"}

    def _afterwards(self, what: str) -> None:
        self.lines.append(f"{what}, in {threading.current_thread().name}")

    def _blocking(self, number: int) -> dict[str, object]:
        return {"number": number, "thread": threading.current_thread().name}

    async def _both(self) -> list[int]:
        async with anyio.create_task_group() as group:
            group.start_soon(to_thread.run_sync, self.lines.append, "anyio")
            group.start_soon(asyncio.to_thread, self.lines.append, "asyncio")
        return [await to_thread.run_sync(len, "abc"), await asyncio.to_thread(len, "abcd")]


def system_around(old: Old) -> System:
    module = Module("shop")

    @module.handle(Wake)
    async def wake(command: Wake) -> None:
        return

    module.mount("/old", old.application)
    return System("shop", module)


async def visit(client: Client) -> None:
    """Ask every endpoint, some at the same time."""
    slow = await client.request("GET", "/old/waiting")
    assert (slow.json(), slow.headers["x-seen"]) == ({"how": "after five seconds"}, "by the middleware")

    async def block(number: int) -> None:
        answer = await client.request("GET", f"/old/blocking/{number}")
        assert answer.json() == {"number": number, "thread": "MainThread"}

    await client.together(*(block(number) for number in range(5)))
    assert (await client.request("GET", "/old/both")).json() == [3, 4]


def test_every_kind_of_endpoint_answers_without_a_thread(open_stage: OpenStage) -> None:
    old = Old()
    stage = open_stage(Simulation(system_around(old), visit))
    with Audit() as audit:
        outcome = stage.run(1, Plan(1))
    assert (outcome.violation, audit.findings) == (None, [])
    assert old.lines[:3] == ["begins", "a task in the background, in MainThread", "and one on the loop"]
    assert sorted(old.lines[3:]) == ["anyio", "asyncio"]


@pytest.mark.parametrize("seed", range(6))
def test_a_run_with_faults_replays_exactly(open_stage: OpenStage, seed: int) -> None:
    stage = open_stage(Simulation(system_around(Old()), visit))

    def told(outcome: Outcome) -> tuple[str, object]:
        assert outcome.violation is None
        return outcome.digest, outcome.story

    first = stage.run(seed)
    assert told(stage.run(seed)) == told(first)
    assert told(stage.run(seed, Plan.from_json(first.plan.to_json()))) == told(first)


async def test_outside_a_simulation_anyio_has_its_threads() -> None:
    assert await to_thread.run_sync(lambda: threading.current_thread().name) != "MainThread"
