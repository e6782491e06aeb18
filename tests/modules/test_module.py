from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy import Column, Integer, MetaData, Table

from insula.messages import Command, Event, Message, Query
from insula.modules import BindingDeclaration, HandlerDeclaration, Module, MountDeclaration, RouteDeclaration

THIS_FILE = __file__


class PlaceOrder(Command[None]):
    customer: str


class GetPoints(Query[int]):
    customer: str


class OrderPlaced(Event):
    customer: str


class Payments(Protocol):
    @property
    def currency(self) -> str: ...

    def charge(self, cents: int) -> None: ...


class Card:
    currency = "EUR"

    def charge(self, cents: int) -> None: ...


def make_card() -> Card:
    return Card()


def here() -> int:
    return sys._getframe(1).f_lineno


@pytest.mark.parametrize("name", ["orders", "back-office", "orders_2", "a" * 63])
def test_a_name_that_can_be_a_file_a_role_and_a_path_is_accepted(name: str) -> None:
    assert Module(name).name == name


@pytest.mark.parametrize("name", ["", "Orders", "2orders", "or ders", "../orders", "orders.db", "a" * 64, "örders"])
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match="lower-case letters, digits"):
        Module(name)


def test_a_module_knows_where_it_is_written() -> None:
    orders, line = Module("orders"), here()
    assert str(orders.place) == f"module 'orders' ({THIS_FILE}:{line})"


def test_its_tables_are_the_metadata_it_was_given_or_empty() -> None:
    metadata = MetaData()
    Table("placed", metadata, Column("euros", Integer))
    assert Module("orders", tables=metadata).tables is metadata
    assert Module("orders", tables=metadata).table_names == {"placed"}
    bare = Module("orders")
    assert bare.table_names == frozenset()
    Table("placed", bare.tables, Column("euros", Integer))
    assert bare.table_names == {"placed"}


def test_it_keeps_what_it_is_told_about_slices_migrations_and_contract() -> None:
    orders = Module("orders", slices="shop.orders", migrations="migrations", contract="shop.orders.contract")
    assert (orders.slices, orders.migrations, orders.contract) == (
        "shop.orders",
        Path(__file__).parent / "migrations",
        "shop.orders.contract",
    )


