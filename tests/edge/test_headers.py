"""Request headers as a mapping."""

from __future__ import annotations

import pytest

from insula.edge.headers import Headers

HEADERS = Headers([(b"authorization", b"Bearer a"), (b"x-tag", b"one"), (b"x-tag", b"two")])


def test_names_are_found_in_any_case() -> None:
    assert HEADERS["Authorization"] == HEADERS.get("AUTHORIZATION") == "Bearer a"


def test_of_several_the_first_counts_and_all_can_be_had() -> None:
    assert HEADERS["x-tag"] == "one"
    assert HEADERS.all("X-Tag") == ("one", "two")


def test_a_missing_header_is_a_missing_key() -> None:
    assert HEADERS.get("cookie") is None
    with pytest.raises(KeyError, match="cookie"):
        HEADERS["cookie"]


def test_each_name_is_listed_once() -> None:
    assert list(HEADERS) == ["authorization", "x-tag"]
    assert len(HEADERS) == 2
