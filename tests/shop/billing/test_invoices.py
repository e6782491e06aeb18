"""Invoices: billing's own, made from what orders says."""

from datetime import timedelta
from typing import Any

import pytest

from insula import Money
from insula.testing import Scenario
from shop.billing.contract import GetInvoice, InvoiceIssued, InvoiceNotFound
from shop.billing.module import billing, invoices


async def test_a_confirmed_order_gets_one_invoice_over_its_exact_total(given: Any) -> None:
    async with Scenario(billing) as scenario:
        await scenario.deliver(given.confirmed(), source="orders")
        await scenario.deliver(given.confirmed(), source="orders")
        invoice = await scenario.call(GetInvoice(order_id=given.order_id))
        assert (invoice.number, invoice.total) == ("INV-0001", Money("50.00", "EUR"))
        assert len(await scenario.rows(billing, invoices.select())) == 1
        assert scenario.published == [
            InvoiceIssued(order_id=given.order_id, customer_id="ann", number="INV-0001", total=Money("50.00", "EUR"))
        ]


async def test_a_paid_invoice_is_never_overdue(given: Any) -> None:
    async with Scenario(billing) as scenario:
        await scenario.deliver(given.confirmed(), source="orders")
        await scenario.advance(timedelta(days=31))
        assert not (await scenario.call(GetInvoice(order_id=given.order_id))).overdue


async def test_an_order_that_is_not_confirmed_has_no_invoice(given: Any) -> None:
    async with Scenario(billing) as scenario:
        await scenario.deliver(given.placed(), source="orders")
        with pytest.raises(InvoiceNotFound) as no:
            await scenario.call(GetInvoice(order_id=given.order_id))
        assert no.value.status == 404
