"""What `insula new` writes."""

CONFIGURATION = """system = "$system.system:$system"

[http]
port = 8000
"""

PROJECT = """[project]
name = "$system"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["insula"]

[project.optional-dependencies]
test = ["pytest"]

[tool.pytest.ini_options]
addopts = "--import-mode=importlib"
pythonpath = ["."]
testpaths = ["tests"]
"""

PACKAGE = '"""The $system system."""\n'

SYSTEM = '''"""The modules that make up the system."""

from insula import System

from $system.$module.module import $module

$system = System("$system", $module)
'''

MODULE_PACKAGE = '"""The $module module: others import its contract only."""\n'

CONTRACT = '''"""What other modules may import of $module."""

from insula import Command, Event, Rejection


class NameMissing(Rejection, status=422):
    """Nobody can be greeted without a name."""


class SayHello(Command[str], rejects=(NameMissing,)):
    """Greet somebody; the answer is the greeting."""

    name: str


class Greeted(Event, key="name"):
    """Somebody was greeted."""

    name: str
'''

MODULE = '''"""The module with its tables; slices in this folder declare its handlers."""

from insula import Module
from sqlalchemy import Column, Integer, MetaData, String, Table

$module = Module("$module", tables=MetaData(), slices=__package__)

greeted = Table(
    "greeted",
    $module.tables,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
)
'''

SLICE = '''"""Say hello: one feature in one file."""

from insula import UnitOfWork
from sqlalchemy import insert

from $system.$module.contract import Greeted, NameMissing, SayHello
from $system.$module.module import greeted, $module


@$module.post("/greetings", status=201)
@$module.handle(SayHello)
async def say_hello(command: SayHello, work: UnitOfWork) -> str:
    """Remember whom we greeted, and tell whoever listens."""
    if not command.name.strip():
        raise NameMissing
    await work.execute(insert(greeted), {"name": command.name})
    work.publish(Greeted(name=command.name))
    return f"Hello, {command.name}!"
'''

MODULE_TEST = '''"""Greeting somebody."""

import pytest
from insula.testing import Scenario

from $system.$module.contract import Greeted, NameMissing, SayHello
from $system.$module.module import $module


async def test_somebody_is_greeted_by_name() -> None:
    async with Scenario($module) as scenario:
        assert await scenario.call(SayHello(name="Ann")) == "Hello, Ann!"
        assert scenario.published == [Greeted(name="Ann")]


async def test_nobody_cannot_be_greeted() -> None:
    async with Scenario($module) as scenario:
        with pytest.raises(NameMissing):
            await scenario.call(SayHello(name=" "))
'''

SLICE_ALONE = '''"""$Command: one feature in one file. Move the command to contract.py once others use it."""

from insula import Command, UnitOfWork

from $system.$module.module import $module


class $Command(Command[str]):
    """Say what it does."""

    name: str


@$module.post("/$path", status=201)
@$module.handle($Command)
async def $slice(command: $Command, work: UnitOfWork) -> str:
    """Say what happens."""
    return command.name
'''

SLICE_TEST = '''"""$Command, alone."""

from insula.testing import Scenario

$imports


async def test_it_answers() -> None:
    async with Scenario($module) as scenario:
        assert await scenario.call($Command(name="x")) == "x"
'''

# -- a module that is added later: named after itself, so that any number of them fit into one system

ADDED_CONTRACT = '''"""What other modules may import of $module."""

from insula import Command, Event, Rejection


class NameMissing(Rejection, status=422):
    """Nothing can be added without a name."""


class AddTo$Module(Command[str], rejects=(NameMissing,)):
    """Add something; the answer is its id."""

    name: str


class AddedTo$Module(Event, key="id"):
    """Something was added."""

    id: str
    name: str
'''

ADDED_MODULE = '''"""The module with its tables; slices in this folder declare its handlers."""

from insula import Module
from sqlalchemy import Column, MetaData, String, Table

$module = Module("$module", tables=MetaData(), slices=__package__)

entries = Table(
    "entries",
    $module.tables,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
)
'''

ADDED_SLICE = '''"""Add to $module: one feature in one file."""

from insula import Context, UnitOfWork
from sqlalchemy import insert

from $system.$module.contract import AddedTo$Module, AddTo$Module, NameMissing
from $system.$module.module import $own


@$module.post("/$path", status=201)
@$module.handle(AddTo$Module)
async def add(command: AddTo$Module, context: Context, work: UnitOfWork) -> str:
    """Store it, and tell whoever listens."""
    if not command.name.strip():
        raise NameMissing
    entry_id = context.new_id()
    await work.execute(insert(entries), {"id": entry_id, "name": command.name})
    work.publish(AddedTo$Module(id=entry_id, name=command.name))
    return entry_id
'''

ADDED_TEST = '''"""Adding to $module."""

import pytest
from insula.testing import Scenario

from $system.$module.contract import AddedTo$Module, AddTo$Module, NameMissing
from $system.$module.module import $module


async def test_what_is_added_is_told() -> None:
    async with Scenario($module) as scenario:
        entry_id = await scenario.call(AddTo$Module(name="first"))
        assert scenario.published == [AddedTo$Module(id=entry_id, name="first")]


async def test_nothing_is_added_without_a_name() -> None:
    async with Scenario($module) as scenario:
        with pytest.raises(NameMissing):
            await scenario.call(AddTo$Module(name=" "))
'''
