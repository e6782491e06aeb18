"""A command's handler may be renamed: what was answered stays answered, and what is parked goes on."""

from __future__ import annotations

import pytest

from insula import Command, Module, System, UnitOfWork
from insula.messages import Message
from insula.modules import HandlerDeclaration
from insula.store.errors import MessageIdReused
from insula.testing import Scenario

ID = "01900000-0000-7000-8000-000000000001"


class Pay(Command[None], key="account"):
    """Pay an amount."""

    account: str
    amount: int


class Later(Command[None]):
    """Send a payment."""


def paying(name: str, paid: list[str], *, broken: bool = False) -> tuple[System, Module]:
    """A module whose handler of Pay has that name."""
    module = Module("paying")

    async def pay(command: Pay, work: UnitOfWork) -> None:
        if broken:
            raise OSError("the bank is closed")
        paid.append(name)

    @module.handle(Later)
    async def later(command: Later, work: UnitOfWork) -> None:
        work.send(Pay(account="a", amount=1))

    pay.__name__ = name
    module.handle(Pay)(pay)
    return System("one", module), module


async def test_a_command_repeated_after_its_handler_was_renamed_works_once() -> None:
    paid: list[str] = []
    before, _ = paying("pay", paid)
    async with Scenario(before) as scenario:
        await scenario.call(Pay(account="a", amount=1), message_id=ID)
        scenario.system, _ = paying("pay_order", paid)
        await scenario.restart()
        await scenario.call(Pay(account="a", amount=1), message_id=ID)
        assert paid == ["pay"]
        with pytest.raises(MessageIdReused, match=r"paying\.pay_order \(test_renamed_commands\.py:"):
            await scenario.call(Pay(account="a", amount=2), message_id=ID)


async def test_a_parked_command_finds_the_handler_under_its_new_name() -> None:
    paid: list[str] = []
    before, module = paying("pay", paid, broken=True)
    async with Scenario(before) as scenario:
        await scenario.call(Later())
        for relay in scenario.wired.relays:
            await relay.step()
        [parked] = await scenario.parked(module)
        assert parked.consumer == "paying.Pay"
        scenario.system, _ = paying("pay_order", paid)
        await scenario.restart()
        await scenario.settle()
        assert paid == ["pay_order"]


def test_the_consumer_of_a_command_is_named_after_its_message() -> None:
    _, module = paying("pay", [])
    found = {each.message: each.consumer for each in module.declarations if isinstance(each, HandlerDeclaration)}
    expected: dict[type[Message] | None, str] = {Pay: "paying.Pay", Later: "paying.Later"}
    assert found == expected
