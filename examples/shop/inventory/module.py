"""The inventory module and its tables."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, MetaData, String, Table

from insula import Module

inventory = Module("inventory", tables=MetaData(), slices="shop.inventory")

stock = Table(
    "stock",
    inventory.tables,
    Column("product_id", String, primary_key=True),
    Column("available", Integer, CheckConstraint("available >= 0"), nullable=False),
    Column("reserved", Integer, CheckConstraint("reserved >= 0"), nullable=False),
    Column("shipped", Integer, CheckConstraint("shipped >= 0"), nullable=False),
)

receipts = Table(
    "receipts",
    inventory.tables,
    Column("receipt_id", String, primary_key=True),
    Column("product_id", String, nullable=False),
    Column("quantity", Integer, nullable=False),
)

reservations = Table(
    "reservations",
    inventory.tables,
    Column("order_id", String, primary_key=True),
    Column("status", String, nullable=False),
)

reserved_units = Table(
    "reserved_units",
    inventory.tables,
    Column("order_id", String, ForeignKey("reservations.order_id"), primary_key=True),
    Column("product_id", String, ForeignKey("stock.product_id"), primary_key=True),
    Column("quantity", Integer, nullable=False),
)
