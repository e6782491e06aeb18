"""The shared kernel: ids, addresses, and money that is exact."""

import pytest

from insula import Money
from insula.kernel.money import CurrencyMismatch
from shop.kernel import Address, is_identifier


def test_three_times_ten_dollars_are_thirty_dollars() -> None:
    assert Money("10.00", "USD") * 3 == Money("30.00", "USD")
    assert str(Money("10.00", "USD") * 3) == "30.00 USD"


def test_dollars_and_euros_are_not_added() -> None:
    with pytest.raises(CurrencyMismatch, match="different currencies"):
        Money("10.00", "USD") + Money("10.00", "EUR")


@pytest.mark.parametrize("text", ["ALFKI", "11", "1-C007", "Äpfel", "a" * 64])
def test_clients_choose_printable_ids(text: str) -> None:
    assert is_identifier(text)


@pytest.mark.parametrize("text", ["", " a", "a ", "a\n", "\x00", "a" * 65])
def test_an_id_is_not_empty_padded_unprintable_or_long(text: str) -> None:
    assert not is_identifier(text)


def test_a_label_leaves_out_what_an_address_does_not_have() -> None:
    short = Address(name="Ann", street="Rue 1", city="Lyon", country="France")
    full = Address(name="Ann", street="Rue 1", city="Rio", country="Brazil", region="RJ", postal_code="05454-876")
    assert short.label() == ("Ann", "Rue 1", "Lyon", "France")
    assert full.label() == ("Ann", "Rue 1", "05454-876 Rio RJ", "Brazil")
