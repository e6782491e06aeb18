"""A small choreography, for tests: a trip is booked, gets one of few seats or none; it may be called off or renamed."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String, Table, delete, func, insert, select, update

from insula import Ask, Command, Event, Module, Query, System, UnitOfWork
from insula.simulation import Client

CAPACITY = 2

trips, seats = Module("trips", tables=MetaData()), Module("seats", tables=MetaData())
booked = Table("booked", trips.tables, Column("trip", String), Column("status", String), Column("name", String))
taken = Table("taken", seats.tables, Column("trip", String))
plates = Table("plates", seats.tables, Column("trip", String, primary_key=True), Column("name", String))
called_off = Table("called_off", seats.tables, Column("trip", String))


class BookTrip(Command[None]):
    trip: str


class CancelTrip(Command[None]):
    trip: str


class RenameTrip(Command[None]):
    trip: str
    name: str


class IsWanted(Query[bool]):
    trip: str


class TripBooked(Event, key="trip"):
    trip: str


class TripCancelled(Event, key="trip"):
    trip: str


class TripRenamed(Event, key="trip"):
    trip: str
    name: str


class SeatTaken(Event, key="trip"):
    trip: str


class SeatRefused(Event, key="trip"):
    trip: str


@trips.handle(BookTrip)
async def book(command: BookTrip, work: UnitOfWork) -> None:
    await work.execute(insert(booked).values(trip=command.trip, status="open"))
    work.publish(TripBooked(trip=command.trip))


@trips.handle(CancelTrip)
async def cancel(command: CancelTrip, work: UnitOfWork) -> None:
    await _end(command.trip, "cancelled", work)
    work.publish(TripCancelled(trip=command.trip))


@trips.handle(RenameTrip)
async def rename(command: RenameTrip, work: UnitOfWork) -> None:
    await work.execute(update(booked).where(booked.c.trip == command.trip).values(name=command.name))
    work.publish(TripRenamed(trip=command.trip, name=command.name))


@trips.handle(IsWanted)
async def is_wanted(query: IsWanted, work: UnitOfWork) -> bool:
    return await work.scalar(select(booked.c.status).where(booked.c.trip == query.trip)) != "cancelled"


@trips.on(SeatTaken)
async def confirm(event: SeatTaken, work: UnitOfWork) -> None:
    await _end(event.trip, "confirmed", work)


@trips.on(SeatRefused)
async def refuse(event: SeatRefused, work: UnitOfWork) -> None:
    await _end(event.trip, "refused", work)


async def _end(trip: str, status: str, work: UnitOfWork) -> None:
    open_trip = (booked.c.trip == trip) & (booked.c.status != "cancelled")
    await work.execute(update(booked).where(open_trip).values(status=status))


@seats.on(TripBooked)
async def take_seat(event: TripBooked, ask: Ask, work: UnitOfWork) -> None:
    ((count,),) = await work.peek(select(func.count()).select_from(taken))
    wanted = await ask(IsWanted(trip=event.trip))
    if not wanted or await work.scalar(select(called_off.c.trip).where(called_off.c.trip == event.trip)):
        return
    if count >= CAPACITY:
        work.publish(SeatRefused(trip=event.trip))
        return
    await work.execute(insert(taken).values(trip=event.trip))
    work.publish(SeatTaken(trip=event.trip))


@seats.on(TripCancelled)
async def give_back(event: TripCancelled, work: UnitOfWork) -> None:
    await work.execute(insert(called_off).values(trip=event.trip))  # another handler's message may still be parked
    await work.execute(delete(taken).where(taken.c.trip == event.trip))


@seats.on(TripRenamed)
async def write_plate(event: TripRenamed, work: UnitOfWork) -> None:
    await work.execute(delete(plates).where(plates.c.trip == event.trip))
    await work.execute(insert(plates).values(trip=event.trip, name=event.name))


journeys = System("journeys", trips, seats)


async def travellers(client: Client) -> None:
    """More of them than there are seats; one calls it off at once, one changes names."""
    await client.together(*(travel(client, trip) for trip in ("alps", "baltic", "crete", "delphi")))


async def travel(client: Client, trip: str) -> None:
    await client.call(BookTrip(trip=trip))
    if trip == "alps":
        await client.call(CancelTrip(trip=trip))
    if trip == "baltic":
        for name in ("Riga", "Tallinn"):
            await client.call(RenameTrip(trip=trip, name=name))
