"""What a replay could not repeat is named with its file and line."""

from __future__ import annotations

import datetime as calendar
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time as machine
import uuid
from collections.abc import Callable
from datetime import datetime
from random import choice
from time import time as clock
from uuid import uuid4

import pytest
from sqlalchemy import Column, MetaData, String, Table, Uuid, insert

from hello import PlaceOrder, shop
from insula import Command, Module, System, UnitOfWork
from insula.simulation import Plan, Simulation
from insula.simulation.guards.audit import Audit
from insula.simulation.simulation import Stage

HERE = "tests/simulation/test_guards.py"
OpenStage = Callable[[Simulation], Stage]


class Ask(Command[None]):
    what: str


def start_a_thread() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def look_at_the_web() -> None:
    with socket.socket() as client:
        client.settimeout(0.01)
        client.connect_ex(("127.0.0.1", 9))


# What to call, and the name under which it must be found.
PLANTED: dict[str, tuple[Callable[[], object], str]] = {
    "alias of a clock": (lambda: clock(), "time.time"),
    "clock": (lambda: machine.monotonic(), "time.monotonic"),
    "pause": (lambda: machine.sleep(0), "time.sleep"),
    "alias of a class": (lambda: datetime.now(), "datetime.now"),
    "date": (lambda: calendar.date.today(), "date.today"),
    "identifier": (lambda: uuid4(), "uuid.uuid4"),
    "node": (lambda: uuid.uuid1(), "uuid.uuid1"),
    "chance": (lambda: random.random(), "random.random"),
    "alias of chance": (lambda: choice("abc"), "random.choice"),
    "unseeded": (lambda: random.Random(), "random.Random() without a seed"),
    "secret": (lambda: secrets.token_hex(), "secrets.token_hex"),
    "secret choice": (lambda: secrets.choice("abc"), "secrets.choice"),
    "system's chance": (lambda: random.SystemRandom().randrange(4), "random.SystemRandom.randrange"),
    "bytes": (lambda: os.urandom(2), "os.urandom"),
    "process": (lambda: os.getpid(), "os.getpid"),
    "thread": (start_a_thread, "threading.Thread.start"),
    "socket": (look_at_the_web, "socket.connect_ex"),
    "program": (lambda: subprocess.run([sys.executable, "-V"], check=False, capture_output=True), "subprocess.run"),
}


def asking_system() -> System:
    module = Module("asking")

    @module.handle(Ask)
    async def answer(command: Ask) -> None:
        PLANTED[command.what][0]()

    return System("questions", module)


def line_of(call: Callable[[], object], what: str) -> int:
    """The line where it is planted: in a function of its own, the one that has the name."""
    code = call.__code__
    if code.co_name == "<lambda>":
        return code.co_firstlineno
    source = __import__("inspect").getsource(call).splitlines()
    wanted = what.rpartition(".")[2]
    return code.co_firstlineno + next(i for i, text in enumerate(source) if f".{wanted}(" in text)


@pytest.mark.parametrize("planted", PLANTED)
def test_a_call_that_a_replay_cannot_repeat_is_named_with_its_line(open_stage: OpenStage, planted: str) -> None:
    call, what = PLANTED[planted]
    stage = open_stage(Simulation(asking_system(), [Ask(what=planted)]))
    with Audit() as audit:
        stage.run(1)
    assert [(each.what, each.place.partition(" in ")[0]) for each in audit.findings] == [
        (what, f"{HERE}:{line_of(call, what)}")
    ]


def test_a_column_whose_default_is_chance_is_named(open_stage: OpenStage) -> None:
    module = Module("writing", tables=MetaData())
    notes = Table("note", module.tables, Column("id", Uuid, default=uuid4), Column("text", String))

    @module.handle(Ask)
    async def write(command: Ask, work: UnitOfWork) -> None:
        await work.execute(insert(notes).values(text=command.what))

    stage = open_stage(Simulation(System("notes", module), [Ask(what="hello")]))
    with Audit() as audit:
        stage.run(1, Plan(1))
    assert [str(each) for each in audit.findings] == ["the default of column note.id: uuid.uuid4"]


def test_an_audited_run_is_the_same_run_and_the_hello_example_is_clean(open_stage: OpenStage) -> None:
    stage = open_stage(Simulation(shop, [PlaceOrder(customer="ann", euros=40)]))
    with Audit() as audit:
        audited = stage.run(3)
    assert audit.findings == []
    assert audited.digest == stage.run(3).digest


def test_calls_are_counted_and_seeded_chance_is_allowed() -> None:
    seeded = random.Random(7)
    with Audit() as audit:
        for _ in range(3):
            uuid4()
            random.shuffle([1, 2, 3])
            seeded.choice("abc")
    # Nobody of the framework stands around this test, so the test itself is the user.
    assert [(each.what, each.count) for each in audit.findings] == [("uuid.uuid4", 3), ("random.shuffle", 3)]
    with Audit() as nobody:
        pass
    uuid4()
    assert nobody.findings == []
