from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.messages import Envelope, MessageInvalid, from_cloudevent, to_cloudevent

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
TIMES = st.datetimes(
    timezones=st.just(UTC) | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
ENVELOPES = st.builds(
    Envelope,
    id=TEXT,
    source=TEXT,
    type=TEXT,
    kind=st.sampled_from(["event", "command", "tick"]),
    version=st.integers(1, 1000),
    subject=st.none() | TEXT,
    time=TIMES,
    data=JSON.map(lambda value: json.dumps(value).encode()),
    correlation_id=TEXT,
    causation_id=st.none() | TEXT,
    traceparent=st.none() | TEXT,
    caller=TEXT,
    position=st.integers(0, 2**63 - 1),
    previous=st.integers(0, 2**63 - 1),
    expires_at=st.none() | TIMES,
)
FOREIGN = {
    "specversion": "1.0",
    "id": "7",
    "source": "/crm",
    "type": "com.example.sold",
    "time": "2024-05-01T10:00:00Z",
}


def envelope(**changes: Any) -> Envelope:
    values: dict[str, Any] = {
        "id": "018f",
        "source": "orders",
        "type": "OrderPlaced",
        "kind": "event",
        "version": 2,
        "subject": "ann",
        "time": datetime(2024, 5, 1, 10, tzinfo=UTC),
        "data": b'{"customer":"ann"}',
        "correlation_id": "018e",
        "causation_id": "018d",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "caller": "ann",
        "position": 5_000_000_000,
        "previous": 4_999_999_999,
        "expires_at": datetime(2024, 5, 2, tzinfo=UTC),
    }
    return Envelope(**{**values, **changes})


@given(ENVELOPES)
def test_an_envelope_comes_back_from_its_cloudevent_as_it_was(sent: Envelope) -> None:
    assert from_cloudevent(to_cloudevent(sent)) == sent


@given(ENVELOPES)
def test_every_cloudevent_keeps_the_rules_of_the_standard(sent: Envelope) -> None:
    attributes = json.loads(to_cloudevent(sent))
    data = attributes.pop("data")
    assert data == json.loads(sent.data)
    assert attributes["specversion"] == "1.0"
    assert attributes["datacontenttype"] == "application/json"
    for name, value in attributes.items():
        assert re.fullmatch("[a-z0-9]{1,20}", name)
        assert isinstance(value, (str, int))
        assert value != ""
        assert isinstance(value, str) or -(2**31) <= value < 2**31
    assert {"id", "source", "type", "time"} <= attributes.keys()


def test_the_attributes_have_the_names_of_the_standard_and_its_extensions() -> None:
    assert json.loads(to_cloudevent(envelope())) == {
        "specversion": "1.0",
        "id": "018f",
        "source": "orders",
        "type": "OrderPlaced",
        "subject": "ann",
        "time": "2024-05-01T10:00:00Z",
        "datacontenttype": "application/json",
        "kind": "event",
        "schemaversion": 2,
        "correlationid": "018e",
        "causationid": "018d",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "caller": "ann",
        "position": "5000000000",
        "previous": "4999999999",
        "expirytime": "2024-05-02T00:00:00Z",
        "data": {"customer": "ann"},
    }


def test_an_attribute_without_value_is_left_out() -> None:
    bare = envelope(subject=None, causation_id=None, traceparent=None, expires_at=None)
    assert not {"subject", "causationid", "traceparent", "expirytime"} & json.loads(to_cloudevent(bare)).keys()


def test_an_event_of_somebody_else_is_read_as_the_start_of_a_story_told_by_nobody() -> None:
    read = from_cloudevent(json.dumps({**FOREIGN, "comexampleother": 3, "data": {"a": [1, 2]}}).encode())
    assert read == Envelope(
        id="7",
        source="/crm",
        type="com.example.sold",
        kind="event",
        version=1,
        subject=None,
        time=datetime(2024, 5, 1, 10, tzinfo=UTC),
        data=b'{"a": [1, 2]}',
        correlation_id="7",
        causation_id=None,
        traceparent=None,
        caller="anonymous",
    )


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/cloud+json"]
)
def test_data_of_every_json_media_type_is_read(media_type: str) -> None:
    read = from_cloudevent(json.dumps({**FOREIGN, "datacontenttype": media_type, "data": 1}).encode())
    assert read.data == b"1"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"specversion": None}, "specversion"),
        ({"specversion": "0.3"}, "specversion"),
        ({"id": ""}, "id"),
        ({"source": ""}, "source"),
        ({"type": None}, "type"),
        ({"subject": ""}, "subject"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2024-05-01T10:00:00"}, "time"),
        ({"kind": "rumour"}, "kind"),
        ({"position": "-1"}, "position"),
        ({"previous": "x"}, "previous"),
        ({"expirytime": "2024-05-01T10:00:00"}, "expirytime"),
        ({"datacontenttype": "text/xml"}, "datacontenttype"),
    ],
)
def test_a_wrong_attribute_is_refused_by_name(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(MessageInvalid) as refused:
        from_cloudevent(json.dumps({**FOREIGN, **changes}).encode())
    assert (refused.value.message, refused.value.path) == ("CloudEvent", path)


@pytest.mark.parametrize("absent", ["specversion", "id", "source", "type", "time"])
def test_a_missing_attribute_is_refused_by_name(absent: str) -> None:
    event = {name: value for name, value in FOREIGN.items() if name != absent}
    with pytest.raises(MessageInvalid) as refused:
        from_cloudevent(json.dumps(event).encode())
    assert refused.value.path == absent
    assert refused.value.reason.startswith("missing")


@given(st.binary(max_size=60))
def test_bytes_from_anywhere_are_refused_as_no_cloudevent(data: bytes) -> None:
    with pytest.raises(MessageInvalid):
        from_cloudevent(data)


@pytest.mark.parametrize("field", ["time", "expires_at"])
def test_a_time_without_zone_has_no_place_in_a_cloudevent(field: str) -> None:
    naive = envelope().time.replace(tzinfo=None)
    with pytest.raises(ValueError, match="018f: its times need a time zone"):
        to_cloudevent(envelope(**{field: naive}))


def test_an_envelope_without_data_has_no_data_attribute() -> None:
    empty = envelope(data=b"")
    assert "data" not in json.loads(to_cloudevent(empty))
    assert from_cloudevent(to_cloudevent(empty)) == empty
