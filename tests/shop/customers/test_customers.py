"""The customers module alone."""

from typing import Any

import pytest

from insula.testing import Scenario
from shop.customers.contract import (
    CustomerDiffers,
    CustomerNotFound,
    GetCustomer,
    GetCustomerNames,
    InvalidCustomer,
    RegisterCustomer,
)
from shop.customers.module import customers


def register(given: Any, **changes: str) -> RegisterCustomer:
    fields = {"customer_id": "ann", "name": "Ann Lee", "email": "ann@customers.example", **changes}
    return RegisterCustomer(**fields, address=given.address)


async def test_a_customer_can_be_read_back(given: Any) -> None:
    async with Scenario(customers) as scenario:
        await scenario.call(register(given))
        assert await scenario.call(GetCustomer(customer_id="ann")) == given.customer


async def test_the_same_customer_twice_is_harmless(given: Any) -> None:
    async with Scenario(customers) as scenario:
        await scenario.call(register(given))
        await scenario.call(register(given))
        assert (await scenario.call(GetCustomer(customer_id="ann"))).name == "Ann Lee"


async def test_an_id_does_not_get_another_customer(given: Any) -> None:
    async with Scenario(customers) as scenario:
        await scenario.call(register(given))
        with pytest.raises(CustomerDiffers):
            await scenario.call(register(given, name="Bob"))


@pytest.mark.parametrize(
    "changes", [{"customer_id": ""}, {"name": ""}, {"email": "nobody"}, {"email": "a@b\nBcc: c@d"}]
)
async def test_whom_nothing_can_be_sent_to_is_refused(given: Any, changes: dict[str, str]) -> None:
    async with Scenario(customers) as scenario:
        with pytest.raises(InvalidCustomer):
            await scenario.call(register(given, **changes))


async def test_an_unknown_customer_is_a_typed_no() -> None:
    async with Scenario(customers) as scenario:
        with pytest.raises(CustomerNotFound) as no:
            await scenario.call(GetCustomer(customer_id="bob"))
        assert no.value.status == 404


async def test_names_leave_out_who_is_not_registered(given: Any) -> None:
    async with Scenario(customers) as scenario:
        await scenario.call(register(given))
        assert await scenario.call(GetCustomerNames(customer_ids=("ann", "bob"))) == {"ann": "Ann Lee"}
