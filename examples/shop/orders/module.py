"""The orders module and its tables."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, String, Table

from insula import Module

orders = Module("orders", tables=MetaData(), slices="shop.orders")

placed = Table(
    "placed",
    orders.tables,
    Column("number", Integer, primary_key=True),  # given by the database, in the order of placing
    Column("order_id", String, nullable=False, unique=True),
    Column("customer_id", String, nullable=False),
    Column("status", String, nullable=False),
    Column("reason", String),
    Column("detail", String, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("recipient", String, nullable=False),
    Column("street", String, nullable=False),
    Column("postal_code", String),
    Column("city", String, nullable=False),
    Column("region", String),
    Column("country", String, nullable=False),
    Column("placed_at", String, nullable=False),  # ISO 8601, UTC
    Index("placed_by_customer", "customer_id"),
)

lines = Table(
    "lines",
    orders.tables,
    Column("order_id", String, ForeignKey("placed.order_id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("product_id", String, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit_price_minor", BigInteger, nullable=False),
    Column("discount", String, nullable=False),  # an exact decimal
    Column("total_minor", BigInteger, nullable=False),
)
