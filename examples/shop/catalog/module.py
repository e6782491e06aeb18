"""The catalog module and its table."""

from sqlalchemy import BigInteger, Boolean, Column, MetaData, String, Table

from insula import Module

catalog = Module("catalog", tables=MetaData(), slices="shop.catalog")

products = Table(
    "products",
    catalog.tables,
    Column("product_id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("price_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("discontinued", Boolean, nullable=False),
)
