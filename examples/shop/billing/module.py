"""The billing module, its tables, and the payment gateway it uses."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, String, Table

from insula import Module
from shop.billing.local_gateway import LocalGateway
from shop.billing.payment_gateway import PaymentGateway

billing = Module("billing", tables=MetaData(), slices="shop.billing")
billing.bind(PaymentGateway, LocalGateway)

payments = Table(
    "payments",
    billing.tables,
    Column("order_id", String, primary_key=True),
    Column("customer_id", String),
    Column("amount_minor", BigInteger),
    Column("currency", String(3)),
    Column("stock_reserved", Boolean, nullable=False),
    Column("order_cancelled", Boolean, nullable=False),
    Column("status", String, nullable=False),
    Column("charge_key", String),
)

invoices = Table(
    "invoices",
    billing.tables,
    Column("number", Integer, primary_key=True),  # given by the database, in the order of issue
    Column("order_id", String, nullable=False, unique=True),
    Column("customer_id", String, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("issued_at", String, nullable=False),  # ISO 8601, UTC
    Column("paid_at", String),
)
