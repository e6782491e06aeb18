"""Sticky percentages: even, steady, growing, and independent of each other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.flags import Flags, MemorySource, bucket_of
from insula.flags.buckets import PARTS, hash_limit, murmur3, parts_of, seed_of

USERS = [f"user-{number}" for number in range(100_000)]


def on(flags: Flags, key: str) -> set[str]:
    """Who has it on."""
    return {user for user in USERS if flags.is_on(key, user)}


def test_twenty_per_cent_are_twenty_per_cent_of_a_hundred_thousand() -> None:
    assert len(on(Flags({"f": {"rollout": 20}}), "f")) / len(USERS) == pytest.approx(0.20, abs=0.005)


def test_raising_a_rollout_keeps_those_who_have_it() -> None:
    source = MemorySource({"f": {"rollout": 10}})
    flags = Flags(source)
    first = on(flags, "f")
    source.put({"f": {"rollout": 20}})
    flags.renew()
    assert first < on(flags, "f")


def test_two_flags_at_a_half_are_independent() -> None:
    flags = Flags({"f": {"rollout": 50}, "g": {"rollout": 50}})
    first, second = on(flags, "f"), on(flags, "g")
    for both in (first & second, first - second, second - first):
        assert len(both) / len(USERS) == pytest.approx(0.25, abs=0.005)


def test_flags_with_one_salt_begin_with_the_same_subjects() -> None:
    flags = Flags({"f": {"rollout": 10, "salt": "wave"}, "g": {"rollout": 30, "salt": "wave"}})
    assert on(flags, "f") < on(flags, "g")


def test_several_variants_share_as_written_and_the_rest_gets_the_default() -> None:
    flags = Flags(
        {"f": {"variants": {"a": 1, "b": 2, "c": 3}, "default": "c", "rollout": {"a": 10, "b": 25.5}}}
    )  # fmt: skip
    for user in USERS:
        flags.value("f", 0, user)
    shares = {variant: times / len(USERS) for variant, times in flags.counts["f"].items()}
    assert shares == pytest.approx({"a": 0.10, "b": 0.255, "c": 0.645}, abs=0.005)


def test_buckets_are_those_of_murmur3_in_every_language() -> None:
    # MurmurHash3_x86_32 with the seeds and results of known test vectors.
    vectors = [
        (b"", 1, 0x514E28B7),
        (b"hello", 0, 0x248BFA47),
        (b"hello, world", 0, 0x149BBB7F),
        (b"test", 0x9747B28C, 0x704B81DC),
    ]
    assert [murmur3()(text, seed) for text, seed, _ in vectors] == [result for _, _, result in vectors]
    assert bucket_of("hello", "test") == murmur3()(b"test", 0x248BFA47) * PARTS >> 32


@given(st.text(min_size=1), st.integers(0, PARTS))
def test_a_limit_of_hashes_is_that_of_buckets(subject: str, parts: int) -> None:
    bucket = bucket_of("salt", subject)
    assert (murmur3()(subject.encode(), seed_of("salt")) < hash_limit(parts)) == (bucket < parts)


@given(st.floats(0, 100), st.floats(0, 100), st.text(st.characters(codec="utf-8"), min_size=1))
@settings(max_examples=200)
def test_whoever_has_it_at_a_percentage_has_it_at_a_higher_one(one: float, other: float, subject: str) -> None:
    lower, higher = sorted((round(one, 3), round(other, 3)))
    flags = Flags({"low": {"rollout": lower, "salt": "s"}, "high": {"rollout": higher, "salt": "s"}})
    assert flags.is_on("low", subject) <= flags.is_on("high", subject)


@pytest.mark.parametrize("percent", [-1, 100.001, float("nan"), float("inf"), 0.0005])
def test_what_is_no_percentage_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="%"):
        parts_of(percent)


@pytest.mark.parametrize("subject", [7, "7", b"7".decode()])
def test_a_subject_counts_by_its_text(subject: Any) -> None:
    flags = Flags({"f": {"rollout": 50}})
    assert flags.is_on("f", subject) == (bucket_of("f", "7") < 50_000)