def test_a_module_without_tables_loads_no_sqlalchemy_and_no_asyncio() -> None:
    code = (
        "import sys; from insula.modules import Module; Module('orders'); "
        "print([name for name in ('sqlalchemy', 'asyncio', 'sqlite3') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "[]"


def test_a_route_stands_over_a_handler_and_changes_nothing_about_it() -> None:
    orders = Module("orders")

    async def place_order(command: PlaceOrder) -> None: ...

    line = here() + 1
    routed = orders.post("/orders/{customer}/", status=201)(orders.handle(PlaceOrder)(place_order))
    handler, route = orders.declarations
    assert routed is place_order
    assert isinstance(handler, HandlerDeclaration)
    assert isinstance(route, RouteDeclaration)
    assert (route.method, route.path, route.status) == ("POST", "/orders/{customer}/", 201)
    assert route.function is place_order
    assert route.parameters == ("customer",)
    assert (route.place.file, route.place.line) == (THIS_FILE, line)


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_each_method_of_http_has_a_decorator(method: str) -> None:
    orders = Module("orders")
    getattr(orders, method)("/orders")(lambda: None)
    (route,) = orders.declarations
    assert (route.method, route.status) == (method.upper(), 200)


@pytest.mark.parametrize(
    "path",
    ["", "orders", "/orders//lines", "/orders/{}", "/orders/{id", "/orders/x{id}", "/a/{id}/{id}", "/a?b", "/a b"],
)
def test_a_path_that_cannot_be_served_is_refused_with_its_place(path: str) -> None:
    with pytest.raises(TypeError) as refused:
        Module("orders").get(path)
    assert THIS_FILE in str(refused.value)


@pytest.mark.parametrize("status", [100, 302, 404])
def test_a_status_that_is_no_success_is_refused(status: int) -> None:
    with pytest.raises(TypeError, match="is no success"):
        Module("orders").post("/orders", status=status)


def test_events_are_for_on_and_commands_and_queries_for_handle() -> None:
    orders: Any = Module("orders")
    with pytest.raises(TypeError, match=r"OrderPlaced \(.*test_module.py:\d+\) is 'event': use `on`, not `handle`"):
        orders.handle(OrderPlaced)
    with pytest.raises(TypeError, match=r"PlaceOrder .* is 'command': use `handle`, not `on`"):
        orders.on(PlaceOrder)
    with pytest.raises(TypeError, match=r"GetPoints .* is 'query': use `handle`, not `on`"):
        orders.on(GetPoints)


@pytest.mark.parametrize("unknown", [int, Command, Event, Message, "PlaceOrder", None])
def test_what_is_no_message_cannot_be_handled(unknown: Any) -> None:
    orders: Any = Module("orders")
    with pytest.raises(TypeError, match="is no message"):
        orders.handle(unknown)
    with pytest.raises(TypeError, match="is no message"):
        orders.on(unknown)


def test_a_message_of_no_kind_cannot_be_handled() -> None:
    class Vague(Message):
        pass

    orders: Any = Module("orders")
    with pytest.raises(TypeError, match="Vague is no message; subclass Command"):
        orders.handle(Vague)


def test_a_consumer_may_say_its_attempts_and_its_earlier_name() -> None:
    loyalty = Module("loyalty")

    @loyalty.on(OrderPlaced, attempts=3, renamed_from="loyalty.earn_points")
    async def earn(event: OrderPlaced) -> None: ...

    (declaration,) = loyalty.declarations
    assert (declaration.attempts, declaration.renamed_from) == (3, "loyalty.earn_points")
    with pytest.raises(TypeError, match="must be at least 1"):
        loyalty.on(OrderPlaced, attempts=0)


def test_a_schedule_takes_ports_only() -> None:
    orders = Module("orders")

    @orders.every("0 3 * * *", timezone="Europe/Berlin")
    async def nightly(payments: Payments) -> None: ...

    (declaration,) = orders.declarations
    assert (declaration.kind, declaration.message) == ("schedule", None)
    assert (declaration.schedule, declaration.timezone) == ("0 3 * * *", "Europe/Berlin")
    assert [port.annotation for port in declaration.ports] == [Payments]
    with pytest.raises(TypeError, match="return type: expected None, found int"):

        @orders.every("* * * * *")  # type: ignore[arg-type]
        def count() -> int:
            return 1


def test_a_port_is_bound_to_a_class_or_a_function() -> None:
    orders = Module("orders")
    line = here() + 1
    orders.bind(Payments, Card)
    orders.bind(Card, make_card)
    first, second = orders.declarations
    assert isinstance(first, BindingDeclaration)
    assert (first.port, first.factory) == (Payments, Card)
    assert str(first.place) == f"bind(Payments) ({THIS_FILE}:{line})"
    assert isinstance(second.factory(), Card)


def test_an_adapter_that_lacks_what_its_port_has_is_refused() -> None:
    class Cash:
        pass

    with pytest.raises(TypeError, match=r"bind\(Payments\) .*: Cash has no charge, currency"):
        Module("orders").bind(Payments, Cash)


def test_a_factory_that_needs_arguments_is_refused() -> None:
    class Costly(Card):
        def __init__(self, key: str, retries: int = 3) -> None: ...

    with pytest.raises(TypeError, match="the factory needs key"):
        Module("orders").bind(Payments, Costly)


def test_a_port_that_is_no_class_is_refused() -> None:
    with pytest.raises(TypeError, match="is no class; bind a Protocol or a class"):
        Module("orders").bind("Payments", Card)  # type: ignore[arg-type]


def test_an_application_is_mounted_under_a_path() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None: ...

    orders = Module("orders")
    orders.mount("/legacy/", application)
    (declaration,) = orders.declarations
    assert isinstance(declaration, MountDeclaration)
    assert (declaration.path, declaration.application) == ("/legacy", application)
    with pytest.raises(TypeError, match="begins with '/'"):
        orders.mount("legacy", application)


def test_declarations_are_values_that_cannot_change() -> None:
    orders = Module("orders")
    orders.bind(Payments, Card)
    (declaration,) = orders.declarations
    with pytest.raises(AttributeError):
        declaration.port = Card  # type: ignore[misc]
    assert declaration == BindingDeclaration(Payments, Card, declaration.place)
