from __future__ import annotations

import sys
from typing import Any, Protocol

import pytest
from sqlalchemy import Column, Integer, MetaData, Table

from insula.kernel.errors import AssemblyError
from insula.messages import Command, Event, Query
from insula.messaging.bus import Bus
from insula.modules import Assembly, Module, System, assemble

THIS_FILE = __file__


class PlaceOrder(Command[None]):
    customer: str


class OrderPlaced(Event, key="customer"):
    customer: str


class GetPoints(Query[int]):
    customer: str


class Work(Protocol):
    async def execute(self) -> None: ...


class BlockingWork(Protocol):
    def execute(self) -> None: ...


class Clock(Protocol):
    def now(self) -> float: ...


class Payments(Protocol):
    def charge(self) -> None: ...


class Card:
    def charge(self) -> None: ...


def here() -> int:
    return sys._getframe(1).f_lineno


def assembled(*modules: Module) -> Assembly:
    return assemble(
        System("shop", *modules),
        framework_ports=frozenset({Clock}),
        awaited_ports=frozenset({Work}),
        blocking_ports=frozenset({BlockingWork}),
    )


def problems(*modules: Module) -> list[str]:
    with pytest.raises(AssemblyError) as refused:
        assembled(*modules)
    headline, *listed = str(refused.value).split("\n  - ")
    assert headline.startswith("system 'shop' (")
    assert f", {len(listed)} problem" in headline
    return listed


def at(line: int) -> str:
    return f"{THIS_FILE}:{line}"


def test_a_system_that_fits_is_a_table_of_who_handles_what() -> None:
    orders, loyalty = Module("orders"), Module("loyalty")

    @orders.post("/orders", status=201)
    @orders.handle(PlaceOrder)
    async def place_order(command: PlaceOrder, work: Work, payments: Payments, clock: Clock) -> None: ...

    @loyalty.on(OrderPlaced)
    def earn(event: OrderPlaced, work: BlockingWork) -> None: ...

    @loyalty.get("/points/{customer}")
    @loyalty.handle(GetPoints)
    async def get_points(query: GetPoints, work: Work) -> int:
        return 1

    @loyalty.every("0 3 * * *")
    async def nightly(work: Work) -> None: ...

    async def legacy(scope: Any, receive: Any, send: Any) -> None: ...

    orders.bind(Payments, Card)
    orders.mount("/legacy", legacy)
    assembly = assembled(orders, loyalty)

    assert {message: (module, handler.name) for message, (module, handler) in assembly.handlers.items()} == {
        PlaceOrder: (orders, "orders.place_order"),
        GetPoints: (loyalty, "loyalty.get_points"),
    }
    assert [(module, handler.name) for module, handler in assembly.consumers] == [(loyalty, "loyalty.earn")]
    assert [(module, handler.name) for module, handler in assembly.schedules] == [(loyalty, "loyalty.nightly")]
    assert [(module, route.path, handler.message) for module, route, handler in assembly.routes] == [
        (orders, "/orders", PlaceOrder),
        (loyalty, "/points/{customer}", GetPoints),
    ]
    assert [(module, mount.application) for module, mount in assembly.mounts] == [(orders, legacy)]
    assert assembly.bindings[orders][Payments].factory is Card
    assert assembly.messages["OrderPlaced"] is OrderPlaced
    assert assembly.owner(PlaceOrder) is orders
    assert assembly.owner(GetPoints) is loyalty


def test_two_handlers_for_one_command_are_refused_naming_both_places() -> None:
    orders, billing = Module("orders"), Module("billing")
    first = here() + 2

    @orders.handle(PlaceOrder)
    async def place_order(command: PlaceOrder) -> None: ...

    second = here() + 2

    @billing.handle(PlaceOrder)
    async def place_again(command: PlaceOrder) -> None: ...

    (problem,) = problems(orders, billing)
    assert problem.startswith("two handlers for PlaceOrder: ")
    assert at(first) in problem
    assert at(second) in problem


def test_a_port_that_nobody_provides_is_refused_naming_the_handler_and_where_to_bind() -> None:
    orders, module_line = Module("orders"), here()
    line = here() + 2

    @orders.handle(PlaceOrder)
    async def place_order(command: PlaceOrder, payments: Payments) -> None: ...

    (problem,) = problems(orders)
    assert f"({at(line)}): parameter 'payments' asks for Payments, which nobody provides" in problem
    assert f"bind it in module 'orders' ({at(module_line)})" in problem


