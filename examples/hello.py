"""Two modules, two databases, one event.  insula dev hello:shop"""
from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select
from insula import Command, Event, Module, Query, Rejection, System, UnitOfWork

orders, loyalty = Module("orders", tables=MetaData()), Module("loyalty", tables=MetaData())
placed = Table("placed", orders.tables, Column("customer", String), Column("euros", Integer))
points = Table("points", loyalty.tables, Column("customer", String), Column("earned", Integer))

class TooSmall(Rejection, status=422):
    minimum: int

class PlaceOrder(Command[None], rejects=(TooSmall,)):
    customer: str
    euros: int

class OrderPlaced(Event, key="customer"):
    customer: str
    euros: int

class GetPoints(Query[int]):
    customer: str

@orders.post("/orders", status=201)
@orders.handle(PlaceOrder)
async def place_order(command: PlaceOrder, work: UnitOfWork) -> None:
    if command.euros < 5:
        raise TooSmall(minimum=5)
    await work.execute(insert(placed).values(customer=command.customer, euros=command.euros))
    work.publish(OrderPlaced(customer=command.customer, euros=command.euros))     # one commit

@loyalty.on(OrderPlaced)
async def earn(event: OrderPlaced, work: UnitOfWork) -> None:                     # redelivered? counted once
    await work.execute(insert(points).values(customer=event.customer, earned=event.euros))

@loyalty.get("/points/{customer}")
@loyalty.handle(GetPoints)
async def get_points(query: GetPoints, work: UnitOfWork) -> int:
    total = select(func.sum(points.c.earned)).where(points.c.customer == query.customer)
    return await work.scalar(total) or 0
shop = System("shop", orders, loyalty)
