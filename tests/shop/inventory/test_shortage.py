"""When stock suffices."""

from typing import Any

from shop.inventory.domain import Shortage, first_shortage, units_wanted


def test_lines_of_one_product_are_wanted_together(given: Any) -> None:
    lines = (given.line("tea", 2), given.line("figs", 1), given.line("tea", 3))
    assert units_wanted(lines) == {"tea": 5, "figs": 1}


def test_exactly_enough_is_enough() -> None:
    assert first_shortage({"tea": 5}, {"tea": 5}) is None


def test_the_first_shortage_names_product_and_units() -> None:
    shortage = first_shortage({"tea": 5, "figs": 2, "rye": 1}, {"tea": 5, "figs": 1})
    assert shortage == Shortage(product_id="figs", wanted=2, available=1)
    assert str(shortage) == "product figs: 2 wanted, 1 left"


def test_what_was_never_received_is_short() -> None:
    assert first_shortage({"rye": 1}, {}) == Shortage(product_id="rye", wanted=1, available=0)
