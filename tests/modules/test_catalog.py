from __future__ import annotations

import sys
import types

import pytest

from insula.kernel.errors import AssemblyError
from insula.messages import Command, Event
from insula.modules import Module, System, assemble

THIS_FILE = __file__


class PlaceOrder(Command[None]):
    customer: str


class SendOrder(Command[None], name="PlaceOrder"):
    customer: str


class OrderPlaced(Event, key="customer"):
    customer: str


def problem(*modules: Module) -> str:
    with pytest.raises(AssemblyError) as refused:
        assemble(System("shop", *modules))
    _, only = str(refused.value).split("\n  - ")
    return only


def at(line: int) -> str:
    return f"{THIS_FILE}:{line}"


def test_two_messages_with_one_name_on_the_wire_are_refused_naming_both_places() -> None:
    orders, billing = Module("orders"), Module("billing")

    @orders.handle(PlaceOrder)
    async def place_order(command: PlaceOrder) -> None: ...

    @billing.handle(SendOrder)
    async def send_order(command: SendOrder) -> None: ...

    told = problem(orders, billing)
    assert "are both called 'PlaceOrder' on the wire" in told
    assert at(PlaceOrder.__place__[1]) in told
    assert at(SendOrder.__place__[1]) in told


def test_messages_in_a_file_of_handlers_are_known_unless_their_name_is_taken() -> None:
    orders = Module("orders")

    @orders.handle(SendOrder)
    async def send_order(command: SendOrder) -> None: ...

    messages = assemble(System("shop", orders)).messages
    assert messages == {"PlaceOrder": SendOrder, "OrderPlaced": OrderPlaced}


def test_a_message_that_names_what_is_defined_nowhere_is_refused() -> None:
    class Dangling(Command[None]):
        field: DefinedNowhere  # noqa: F821

    orders = Module("orders")

    @orders.handle(Dangling)
    async def dangle(command: Dangling) -> None: ...

    told = problem(orders)
    assert f"Dangling ({at(Dangling.__place__[1])}): name 'DefinedNowhere' is not defined" in told


def written(name: str, source: str) -> types.ModuleType:
    """A Python module made of text, as if imported from a file."""
    created = types.ModuleType(name)
    sys.modules[name] = created
    exec(compile(source, f"{name}.py", "exec"), vars(created))
    return created


def test_an_event_belongs_to_the_module_in_whose_contract_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    contract = written("orders_contract", "from insula.messages import Event\nclass Shipped(Event): pass")
    monkeypatch.setitem(sys.modules, "orders_contract", contract)
    orders, loyalty = Module("orders", contract="orders_contract"), Module("loyalty")

    @loyalty.on(contract.Shipped)
    async def note(event: contract.Shipped) -> None: ...

    assembly = assemble(System("shop", orders, loyalty))
    assert assembly.owner(contract.Shipped) is orders
    assert assembly.messages["Shipped"] is contract.Shipped


def test_an_event_in_a_file_that_several_modules_share_belongs_to_none() -> None:
    orders, loyalty = Module("orders"), Module("loyalty")

    @orders.handle(PlaceOrder)
    async def place_order(command: PlaceOrder) -> None: ...

    @loyalty.on(OrderPlaced)
    async def earn(event: OrderPlaced) -> None: ...

    with pytest.raises(LookupError, match="no module of 'shop' owns OrderPlaced"):
        assemble(System("shop", orders, loyalty)).owner(OrderPlaced)
