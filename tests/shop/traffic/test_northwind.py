"""Reading a Northwind folder, with the quirks of the real one, made up here."""

from decimal import Decimal
from pathlib import Path

import pytest

from insula import Money
from shop.kernel import Address
from shop.orders.contract import Line
from shop.traffic.northwind import NorthwindError, read_northwind
from shop.traffic.workload import Workload

PRODUCTS = """\
productID,productName,supplierID,categoryID,quantityPerUnit,unitPrice,unitsInStock,unitsOnOrder,reorderLevel,discontinued
1,Grüner Tee,1,1,10 boxes x 20 bags,18.00,39,0,10,0
2,Cook's Crème brûlée,1,2,36 boxes,21.35,0,0,0,1
"""
CUSTOMERS = """\
customerID,companyName,contactName,contactTitle,address,city,region,postalCode,country,phone,fax
LUNCH,Lunch d'été,José Pérez,Owner,12, rue des Oignons,Nîmes,NULL,30000,France,01.02,NULL
STOCK,Stock, Bond & Sons,Ann Lee,Owner,5 High St.,Cork,Co. Cork,NULL,Ireland,(1) 555,(1) 556
"""
ORDERS = (
    "orderID,customerID,employeeID,orderDate,requiredDate,shippedDate,shipVia,freight,"
    "shipName,shipAddress,shipCity,shipRegion,shipPostalCode,shipCountry\n"
    "901,LUNCH,5,1996-07-04,1996-08-01,NULL,3,32.38,Lunch d'été,12, rue des Oignons,Nîmes,NULL,30000,France\n"
    "902,STOCK,6,1996-07-05,1996-08-16,NULL,1,11.61,"
    "Stock, Bond & Sons,Unit 3, 5 High St.,Cork,Co. Cork,NULL,Ireland\n"
    "903,STOCK,6,1996-07-05,1996-08-16,NULL,1,11.61,Elsewhere,Plain Street 1,Cork,NULL,NULL,Ireland\n"
)
DETAILS = """\
orderID,productID,unitPrice,quantity,discount
901,1,14.40,12,0
901,2,17.00,10,0.15
902,1,14.40,5,0.05
903,1,14.40,1,0.25
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    stock_customer = CUSTOMERS.replace("STOCK,Stock, Bond & Sons", 'STOCK,"Stock, Bond & Sons"')
    texts = {"products": PRODUCTS, "customers": stock_customer, "orders": ORDERS, "order-details": DETAILS}
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def workload(folder: Path) -> Workload:
    return read_northwind(folder)


def test_products_have_price_stock_and_mark(workload: Workload) -> None:
    tea, creme = workload.products
    assert (tea.name, tea.price, tea.discontinued) == ("Grüner Tee", Money("18.00", "USD"), False)
    assert (creme.name, creme.discontinued) == ("Cook's Crème brûlée", True)
    assert workload.stock == {"1": 39, "2": 0}


def test_a_comma_in_an_address_does_not_shift_the_columns(workload: Workload) -> None:
    lunch = workload.customers[0]
    assert lunch.name == "Lunch d'été"
    assert lunch.address == Address(
        name="Lunch d'été", street="12, rue des Oignons", city="Nîmes", country="France", postal_code="30000"
    )


def test_null_is_nothing(workload: Workload) -> None:
    stock = workload.customers[1].address
    assert (stock.region, stock.postal_code) == ("Co. Cork", None)
    assert workload.purchases[2].order.ship_to == Address(
        name="Elsewhere", street="Plain Street 1", city="Cork", country="Ireland"
    )


def test_commas_in_ship_name_and_ship_address_are_told_apart_by_the_customer(workload: Workload) -> None:
    first, second, _ = workload.purchases
    assert first.order.ship_to == Address(
        name="Lunch d'été", street="12, rue des Oignons", city="Nîmes", country="France", postal_code="30000"
    )
    assert second.order.ship_to == Address(
        name="Stock, Bond & Sons", street="Unit 3, 5 High St.", city="Cork", country="Ireland", region="Co. Cork"
    )


def test_orders_have_their_lines_with_exact_discounts(workload: Workload) -> None:
    assert [purchase.reference for purchase in workload.purchases] == ["901", "902", "903"]
    assert workload.purchases[0].order.lines == (
        Line(product_id="1", quantity=12, discount=Decimal(0)),
        Line(product_id="2", quantity=10, discount=Decimal("0.15")),
    )


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "orders.csv").unlink()
    with pytest.raises(NorthwindError, match=r"orders\.csv"):
        read_northwind(folder)


@pytest.mark.parametrize("line", ["3,Short", "3,Chai,1,1,10 boxes, 20 bags,18.00,39,0,10,0"])
def test_a_line_that_cannot_be_understood_is_named(folder: Path, line: str) -> None:
    (folder / "products.csv").write_text(PRODUCTS + line + "\n", encoding="utf-8")
    with pytest.raises(NorthwindError, match=r"products\.csv:4: 10 columns are expected"):
        read_northwind(folder)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("order-details", "12,0", "12,none"), ("order-details", "12,0", "a dozen,0"), ("products", "18.00", "cheap")],
)
def test_a_number_that_is_none_is_named_with_its_line(folder: Path, name: str, before: str, after: str) -> None:
    path = folder / f"{name}.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(before, after, 1), encoding="utf-8")
    with pytest.raises(NorthwindError, match=rf"{name}\.csv:2"):
        read_northwind(folder)