def test_what_is_no_port_is_refused_with_what_to_do_instead() -> None:
    orders = Module("orders")

    @orders.handle(PlaceOrder)
    async def place_order(command: PlaceOrder, region: str, bus: Bus, placed: OrderPlaced) -> None: ...

    text, bus, message = problems(orders)
    assert "parameter 'region' asks for str" in text
    assert "give it a class of its own and bind that" in text
    assert "reads others through Ask" in bus
    assert "a handler takes one message, first" in message


def test_a_port_that_only_another_module_has_bound_is_refused_naming_that_place() -> None:
    orders, billing = Module("orders"), Module("billing")
    billing.bind(Payments, Card)
    bound = here() - 1

    @orders.handle(PlaceOrder)
    async def place_order(command: PlaceOrder, payments: Payments) -> None: ...

    (problem,) = problems(orders, billing)
    assert f"only billing has it (bind(Payments) ({at(bound)}))" in problem


def test_a_port_with_a_default_may_stay_unbound() -> None:
    orders = Module("orders")

    @orders.handle(PlaceOrder)
    async def place_order(command: PlaceOrder, payments: Payments | None = None) -> None: ...

    assert assembled(orders).handlers[PlaceOrder][1].ports[0].optional


def test_a_port_that_is_awaited_is_for_async_handlers_and_one_that_blocks_for_plain_ones() -> None:
    orders = Module("orders")

    @orders.handle(PlaceOrder)
    def place_order(command: PlaceOrder, work: Work) -> None: ...

    @orders.handle(GetPoints)
    async def get_points(query: GetPoints, work: BlockingWork) -> int:
        return 1

    awaited, blocking = problems(orders)
    assert awaited.endswith("asks for Work, which is awaited; make the handler `async def`")
    assert blocking.endswith("asks for BlockingWork, which blocks; make the handler `def`")


def test_a_port_bound_twice_is_refused_naming_both_places() -> None:
    orders = Module("orders")
    orders.bind(Payments, Card)
    orders.bind(Payments, Card)
    line = here() - 1
    (problem,) = problems(orders)
    assert problem.startswith("orders: Payments is bound twice: ")
    assert at(line - 1) in problem
    assert at(line) in problem


def test_two_modules_with_one_name_are_refused_naming_both_places() -> None:
    first, line = Module("orders"), here()
    second = Module("orders")
    (problem,) = problems(first, second)
    assert problem.startswith("two modules are called 'orders'")
    assert at(line) in problem
    assert at(line + 1) in problem


def test_a_table_owned_by_two_modules_is_refused_naming_both() -> None:
    orders, billing = Module("orders", tables=MetaData()), Module("billing", tables=MetaData())
    line = here() - 1
    Table("placed", orders.tables, Column("euros", Integer))
    Table("placed", billing.tables, Column("euros", Integer))
    (problem,) = problems(orders, billing)
    assert problem.startswith("table 'placed' is owned by two modules: module 'orders'")
    assert problem.count(at(line)) == 2


def test_two_routes_with_one_method_and_path_are_refused_whatever_their_fields_are_called() -> None:
    orders, billing = Module("orders"), Module("billing")
    line = here() + 2

    @orders.get("/points/{customer}")
    @orders.handle(GetPoints)
    async def get_points(query: GetPoints) -> int:
        return 1

    class GetDebt(Query[int]):
        debtor: str

    other = here() + 2

    @billing.get("/points/{debtor}")
    @billing.handle(GetDebt)
    async def get_debt(query: GetDebt) -> int:
        return 1

    (problem,) = problems(orders, billing)
    assert problem.startswith("two routes for GET /points/{customer}: ")
    assert at(line) in problem
    assert at(other) in problem


def test_one_path_may_have_several_methods() -> None:
    orders = Module("orders")

    @orders.put("/orders/{customer}")
    @orders.post("/orders/{customer}")
    @orders.handle(PlaceOrder)
    async def place_order(command: PlaceOrder) -> None: ...

    assert [route.method for _, route, _ in assembled(orders).routes] == ["POST", "PUT"]


def test_a_route_on_a_function_that_handles_nothing_is_refused_naming_both() -> None:
    orders = Module("orders")
    line = here() + 2

    @orders.get("/points")
    async def get_points() -> int:
        return 1

    (problem,) = problems(orders)
    assert problem.startswith(f"GET /points ({at(line)}): ")
    assert "handles no message; put `handle` below the route" in problem


