"""The Northwind sample as a workload, read from its CSV files as they are.

They are plain lines, not proper CSV: a comma inside a ship name or an address is not quoted and shifts the columns
after it, NULL stands for nothing, and accents are UTF-8.
"""

import csv
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

from insula import Money
from shop.catalog.contract import AddProduct
from shop.customers.contract import RegisterCustomer
from shop.kernel import Address, CustomerId, ProductId
from shop.orders.contract import Line, PlaceOrder
from shop.traffic.workload import Purchase, Workload

CURRENCY = "USD"

Record = dict[str, str]


class NorthwindError(Exception):
    """A file is not what was expected; names file and line."""


def read_northwind(folder: Path) -> Workload:
    """Read products, customers and orders from the folder.

    Each order has its customer, its lines and its ship address; prices are those of today's catalog.
    Raises NorthwindError naming file and line.
    """
    products = list(records(folder / "products.csv"))
    customers = list(records(folder / "customers.csv", spilling="address"))
    company_names = {customer["customerID"]: customer["companyName"] for customer in customers}
    lines: dict[str, list[Line]] = {}
    for detail in records(folder / "order-details.csv"):
        lines.setdefault(detail["orderID"], []).append(line_of(detail))
    orders = records(folder / "orders.csv", spilling="shipAddress", names=company_names)
    return Workload(
        products=tuple(product_of(product) for product in products),
        customers=tuple(customer_of(customer) for customer in customers),
        stock={ProductId(product["productID"]): int(product["unitsInStock"]) for product in products},
        purchases=tuple(purchase_of(order, lines.get(order["orderID"], [])) for order in orders),
    )


def records(path: Path, *, spilling: str | None = None, names: dict[str, str] | None = None) -> Iterator[Record]:
    """The records of one file, column by name.

    Parameters: `spilling`, the column whose unquoted commas may spill into further columns, if there is one;
    `names`, customer id to company name, to tell which comma still belongs to the name before an address.
    Raises NorthwindError for a missing file, a short line, or a long one without a spilling column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NorthwindError(f"{path}: {error}") from None
    rows = csv.reader(text.splitlines())
    columns = next(rows, [])
    for number, cells in enumerate(rows, start=2):
        if not cells:
            continue
        surplus = len(cells) - len(columns)
        if surplus < 0 or (surplus and spilling is None):
            raise NorthwindError(f"{path}:{number}: {len(columns)} columns are expected, not {len(cells)}")
        whole = cells if spilling is None else gather(cells, columns.index(spilling), surplus, names or {})
        yield {column: "" if cell == "NULL" else cell for column, cell in zip(columns, whole, strict=True)}


def gather(cells: list[str], spilled: int, surplus: int, names: dict[str, str]) -> list[str]:
    """Put a spilled column together again.

    The commas are the spilled column's own, except those in the name before it when that is a company name we know.
    """
    before = spilled - 1
    known = names.get(cells[1], "")
    commas_in_name = min(known.count(","), surplus)
    if commas_in_name and ",".join(cells[before : before + commas_in_name + 1]) == known:
        cells = [*cells[:before], known, *cells[before + commas_in_name + 1 :]]
        surplus -= commas_in_name
    whole = ",".join(cells[spilled : spilled + surplus + 1])
    return [*cells[:spilled], whole, *cells[spilled + surplus + 1 :]]


def product_of(record: Record) -> AddProduct:
    """A product with its price in dollars."""
    return AddProduct(
        product_id=ProductId(record["productID"]),
        name=record["productName"],
        price=Money(record["unitPrice"], CURRENCY),
        discontinued=record["discontinued"] == "1",
    )


def customer_of(record: Record) -> RegisterCustomer:
    """A customer; Northwind knows no mail addresses, so one is made from the id."""
    return RegisterCustomer(
        customer_id=CustomerId(record["customerID"]),
        name=record["companyName"],
        email=f"{record['customerID'].lower()}@northwind.example",
        address=Address(
            name=record["companyName"],
            street=record["address"],
            postal_code=record["postalCode"] or None,
            city=record["city"],
            region=record["region"] or None,
            country=record["country"],
        ),
    )


def line_of(record: Record) -> Line:
    """A line of an order with its exact discount."""
    try:
        discount = Decimal(record["discount"])
    except InvalidOperation:
        raise NorthwindError(f"order {record['orderID']}: {record['discount']!r} is no discount") from None
    return Line(product_id=ProductId(record["productID"]), quantity=int(record["quantity"]), discount=discount)


def purchase_of(record: Record, lines: list[Line]) -> Purchase:
    """An order with its lines, to the address it was shipped to."""
    return Purchase(
        reference=record["orderID"],
        order=PlaceOrder(
            customer_id=CustomerId(record["customerID"]),
            lines=tuple(lines),
            ship_to=Address(
                name=record["shipName"],
                street=record["shipAddress"],
                postal_code=record["shipPostalCode"] or None,
                city=record["shipCity"],
                region=record["shipRegion"] or None,
                country=record["shipCountry"],
            ),
        ),
    )
