"""What type checkers must accept and refuse; a line that must be refused ends with a mark. Read by test_typing.py."""

from collections.abc import Coroutine
from typing import Any, Protocol, assert_type

from insula.kernel.errors import Rejection
from insula.messages import Command, Event, FrozenMap, Message, Query, result_type
from insula.modules import Module, System


class TooSmall(Rejection, status=422):
    minimum: int


class PlaceOrder(Command[None], key="customer", rejects=(TooSmall,)):
    customer: str
    euros: int = 5


class OpenAccount(Command[str]):
    owner: str


class GetPoints(Query[int]):
    customer: str


class GetPrices(Query[FrozenMap[str, int]]):
    skus: tuple[str, ...]


class FindName(Query[str | None]):
    customer: str


class OrderPlaced(Event, key="customer", name="orders.placed", version=2):
    customer: str


class OrderCancelled(Event):
    customer: str


class Payments(Protocol):
    def charge(self, cents: int) -> None: ...


class Card:
    def charge(self, cents: int) -> None: ...


orders = Module("orders")
shop = System("shop", orders, Module("loyalty"))


# What is right.


@orders.post("/orders", status=201)
@orders.handle(PlaceOrder)
async def place_order(command: PlaceOrder, payments: Payments) -> None:
    if command.euros < 5:
        raise TooSmall(minimum=5)


@orders.handle(GetPoints)
async def get_points(query: GetPoints) -> int:
    return len(query.customer)


@orders.get("/prices")
@orders.handle(GetPrices)
def get_prices(query: GetPrices, payments: Payments) -> FrozenMap[str, int]:
    return FrozenMap(dict.fromkeys(query.skus, 1))


@orders.handle(FindName)
async def find_name(query: FindName) -> str:
    return query.customer


@orders.on(OrderPlaced)
async def earn(event: OrderPlaced, payments: Payments) -> None:
    payments.charge(1)


def note(event: OrderPlaced | OrderCancelled) -> None: ...


orders.on(OrderPlaced, attempts=3)(note)
orders.on(OrderCancelled)(note)


@orders.every("0 3 * * *")
async def nightly(payments: Payments) -> None: ...


async def use() -> None:
    assert_type(await place_order(PlaceOrder(customer="ann"), Card()), None)
    assert_type(await get_points(GetPoints(customer="ann")), int)
    assert_type(get_prices(GetPrices(skus=("a",)), Card()), FrozenMap[str, int])
    await assert_type(earn(OrderPlaced(customer="ann"), Card()), Coroutine[Any, Any, None])


orders.bind(Payments, Card)
names: list[type[Message]] = [PlaceOrder, GetPoints, OrderPlaced]
results = [result_type(name) for name in names]


# What is wrong.


@orders.handle(PlaceOrder)  # refused: another parameter
async def wrong_command(command: GetPoints) -> None: ...


@orders.handle(PlaceOrder)  # refused: another parameter, plain function
def wrong_plain_command(command: OpenAccount) -> None: ...


@orders.handle(GetPoints)  # refused: another result
async def wrong_result(query: GetPoints) -> str:
    return query.customer


@orders.handle(GetPoints)  # refused: another result, plain function
def wrong_plain_result(query: GetPoints) -> str:
    return query.customer


@orders.handle(GetPoints)  # refused: a result that may be missing
async def missing_result(query: GetPoints) -> int | None:
    return None


@orders.handle(PlaceOrder)  # refused: a result where none is promised
async def unwanted_result(command: PlaceOrder) -> int:
    return 1


@orders.handle(GetPoints)  # refused: no message at all
async def no_message() -> int:
    return 1


@orders.on(OrderPlaced)  # refused: another event
async def wrong_event(event: OrderCancelled) -> None: ...


@orders.on(OrderPlaced)  # refused: an event has no answer
async def answering(event: OrderPlaced) -> int:
    return 1


@orders.on(PlaceOrder)  # refused: a command is no event
async def command_as_event(event: PlaceOrder) -> None: ...


@orders.handle(OrderPlaced)  # refused: an event is no command
async def event_as_command(command: OrderPlaced) -> None: ...


@orders.every("0 3 * * *")  # refused: a schedule has no answer
async def answering_schedule() -> int:
    return 1


async def misuse(order: PlaceOrder) -> None:
    PlaceOrder(customer=3)  # refused: a field of another type
    PlaceOrder(euros=3)  # refused: a field is missing
    PlaceOrder("ann")  # refused: fields go by keyword
    PlaceOrder(customer="ann", coupon="x")  # refused: no such field
    order.euros = 4  # refused: messages cannot change
    TooSmall(maximum=3)  # refused: no such field of a rejection
    await place_order(GetPoints(customer="ann"), Card())  # refused: another message
    await place_order(PlaceOrder(customer="ann"))  # refused: a port is missing
    FrozenMap({"a": 1})["a"] = 2  # refused: a frozen map cannot change


orders.post("/orders", status="created")  # refused: a status is a number
