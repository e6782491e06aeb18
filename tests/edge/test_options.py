"""What a request says beside the message."""

from __future__ import annotations

import pytest

from insula.edge.options import check_content_type, timeout_of_request, traceparent_of_request
from insula.edge.problem import RequestRefused

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "value",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/vnd.shop+json",
    ],
)
def test_json_in_utf_8_is_taken(value: str) -> None:
    assert check_content_type(value) is None


@pytest.mark.parametrize(
    "value",
    [None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/x+json",
     "application/json; charset=latin-1"],
)  # fmt: skip
def test_another_content_type_is_refused_with_415_and_what_to_send(value: str | None) -> None:
    with pytest.raises(RequestRefused, match="JSON") as refused:
        check_content_type(value)
    assert refused.value.problem.status == 415


def test_a_time_limit_is_a_positive_number_of_seconds() -> None:
    assert timeout_of_request(["2.5"]) == 2.5


@pytest.mark.parametrize("values", [["0"], ["-1"], ["nan"], ["inf"], ["soon"], [""], ["1", "2"]])
def test_another_time_limit_is_refused_with_400(values: list[str]) -> None:
    with pytest.raises(RequestRefused, match="Request-Timeout") as refused:
        timeout_of_request(values)
    assert refused.value.problem.status == 400


def test_a_trace_is_continued() -> None:
    assert traceparent_of_request([TRACE]) == TRACE


@pytest.mark.parametrize("values", [[TRACE, TRACE], [TRACE.upper()], ["00-00-00-00"], [TRACE + "-x"], [""]])
def test_what_is_no_traceparent_starts_a_new_trace(values: list[str]) -> None:
    assert traceparent_of_request(values) is None
