"""The shipping module and its table."""

from sqlalchemy import Column, Integer, MetaData, String, Table, Text

from insula import Module

shipping = Module("shipping", tables=MetaData(), slices="shop.shipping")

shipments = Table(
    "shipments",
    shipping.tables,
    Column("number", Integer, primary_key=True),  # given by the database, in the order of booking
    Column("order_id", String, nullable=False, unique=True),
    Column("customer_id", String, nullable=False),
    Column("label", Text, nullable=False),  # the address, a line each
    Column("units", Integer, nullable=False),
    Column("booked_at", String, nullable=False),  # ISO 8601, UTC
)


def shown_number(number: int) -> str:
    """A shipment's number as people quote it: SHP-0001."""
    return f"SHP-{number:04d}"
