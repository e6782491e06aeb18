from __future__ import annotations

import functools
import sys
import types
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, NoReturn, Protocol

import pytest

from insula.messages import Command, Event, FrozenMap, Query
from insula.modules import Module, PortParameter, System, assemble
from insula.modules.signature import assignable

if TYPE_CHECKING:
    from collections import OrderedDict

OrderId = NewType("OrderId", str)
THIS_FILE = __file__


class PlaceOrder(Command[OrderId]):
    customer: str


class CancelOrder(Command[None]):
    order_id: OrderId


class GetPoints(Query[int]):
    customer: str


class GetName(Query[str | None]):
    customer: str


class OrderPlaced(Event):
    customer: str


class OrderCancelled(Event):
    customer: str


class Payments(Protocol):
    def charge(self) -> None: ...


def module() -> Module:
    return Module("orders")


def here() -> int:
    return sys._getframe(1).f_lineno


def test_a_handler_that_takes_and_returns_what_its_message_says_is_recorded_as_it_is() -> None:
    orders = module()

    async def place_order(command: PlaceOrder, payments: Payments) -> OrderId:
        return OrderId(command.customer)

    assert orders.handle(PlaceOrder)(place_order) is place_order
    (declaration,) = orders.declarations
    assert declaration.function is place_order
    assert declaration.kind == "command"
    assert declaration.message is PlaceOrder
    assert declaration.name == "orders.place_order"
    assert declaration.is_async
    assert declaration.ports == (PortParameter("payments", Payments),)


def test_a_handler_may_be_a_plain_function() -> None:
    orders = module()

    @orders.handle(GetPoints)
    def get_points(query: GetPoints) -> int:
        return 3

    (declaration,) = orders.declarations
    assert not declaration.is_async
    assert declaration.kind == "query"
    assert get_points(GetPoints(customer="ann")) == 3


def test_a_wrong_first_parameter_is_refused_naming_function_place_expected_and_found() -> None:
    line = here() + 3
    with pytest.raises(TypeError) as refused:

        @module().handle(PlaceOrder)
        async def place_order(command: GetPoints) -> OrderId:
            return OrderId("1")

    expected = f"place_order ({THIS_FILE}:{line}): first parameter: expected PlaceOrder, found GetPoints"
    assert str(refused.value).endswith(expected)


def test_a_wrong_result_is_refused_naming_function_place_expected_and_found() -> None:
    line = here() + 3
    with pytest.raises(TypeError) as refused:

        @module().handle(GetPoints)
        async def get_points(query: GetPoints) -> str:
            return ""

    assert str(refused.value).endswith(f"get_points ({THIS_FILE}:{line}): return type: expected int, found str")


def test_an_event_handler_takes_its_event_and_returns_nothing() -> None:
    with pytest.raises(TypeError, match="first parameter: expected OrderPlaced, found OrderCancelled"):

        @module().on(OrderPlaced)
        async def earn(event: OrderCancelled) -> None: ...

    with pytest.raises(TypeError, match="return type: expected None, found int"):

        @module().on(OrderPlaced)
        async def count(event: OrderPlaced) -> int:
            return 1


def test_annotations_that_are_missing_are_refused_as_such() -> None:
    with pytest.raises(TypeError, match="first parameter: expected GetPoints, found no annotation"):

        @module().handle(GetPoints)
        async def untyped(query) -> int:
            return 1

    with pytest.raises(TypeError, match="return type: expected int, found no annotation"):

        @module().handle(GetPoints)
        async def unsaid(query: GetPoints):
            return 1

    with pytest.raises(TypeError, match="parameter 'payments' has no type, and ports go by type"):

        @module().handle(GetPoints)
        async def unnamed(query: GetPoints, payments) -> int:
            return 1


def test_a_handler_without_parameters_is_refused() -> None:
    with pytest.raises(TypeError, match="takes nothing; its first parameter is the message"):

        @module().handle(GetPoints)
        async def get_points() -> int:
            return 1


def test_a_parameter_that_no_port_can_go_into_is_refused() -> None:
    def variable(query: GetPoints, *rest: int) -> int:
        return 1

    def keywords(query: GetPoints, **rest: int) -> int:
        return 1

    def named(query: GetPoints, *, payments: Payments) -> int:
        return 1

    for function, shown in ((variable, r"\*rest"), (keywords, r"\*\*rest"), (named, "payments")):
        with pytest.raises(TypeError, match=f"{shown}.* cannot take a port"):
            module().handle(GetPoints)(function)


def test_a_generator_is_no_handler() -> None:
    async def stream(query: GetPoints) -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="is a generator; a handler returns one answer"):
        module().handle(GetPoints)(stream)


def test_a_default_makes_a_port_optional() -> None:
    orders = module()

    @orders.handle(GetPoints)
    async def get_points(query: GetPoints, payments: Payments | None = None) -> int:
        return 1

    (declaration,) = orders.declarations
    assert declaration.ports == (PortParameter("payments", Payments | None, optional=True),)


