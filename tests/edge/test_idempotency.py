"""The Idempotency-Key header and the message ids it stands for."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.edge.idempotency import key_of_request, message_id_of
from insula.edge.problem import RequestRefused

TEXTS = st.text(min_size=1, max_size=20)


def test_a_key_may_be_quoted_as_the_draft_asks_or_bare_as_most_send_it() -> None:
    assert key_of_request(['"8e03978e"']) == key_of_request(["8e03978e"]) == key_of_request([" 8e03978e "])


def test_quotes_and_backslashes_inside_a_quoted_key_are_escaped() -> None:
    assert key_of_request([r'"a\"b\\c"']) == r"a\b\c".replace("\\b", '"b')


@pytest.mark.parametrize(
    "values,reason",
    [
        ([""], "is empty"),
        (["  "], "is empty"),
        (['""'], "is empty"),
        (["k" * 256], "has 256 characters"),
        (["a", "b"], "more than once"),
        (['"open'], "no quoted string"),
        (['"a"b"'], "no quoted string"),
        (["schlüssel"], "not printable ASCII"),
        (["a\tb"], "not printable ASCII"),
    ],
)
def test_a_key_that_is_no_use_is_refused_with_the_reason(values: list[str], reason: str) -> None:
    with pytest.raises(RequestRefused, match=reason) as refused:
        key_of_request(values)
    assert refused.value.problem.status == 400


def test_the_longest_key_is_255_characters() -> None:
    assert key_of_request(['"' + "k" * 255 + '"']) == "k" * 255


@given(TEXTS, TEXTS, TEXTS)
def test_the_same_key_of_the_same_caller_is_the_same_command(name: str, subject: str, key: str) -> None:
    first = message_id_of(name, subject, key)
    assert first == message_id_of(name, subject, key)
    assert str(UUID(first)) == first


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_another_command_caller_or_key_is_another_command(name: str, subject: str, key: str, more: str) -> None:
    ids = {
        message_id_of(name, subject, key),
        message_id_of(name + more, subject, key),
        message_id_of(name, subject + more, key),
        message_id_of(name, subject, key + more),
    }
    assert len(ids) == 4
