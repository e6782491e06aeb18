"""Addresses as people may see them."""

from __future__ import annotations

import pytest

from insula.adapters.postgres.shown import for_each_module, without_password


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://ann:secret@db:5432/orders", "postgresql://ann:…@db:5432/orders"),
        ("postgresql://ann@db/orders", "postgresql://ann@db/orders"),
        ("postgresql://ann:s%40e@[::1]:5432/orders", "postgresql://ann:…@[::1]:5432/orders"),
    ],
)
def test_a_password_is_not_shown(address: str, shown: str) -> None:
    assert without_password(address) == shown
    assert for_each_module(address) == shown


@pytest.mark.parametrize(
    "address", ["postgresql://{module}@db:5432/{module}", "postgresql://shop_{module}:secret@db:5432/shop_{module}"]
)
def test_a_pattern_for_modules_is_shown_as_what_it_means(address: str) -> None:
    assert for_each_module(address) == "postgresql://db:5432, a database for each module"
