"""The Northwind sample as a workload, read from its CSV files as they are.

They are plain lines, not proper CSV: a comma inside a ship name or an address is not quoted and shifts the columns
after it, NULL stands for nothing, and accents are UTF-8.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeVar

from insula import Money
from shop.catalog.contract import AddProduct
from shop.customers.contract import RegisterCustomer
from shop.kernel import Address, CustomerId, ProductId
from shop.orders.contract import Line, PlaceOrder
from shop.traffic.workload import Purchase, Workload

CURRENCY = "USD"

Record = dict[str, str]
Made = TypeVar("Made")


class NorthwindError(Exception):
    """A file is not what was expected; names file and line."""


def read_northwind(folder: Path) -> Workload:
    """Read products, customers and orders from the folder.

    Each order has its customer, its lines and its ship address; prices are those of today's catalog.
    Raises NorthwindError naming file and line.
    """
    products = list(read(folder / "products.csv", product_of))
    customers = list(read(folder / "customers.csv", customer_of, spilling="address"))
    company_names = {customer.customer_id: customer.name for customer in customers}
    lines: dict[str, list[Line]] = {}
    for order_id, line in read(folder / "order-details.csv", line_of):
        lines.setdefault(order_id, []).append(line)
    orders = read(
        folder / "orders.csv",
        lambda record: purchase_of(record, lines.get(record["orderID"], [])),
        spilling="shipAddress",
        names=company_names,
    )
    return Workload(
        products=tuple(product for product, _ in products),
        customers=tuple(customers),
        stock={product.product_id: units for product, units in products},
        purchases=tuple(orders),
    )


def read(
    path: Path,
    make: Callable[[Record], Made],
    *,
    spilling: str | None = None,
    names: Mapping[CustomerId, str] | None = None,
) -> Iterator[Made]:
    """What `make` makes of each record of a file. Raises NorthwindError naming file and line."""
    for number, record in records(path, spilling=spilling, names=names or {}):
        try:
            yield make(record)
        except (KeyError, ValueError, InvalidOperation) as error:
            raise NorthwindError(f"{path}:{number}: {error}") from None


def records(path: Path, *, spilling: str | None, names: Mapping[CustomerId, str]) -> Iterator[tuple[int, Record]]:
    """Line number and record of each line of a file, column by name.

    Parameters: `spilling`, the column whose unquoted commas may spill into further columns, if there is one;
    `names`, company names by customer, to tell which comma still belongs to the name before an address.
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
        whole = cells if spilling is None else gather(cells, columns.index(spilling), surplus, names)
        yield number, {column: "" if cell == "NULL" else cell for column, cell in zip(columns, whole, strict=True)}


def gather(cells: list[str], spilled: int, surplus: int, names: Mapping[CustomerId, str]) -> list[str]:
    """Put a spilled column together again.

    The commas are the spilled column's own, except those in the name before it when that is a company name we know.
    """
    before = spilled - 1
    known = names.get(CustomerId(cells[1]), "")
    commas_in_name = min(known.count(","), surplus)
    if commas_in_name and ",".join(cells[before : before + commas_in_name + 1]) == known:
        cells = [*cells[:before], known, *cells[before + commas_in_name + 1 :]]
        surplus -= commas_in_name
    whole = ",".join(cells[spilled : spilled + surplus + 1])
    return [*cells[:spilled], whole, *cells[spilled + surplus + 1 :]]


def product_of(record: Record) -> tuple[AddProduct, int]:
    """A product with its price in dollars, and its units in stock."""
    product = AddProduct(
        product_id=ProductId(record["productID"]),
        name=record["productName"],
        price=Money(record["unitPrice"], CURRENCY),
        discontinued=record["discontinued"] == "1",
    )
    return product, int(record["unitsInStock"])


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


def line_of(record: Record) -> tuple[str, Line]:
    """The order's id, and its line with the exact discount."""
    return record["orderID"], Line(
        product_id=ProductId(record["productID"]),
        quantity=int(record["quantity"]),
        discount=Decimal(record["discount"]),
    )


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
