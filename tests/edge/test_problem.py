"""Errors become problem documents that tell clients what they may know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from insula.edge.problem import Problem, pointer, problem_of, refuse
from insula.kernel.errors import (
    ConfigurationError,
    DeadlineExceeded,
    Failure,
    InsulaError,
    Rejection,
    StorageFull,
    Unavailable,
)
from insula.kernel.money import Money
from insula.messages import MessageInvalid, UnknownRejection
from insula.store.errors import MessageIdReused

MESSAGE_ID = "018f2b6c-7a3e-7c1d-9f6e-2d1b7a5c4e90"


class TooSmall(Rejection, status=422):
    """The order is too small to ship.

    Only the first line is the title.
    """

    minimum: Money


class StockTaken(Rejection):
    sku: str
    status_text: str = "gone"


class Odd(Rejection, code="odd-one"):
    type: str
    detail: str


def document(problem: Problem) -> Any:
    return json.loads(problem.encode())


def test_a_rejection_carries_its_code_status_title_and_payload() -> None:
    assert document(problem_of(TooSmall(minimum=Money("5.00", "EUR")))) == {
        "type": "urn:insula:rejection:TooSmall",
        "title": "The order is too small to ship",
        "status": 422,
        "detail": "The order is too small to ship: minimum=5.00 EUR",
        "code": "TooSmall",
        "minimum": {"amount": "5.00", "currency": "EUR"},
    }


def test_a_rejection_without_docstring_is_titled_by_its_code_in_words() -> None:
    problem = problem_of(StockTaken(sku="a"))
    assert (problem.title, problem.status) == ("Stock taken", 409)


def test_a_payload_field_never_replaces_a_member_of_the_standard() -> None:
    shown = document(problem_of(Odd(type="oval", detail="none")))
    assert (shown["type"], shown["payload_type"]) == ("urn:insula:rejection:odd-one", "oval")
    assert (shown["title"], shown["payload_detail"]) == ("Odd one", "none")


def test_a_rejection_that_came_without_its_class_keeps_code_status_and_payload() -> None:
    shown = document(problem_of(UnknownRejection("VoucherUsed", 410, {"voucher": "X1"})))
    assert (shown["code"], shown["status"], shown["title"]) == ("VoucherUsed", 410, "Voucher used")
    assert (shown["type"], shown["voucher"]) == ("urn:insula:rejection:VoucherUsed", "X1")


def test_a_message_that_does_not_fit_names_the_field_with_a_pointer() -> None:
    shown = document(problem_of(MessageInvalid(message="PlaceOrder", path="lines[0].sku", reason="missing")))
    assert shown["status"] == 422
    assert shown["detail"] == "lines[0].sku: missing"
    assert shown["errors"] == [{"pointer": "#/lines/0/sku", "detail": "missing"}]


@pytest.mark.parametrize(
    "path,expected",
    [
        ("", "#"),
        ("a", "#/a"),
        ("a.b[12].c", "#/a/b/12/c"),
        ("prices[...].amount", "#/prices/amount"),
        ("a~b", "#/a~0b"),
    ],
)
def test_a_path_becomes_a_json_pointer(path: str, expected: str) -> None:
    assert pointer(path) == expected


@pytest.mark.parametrize(
    "failure,status,code",
    [
        (Failure("SELECT * FROM secret"), 500, "Failure"),
        (Unavailable("postgres at 10.0.0.7 is down"), 503, "Unavailable"),
        (DeadlineExceeded("secret"), 504, "DeadlineExceeded"),
        (StorageFull("/var/secret is full"), 507, "StorageFull"),
    ],
)
def test_a_failure_tells_its_status_and_nothing_of_the_inside(failure: Failure, status: int, code: str) -> None:
    shown = document(problem_of(failure))
    assert (shown["status"], shown["code"], shown["type"]) == (status, code, "about:blank")
    assert not any(word in json.dumps(shown) for word in ("secret", "SELECT", "10.0.0.7"))


@pytest.mark.parametrize(
    "failure,seconds",
    [(Unavailable(), "1"), (Unavailable(retry_after=0.2), "1"), (Unavailable(retry_after=7.3), "8")],
)
def test_an_unavailable_service_says_when_to_try_again(failure: Failure, seconds: str) -> None:
    assert problem_of(failure).headers == (("retry-after", seconds),)


def test_a_failure_of_the_clients_own_making_says_what_to_do() -> None:
    shown = document(problem_of(MessageIdReused("use a new id for a new command")))
    assert (shown["status"], shown["detail"]) == (422, "use a new id for a new command")


def test_a_failure_that_knows_no_better_time_sends_no_retry_after() -> None:
    assert problem_of(StorageFull("full")).headers == ()


@pytest.mark.parametrize("error", [ValueError("secret"), ConfigurationError("secret"), InsulaError("secret")])
def test_any_other_error_is_an_internal_error_without_its_text(error: Exception) -> None:
    problem = problem_of(error)
    assert problem.status == 500
    assert b"secret" not in problem.encode()


def test_a_refused_request_is_answered_with_its_own_problem() -> None:
    shown = document(problem_of(refuse(413, "ContentTooLarge", "The body is too long.")).with_instance(MESSAGE_ID))
    assert shown == {
        "type": "about:blank",
        "title": "Content too large",
        "status": 413,
        "detail": "The body is too long.",
        "instance": f"urn:uuid:{MESSAGE_ID}",
        "code": "ContentTooLarge",
    }
