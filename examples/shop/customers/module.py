"""The customers module and its table."""

from sqlalchemy import Column, MetaData, String, Table

from insula import Module

customers = Module("customers", tables=MetaData(), slices="shop.customers")

registered = Table(
    "registered",
    customers.tables,
    Column("customer_id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("email", String, nullable=False),
    Column("recipient", String, nullable=False),
    Column("street", String, nullable=False),
    Column("postal_code", String),
    Column("city", String, nullable=False),
    Column("region", String),
    Column("country", String, nullable=False),
)
