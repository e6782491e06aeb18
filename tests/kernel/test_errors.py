from __future__ import annotations

from typing import ClassVar

import pytest

from insula.kernel import (
    AssemblyError,
    ConfigurationError,
    DeadlineExceeded,
    Failure,
    InsulaError,
    Rejection,
    StorageFull,
    Unavailable,
)


class TooSmall(Rejection, status=422):
    minimum: int


class FarTooSmall(TooSmall):
    given: int
    advice: str = "order more"
    shown_to: ClassVar[str] = "customers"


class Refers(Rejection, code="refers-to-later"):
    later: Later


class Later:
    pass


class LooksAlike(Rejection):
    minimum: int


def test_a_rejection_carries_its_fields() -> None:
    rejection = TooSmall(minimum=5)
    assert rejection.minimum == 5
    assert rejection.payload() == {"minimum": 5}


def test_a_rejection_reads_aloud() -> None:
    assert str(TooSmall(minimum=5)) == "TooSmall: minimum=5"
    assert repr(FarTooSmall(minimum=5, given=1)) == "FarTooSmall(minimum=5, given=1, advice='order more')"


def test_fields_are_inherited_and_defaults_come_from_the_class() -> None:
    rejection = FarTooSmall(minimum=5, given=1)
    assert rejection.payload() == {"minimum": 5, "given": 1, "advice": "order more"}
    assert FarTooSmall(minimum=5, given=1, advice="go").advice == "go"


def test_a_missing_field_is_named() -> None:
    with pytest.raises(TypeError, match="FarTooSmall: field 'given' is missing"):
        FarTooSmall(minimum=5)  # type: ignore[call-arg]


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(TypeError, match="TooSmall has no field 'maximum'"):
        TooSmall(minimum=5, maximum=9)  # type: ignore[call-arg]


def test_a_class_variable_is_no_field() -> None:
    with pytest.raises(TypeError, match="no field 'shown_to'"):
        FarTooSmall(minimum=5, given=1, shown_to="all")  # type: ignore[call-arg]


def test_rejections_are_equal_by_type_and_payload() -> None:
    assert TooSmall(minimum=5) == TooSmall(minimum=5)
    assert TooSmall(minimum=5) != TooSmall(minimum=6)
    assert TooSmall(minimum=5) != LooksAlike(minimum=5)
    assert hash(TooSmall(minimum=5)) == hash(TooSmall(minimum=5))


def test_the_field_types_are_resolved_when_asked_for() -> None:
    assert Refers.__rejection_fields__ == {"later": Later}
    assert FarTooSmall.__rejection_fields__ == {"minimum": int, "given": int, "advice": str}
    assert Rejection.__rejection_fields__ == {}


def test_status_and_code_have_defaults_and_only_the_status_is_inherited() -> None:
    assert (Rejection.status, LooksAlike.status, TooSmall.status, FarTooSmall.status) == (409, 409, 422, 422)
    assert (TooSmall.code, FarTooSmall.code, Refers.code) == ("TooSmall", "FarTooSmall", "refers-to-later")


@pytest.mark.parametrize("status", [200, 399, 500])
def test_a_status_that_is_no_refusal_is_refused(status: int) -> None:
    with pytest.raises(TypeError, match=f"Wrong: status={status}"):
        type("Wrong", (Rejection,), {}, status=status)


@pytest.mark.parametrize("name", ["status", "code", "payload", "args", "add_note"])
def test_a_field_with_a_taken_name_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=f"Wrong.{name}"):
        type("Wrong", (Rejection,), {"__annotations__": {name: int}})


def test_a_rejection_can_be_raised_and_caught_as_its_family() -> None:
    with pytest.raises(Rejection) as caught:
        raise TooSmall(minimum=5)
    assert caught.value == TooSmall(minimum=5)
    assert isinstance(caught.value, InsulaError)


@pytest.mark.parametrize(
    ("failure", "status"), [(Failure, 500), (Unavailable, 503), (DeadlineExceeded, 504), (StorageFull, 507)]
)
def test_each_failure_has_its_status(failure: type[Failure], status: int) -> None:
    raised = failure("the disk is gone", retry_after=1.5)
    assert (raised.status, raised.code, raised.retry_after) == (status, failure.__name__, 1.5)
    assert str(raised) == "the disk is gone"
    assert failure().retry_after is None


def test_business_and_machine_and_wiring_are_three_families() -> None:
    assert not issubclass(Failure, Rejection)
    assert not issubclass(ConfigurationError, (Failure, Rejection))
    assert not issubclass(AssemblyError, (Failure, Rejection))
