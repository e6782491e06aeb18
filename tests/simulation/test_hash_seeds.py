"""The same seed is the same run in two interpreters that hash texts differently; what differs is named with its line.

HASH_SEEDS=200 pytest tests/simulation/test_hash_seeds.py    compares that many seeds
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, MetaData, String, Table, insert

from insula import Command, Module, System, UnitOfWork
from insula.simulation import Simulation
from insula.simulation.guards.answering import answer_parent
from insula.simulation.guards.hash_seeds import Child, CrossCheck, child_of_target, child_of_test, cross_check
from simulation.test_runs import HELLO

SEEDS = int(os.environ.get("HASH_SEEDS", "20"))
NAMES = ("tea", "lamp", "cup", "pot", "oil", "ink")
HERE = "tests/simulation/test_hash_seeds.py"


class Ask(Command[None]):
    pass


def walk_a_set() -> Iterator[str]:
    names = set(NAMES)
    for name in names:  # planted
        yield f"a {name}"


def make_a_list_of_a_set() -> Iterator[str]:
    names = list(set(NAMES))  # planted
    yield from names


def hash_a_text() -> Iterator[str]:
    number = hash("tea")  # planted
    yield str(number)


def take_any() -> Iterator[str]:
    names = set(NAMES)
    while names:
        name = names.pop()  # planted
        yield name


def draw_an_identifier() -> Iterator[str]:
    from uuid import uuid4

    identifier = uuid4()  # planted
    yield identifier.hex


def writing(names: Callable[[], Iterator[str]]) -> Simulation:
    """A system whose handler writes names in the order in which they come."""
    module = Module("writing", tables=MetaData())
    notes = Table("note", module.tables, Column("name", String))

    @module.handle(Ask)
    async def write(command: Ask, work: UnitOfWork) -> None:
        for name in names():
            await work.execute(insert(notes).values(name=name))

    return Simulation(System("notes", module), [Ask()])


WALKING, LISTING, HASHING = writing(walk_a_set), writing(make_a_list_of_a_set), writing(hash_a_text)
TAKING, DRAWING = writing(take_any), writing(draw_an_identifier)


def test_hello_runs_alike_under_two_hash_seeds() -> None:
    if answer_parent(HELLO):
        return
    assert cross_check(child_of_test(), range(SEEDS)) == CrossCheck()


def test_the_shop_runs_alike_under_two_hash_seeds() -> None:
    assert cross_check(child_of_target("shop.simulation:survival"), range(SEEDS)) == CrossCheck()


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("WALKING", walk_a_set),
        ("LISTING", make_a_list_of_a_set),
        ("HASHING", hash_a_text),
        ("TAKING", take_any),
        ("DRAWING", draw_an_identifier),
    ],
)
def test_a_run_that_depends_on_the_interpreter_is_named_with_its_line(
    name: str, planted: Callable[[], Iterator[str]]
) -> None:
    found = cross_check(child_of_target(f"simulation.test_hash_seeds:{name}"), [1, 2]).difference
    assert found is not None
    source, first = inspect.getsourcelines(planted)
    line = first + next(number for number, text in enumerate(source) if "# planted" in text)
    assert found.seed == 1
    assert found.cause.startswith(f"{HERE}:{line}: ")
    assert " under one hash seed and " in found.cause


def test_the_second_simulation_of_a_test_is_compared_with_itself() -> None:
    assert not answer_parent(HELLO)  # a child goes on from here
    if answer_parent(writing(walk_a_set)):
        return
    assert cross_check(child_of_test(), [1]).difference is not None


def test_where_no_interpreter_can_follow_the_check_says_so() -> None:
    assert "was skipped" in (cross_check(None, [1]).skipped or "")


def test_an_interpreter_that_does_not_answer_is_told_with_what_it_said() -> None:
    silent = Child([sys.executable, "-c", "print('no such shop')"], Path.cwd())
    assert (cross_check(silent, [1]).skipped or "").endswith("ended with 0 and without an answer: …no such shop")