def test_a_field_in_a_path_that_the_message_does_not_have_is_refused() -> None:
    orders = Module("orders")

    @orders.get("/points/{customer_id}")
    @orders.handle(GetPoints)
    async def get_points(query: GetPoints) -> int:
        return 1

    (problem,) = problems(orders)
    assert f"{{customer_id}} is no field of GetPoints ({at(GetPoints.__place__[1])}); it has ['customer']" in problem


def test_a_command_behind_get_is_refused_since_get_changes_nothing() -> None:
    orders = Module("orders")

    @orders.get("/orders/{customer}")
    @orders.handle(PlaceOrder)
    async def place_order(command: PlaceOrder) -> None: ...

    (problem,) = problems(orders)
    assert problem.endswith("GET must change nothing, and PlaceOrder is a command; use post")


def test_two_applications_under_one_path_are_refused() -> None:
    async def legacy(scope: Any, receive: Any, send: Any) -> None: ...

    orders, billing = Module("orders"), Module("billing")
    orders.mount("/legacy", legacy)
    billing.mount("/legacy/", legacy)
    (problem,) = problems(orders, billing)
    assert problem.startswith("two applications under /legacy: ")


def test_two_functions_with_one_consumer_name_are_refused_naming_both_places() -> None:
    loyalty = Module("loyalty")

    def declare(event: type[OrderPlaced]) -> int:
        line = here() + 2

        @loyalty.on(event)
        async def earn(event: OrderPlaced) -> None: ...

        return line

    line = declare(OrderPlaced)
    declare(OrderPlaced)
    (problem,) = problems(loyalty)
    assert problem.startswith("two handlers are called 'loyalty.earn': ")
    assert problem.count(at(line)) == 2


def test_a_function_declared_twice_for_one_event_or_schedule_is_refused() -> None:
    loyalty = Module("loyalty")

    @loyalty.on(OrderPlaced)
    @loyalty.on(OrderPlaced)
    async def earn(event: OrderPlaced) -> None: ...

    @loyalty.every("0 3 * * *")
    @loyalty.every("0 4 * * *")
    async def nightly() -> None: ...

    twice, scheduled = problems(loyalty)
    assert twice.endswith("is declared twice for OrderPlaced; once is enough")
    assert scheduled.endswith("is declared twice for a schedule; once is enough")


def test_a_consumer_renamed_from_one_that_still_exists_is_refused() -> None:
    loyalty = Module("loyalty")

    @loyalty.on(OrderPlaced)
    async def earn(event: OrderPlaced) -> None: ...

    @loyalty.on(OrderPlaced, renamed_from="loyalty.earn")
    async def earn_points(event: OrderPlaced) -> None: ...

    (problem,) = problems(loyalty)
    assert "renamed_from='loyalty.earn', but" in problem


@pytest.mark.parametrize(("schedule", "timezone"), [("every day", "UTC"), ("0 3 * * *", "Mars/Olympus")])
def test_a_schedule_that_is_none_is_refused_with_its_place(schedule: str, timezone: str) -> None:
    orders = Module("orders")
    line = here() + 2

    @orders.every(schedule, timezone=timezone)
    async def nightly() -> None: ...

    (problem,) = problems(orders)
    assert at(line) in problem
    assert schedule in problem


def test_all_problems_are_told_at_once() -> None:
    orders = Module("orders")
    again = Module("orders")

    @orders.get("/orders/{id}")
    @orders.handle(PlaceOrder)
    async def place_order(command: PlaceOrder, payments: Payments) -> None: ...

    @again.handle(PlaceOrder)
    async def place_again(command: PlaceOrder) -> None: ...

    assert len(problems(orders, again)) == 5


def test_a_system_of_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match=r"system 'shop' \(.*:\d+\): has no modules"):
        System("shop")


def test_what_is_no_module_is_refused_where_the_system_is_made() -> None:
    with pytest.raises(TypeError, match=r"system 'shop' \(.*\): 'orders' is no Module"):
        System("shop", "orders")  # type: ignore[arg-type]


def test_a_system_is_a_value_that_knows_its_modules_and_its_place() -> None:
    orders = Module("orders")
    shop, line = System("shop", orders), here()
    assert shop.modules == (orders,)
    assert str(shop.place) == f"system 'shop' ({at(line)})"
    with pytest.raises(AttributeError):
        shop.name = "other"  # type: ignore[misc]
