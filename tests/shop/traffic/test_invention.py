"""Made-up orders: realistic, and the same for the same seed."""

from typing import Any

from shop.orders.domain import Order
from shop.orders.place_order import check
from shop.traffic.invention import WITHOUT_CREDIT, invent


def test_one_seed_is_one_workload() -> None:
    assert invent(50, seed=7) == invent(50, seed=7)
    assert invent(50, seed=7) != invent(50, seed=8)


def test_two_seeds_never_disagree_about_an_id() -> None:
    seven, eight = invent(1, seed=7), invent(1, seed=8)
    assert not {each.product_id for each in seven.products} & {each.product_id for each in eight.products}
    in_both = {each.customer_id: each for each in seven.customers}.items() & {
        each.customer_id: each for each in eight.customers
    }.items()
    assert {customer_id for customer_id, _ in in_both} == {WITHOUT_CREDIT}


def test_every_order_can_be_placed(given: Any) -> None:
    workload = invent(300, seed=1)
    prices = {product.product_id: product.price for product in workload.products}
    customers = {customer.customer_id: customer for customer in workload.customers}
    for purchase in workload.purchases:
        check(purchase.order)
        customer = customers[purchase.order.customer_id]
        order = Order.place(
            "order-1",
            customer_id=customer.customer_id,
            lines=purchase.order.lines,
            prices=prices,
            ship_to=customer.address,
            placed_at=given.noon,
        )
        assert order.total.amount > 0
    assert len({purchase.reference for purchase in workload.purchases}) == 300


def test_the_stock_is_too_small_for_all_orders_even_ten_times_over() -> None:
    workload = invent(500, seed=1)
    wanted = sum(line.quantity for purchase in workload.purchases for line in purchase.order.lines)
    assert wanted // 3 < 10 * sum(workload.stock.values()) < wanted
