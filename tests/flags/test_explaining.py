"""Why a flag came to what it came to: the same answer as without the question, and what decided."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.flags import Flags, bucket_of, override
from insula.flags.explaining import explained
from insula.testing import VirtualClock

NOW = datetime(2030, 1, 1, tzinfo=UTC)
TODAY, MARCH = "2030-01-01T00:00:00+00:00", "2030-03-01T00:00:00+00:00"
FLAGS: dict[str, Any] = {
    "static": {"default": "on"},
    "unset": {"variants": {"a": 1}},
    "disabled": {"disabled": True},
    "killed": {"killed": True, "allow": ["ann"]},
    "later": {"from": "2030-02-01T00:00:00Z", "until": "2030-03-01T00:00:00Z"},
    "over": {"until": "2029-12-31T00:00:00Z"},
    "allowed": {"allow": ["ann"]},
    "split": {"rollout": 50, "salt": "wave"},
    "targeted": {"targeting": 'country == "DE" ? "on" : ""'},
    "own": {"targeting": 'country == "DE" ? {"on": 100} : ""'},
    "after": {"requires": ["killed"]},
    "after-none": {"requires": ["broken"]},
    "broken": {"targeting": "country > 5"},
}


def because(key: str, **context: Any) -> str:
    """What the explanation for ann says."""
    return explained(Flags(FLAGS, clock=VirtualClock(NOW)), key, "ann", context, NOW).because


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("static", "it says the same to everybody"),
        ("unset", "nothing speaks for another variant"),
        ("disabled", "it is disabled: the code's default holds"),
        ("killed", "it is killed"),
        ("later", f"it is on from 2030-02-01T00:00:00+00:00 until {MARCH} only, and now it is {TODAY}"),
        ("over", f"it is on until 2029-12-31T00:00:00+00:00 only, and now it is {TODAY}"),
        ("allowed", "ann is on the allow-list of on"),
        ("split", f"bucket {bucket_of('wave', 'ann'):,} of 100,000 under wave; shares in turn: on 50,000"),
        ("targeted", "targeting country == \"DE\" ? \"on\" : \"\" answers 'on'"),
        ("own", f"bucket {bucket_of('own', 'ann'):,} of 100,000 under own; shares in turn: the targeting's own"),
        ("after", "killed must be on first, and is off"),
        ("nobodys", "memory has no flag nobodys"),
    ],
)  # fmt: skip
def test_what_decided_is_told(key: str, reason: str) -> None:
    assert because(key, country="DE") == reason


def test_what_could_not_be_told_is_told_as_well() -> None:
    assert because("broken", country="DE").startswith("flag broken: targeting: ")
    assert because("after-none", country="DE").startswith("broken must be on first, and is flag broken: targeting")
    assert because("targeted") == "targeting speaks for nobody of whom it is not known: country"
    with override("static", False):
        assert because("static") == "it is pinned"


@given(
    st.sampled_from(sorted(FLAGS)), st.none() | st.text(),
    st.dictionaries(st.just("country"), st.none() | st.text() | st.integers() | st.just("DE")),
)  # fmt: skip
def test_an_explanation_has_the_answer_and_always_a_reason(key: str, subject: Any, context: dict[str, Any]) -> None:
    flags = Flags(FLAGS, clock=VirtualClock(NOW))
    told = explained(flags, key, subject, context, NOW)
    assert told.details == flags.details(key, None, None, subject, context)
    assert told.because