def test_one_function_may_handle_two_events() -> None:
    orders = module()

    @orders.on(OrderPlaced)
    @orders.on(OrderCancelled)
    async def note(event: OrderPlaced | OrderCancelled) -> None: ...

    assert [declaration.message for declaration in orders.declarations] == [OrderCancelled, OrderPlaced]
    assert {declaration.name for declaration in orders.declarations} == {"orders.note"}


def test_a_decorated_handler_is_read_through_its_decorator() -> None:
    def audited(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def around(*args: Any) -> Any:
            return await function(*args)

        return around

    orders = module()
    decorated = orders.handle(GetPoints)(audited(_get_points))
    (declaration,) = orders.declarations
    assert declaration.function is decorated
    assert declaration.place.line == _get_points.__code__.co_firstlineno
    with pytest.raises(TypeError, match="expected PlaceOrder, found GetPoints"):
        orders.handle(PlaceOrder)(audited(_get_points))


async def _get_points(query: GetPoints, payments: Payments) -> int:
    return 1


LATE = """
from __future__ import annotations
from insula.messages import Command, Query
from insula.modules import Module

late = Module("late")

class GetLater(Query["Later"]):
    pass

@late.handle(GetLater)
async def get_later(query: GetLater, port: LatePort) -> {returned}: ...

class Later(Command[None]):
    name: str

class LatePort:
    pass
"""


def executed(source: str, name: str) -> Module:
    created = types.ModuleType(name)
    sys.modules[name] = created
    exec(compile(source, f"{name}.py", "exec"), vars(created))
    return created.late


def test_names_that_come_later_in_the_file_are_resolved_when_the_system_is_assembled() -> None:
    late = executed(LATE.format(returned="Later"), "late_and_right")
    assert late.declarations[0].ports == (PortParameter("port", "LatePort"),)
    late.bind(sys.modules["late_and_right"].LatePort, sys.modules["late_and_right"].LatePort)
    assembly = assemble(System("shop", late))
    ((_, handler),) = assembly.handlers.values()
    assert handler.ports == (PortParameter("port", sys.modules["late_and_right"].LatePort),)


def test_a_wrong_type_that_was_not_defined_at_import_is_refused_when_the_system_is_assembled() -> None:
    late = executed(LATE.format(returned="LatePort"), "late_and_wrong")
    late.bind(sys.modules["late_and_wrong"].LatePort, sys.modules["late_and_wrong"].LatePort)
    with pytest.raises(
        Exception, match=r"get_later \(late_and_wrong\.py:11\): return type: expected Later, found LatePort"
    ):
        assemble(System("shop", late))


def test_a_wrong_first_parameter_is_refused_at_import_even_where_a_port_is_not_defined_yet() -> None:
    with pytest.raises(TypeError, match="expected GetPoints, found PlaceOrder"):

        @module().handle(GetPoints)
        async def get_points(query: PlaceOrder, port: NotYet) -> int:  # noqa: F821
            return 1


def test_a_port_imported_for_type_checkers_only_is_refused_with_the_remedy() -> None:
    orders = module()

    @orders.handle(GetPoints)
    async def get_points(query: GetPoints, port: OrderedDict[str, int]) -> int:
        return 1

    with pytest.raises(Exception, match=r"OrderedDict.*not only under `if TYPE_CHECKING`"):
        assemble(System("shop", orders))


class Animal:
    pass


class Cat(Animal):
    pass


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (int, int),
        (bool, int),
        (Cat, Animal),
        (None, type(None)),
        (int, int | None),
        (None, int | None),
        (int | None, None | int),
        (OrderId, str),
        (OrderId, OrderId),
        (Literal["a"], str),
        (Literal["a"], Literal["a", "b"]),
        (tuple[int, int], tuple[int, ...]),
        (tuple[bool, ...], tuple[int, ...]),
        (tuple[int, str], tuple[int, str]),
        (list[int], Sequence[int]),
        (FrozenMap[str, int], FrozenMap[str, int]),
        (FrozenMap[str, int], Mapping[str, int]),
        (Annotated[int, "doc"], int),
        (int, Annotated[int, "doc"]),
        (int, object),
        (Any, int),
        (int, Any),
        (NoReturn, int),
    ],
)
def test_a_type_that_checkers_accept_is_accepted(found: Any, expected: Any) -> None:
    assert assignable(found, expected)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (str, int),
        (int, bool),
        (Animal, Cat),
        (None, int),
        (int, None),
        (int | None, int),
        (str, OrderId),
        (Literal["a", 3], str),
        (Literal["c"], Literal["a", "b"]),
        (Literal[True], Literal[1]),
        (tuple[str, ...], tuple[int, ...]),
        (tuple[int, ...], tuple[int, int]),
        (tuple[int, int, int], tuple[int, int]),
        (FrozenMap[str, str], FrozenMap[str, int]),
        (list[int], tuple[int, ...]),
        (object, int),
    ],
)
def test_a_type_that_checkers_refuse_is_refused(found: Any, expected: Any) -> None:
    assert not assignable(found, expected)
