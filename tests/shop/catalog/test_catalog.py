"""The catalog alone: what is for sale, and at which price."""

import pytest

from insula import Money
from insula.testing import Scenario
from shop.catalog.contract import (
    AddProduct,
    GetPrices,
    GetProduct,
    InvalidProduct,
    ListProducts,
    Product,
    ProductDiffers,
    ProductNotFound,
)
from shop.catalog.module import catalog

TEA = AddProduct(product_id="tea", name="Tea", price=Money("12.50", "EUR"))
FIGS = AddProduct(product_id="figs", name="Figs", price=Money("3.00", "EUR"), discontinued=True)


async def test_a_product_can_be_read_back() -> None:
    async with Scenario(catalog) as scenario:
        await scenario.call(FIGS)
        found = await scenario.call(GetProduct(product_id="figs"))
        assert found == Product(product_id="figs", name="Figs", price=Money("3.00", "EUR"), discontinued=True)


async def test_the_same_product_twice_is_harmless() -> None:
    async with Scenario(catalog) as scenario:
        await scenario.call(TEA)
        await scenario.call(TEA)
        assert len(await scenario.call(ListProducts())) == 1


async def test_an_id_does_not_get_another_product() -> None:
    async with Scenario(catalog) as scenario:
        await scenario.call(TEA)
        with pytest.raises(ProductDiffers):
            await scenario.call(AddProduct(product_id="tea", name="Tea", price=Money("13.00", "EUR")))
        assert (await scenario.call(GetProduct(product_id="tea"))).price == Money("12.50", "EUR")


@pytest.mark.parametrize(
    "product",
    [
        AddProduct(product_id="", name="Tea", price=Money("1", "EUR")),
        AddProduct(product_id="tea", name=" ", price=Money("1", "EUR")),
        AddProduct(product_id="tea", name="Tea", price=Money("-1", "EUR")),
        AddProduct(product_id="tea", name="Tea", price=Money("1000000.01", "EUR")),
    ],
)
async def test_what_cannot_be_sold_is_refused(product: AddProduct) -> None:
    async with Scenario(catalog) as scenario:
        with pytest.raises(InvalidProduct):
            await scenario.call(product)
        assert await scenario.call(ListProducts()) == ()


async def test_an_unknown_product_is_a_typed_no() -> None:
    async with Scenario(catalog) as scenario:
        with pytest.raises(ProductNotFound) as no:
            await scenario.call(GetProduct(product_id="tea"))
        assert no.value == ProductNotFound(product_id="tea")
        assert no.value.status == 404


async def test_prices_leave_out_what_is_not_for_sale() -> None:
    async with Scenario(catalog) as scenario:
        await scenario.call(TEA)
        await scenario.call(FIGS)
        assert await scenario.call(GetPrices(product_ids=("tea", "herring"))) == {"tea": Money("12.50", "EUR")}
        assert await scenario.call(GetPrices(product_ids=())) == {}


async def test_products_come_in_pages() -> None:
    async with Scenario(catalog) as scenario:
        await scenario.call(TEA)
        await scenario.call(FIGS)
        first = await scenario.call(ListProducts(limit=1))
        second = await scenario.call(ListProducts(limit=1, after=first[-1].product_id))
        assert [product.product_id for product in (*first, *second)] == ["figs", "tea"]
