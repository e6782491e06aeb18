"""Whatever a file holds and whatever a flag is asked about: there is an answer, and the reason for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from insula.flags import BooleanFlag, Content, Details, ErrorCode, Flags, Reason, use
from insula.flags.kinds import Kind

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=8), each, max_size=3),
    max_leaves=6,
)
TARGETING = st.sampled_from(
    ["", "a", "a.b", "a > 1", "a + a", "[a]", "{a: 1}", "{'on': a}", "subject", "1 / a", "a[a]", "size(a)", "true"]
)
FLAG = st.fixed_dictionaries(
    {},
    optional={
        "variants": st.dictionaries(st.sampled_from(["on", "off", "x"]), JSON, max_size=3),
        "default": st.sampled_from(["on", "off", "x", 5]),
        "off": st.sampled_from(["off", "x"]),
        "targeting": TARGETING,
        "rollout": st.integers(-1, 120) | st.dictionaries(st.sampled_from(["on", "x"]), st.floats(0, 60), max_size=2),
        "allow": st.lists(st.text(max_size=3), max_size=2),
        "from": st.sampled_from(["2030-01-01T00:00:00Z", "never"]),
        "requires": st.lists(st.sampled_from(["f", "g", "h"]), max_size=2),
        "disabled": st.booleans(),
        "killed": st.booleans(),
        "metadata": st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
    },
)
KINDS: list[Kind | None] = [None, "boolean", "string", "number", "integer", "float", "object"]


class Odd:
    """Nothing about it can be looked at."""

    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__

    def __hash__(self) -> int:
        raise ZeroDivisionError

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError


def is_whole(details: Details, default: object) -> bool:
    """An answer with all that belongs to it: the code's default where it is an error."""
    if details.reason is Reason.ERROR:
        return details.value is default and details.code is not None and bool(details.message)
    return details.code is None


@given(
    st.dictionaries(st.sampled_from(["f", "g", "h"]), FLAG, max_size=3),
    st.text(max_size=3) | JSON,
    st.dictionaries(st.text(max_size=2) | st.just("a"), JSON, max_size=2),
    st.sampled_from(KINDS),
)
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_any_flag_about_anything_has_an_answer(
    written: dict[str, Any], subject: Any, context: dict[str, Any], kind: Kind | None
) -> None:
    class Source:
        name, waits = "generated", False

        def read(self, known: Content | None = None) -> Content:
            return Content(json.dumps({"flags": written}).encode())

    flags, default = Flags(Source()), object()
    for key in ("f", "g", "h"):
        assert is_whole(flags.details(key, default, kind, subject, context), default)


@given(st.binary(max_size=60))
def test_any_bytes_as_a_file_leave_the_codes_default(content: bytes) -> None:
    class Source:
        name, waits = "generated", False

        def read(self, known: Content | None = None) -> Content:
            return Content(content, toml=content[:1] < b"m")

    default = object()
    assert Flags(Source()).value("f", default) is default


@pytest.mark.parametrize(
    "flag",
    [
        {"rollout": 50}, {"allow": ["ann"]}, {"targeting": "a > 1"}, {"targeting": "subject"},
        {"targeting": "a.b.c == 1 ? 'on' : ''"},
    ],
)  # fmt: skip
def test_odd_subjects_and_contexts_are_told_as_such(flag: dict[str, Any]) -> None:
    flags = Flags({"f": flag})
    for subject, context in [
        (Odd(), {}), ("\ud800", {}), ("ann", {"a": Odd()}), (Odd(), {"a": Odd()}), ("ann", 5), ("ann", [1]),
        ("ann", {1: 2}), (lambda: 1, {"a": lambda: 1}),
    ]:  # fmt: skip
        details = flags.details("f", "the code's", None, subject, context)  # type: ignore[arg-type]
        assert is_whole(details, "the code's") or details.code is None


def test_a_key_that_is_none_is_not_found() -> None:
    keys: list[Any] = [None, 5, [], {}, Odd(), "", "\x00", "f" * 100_000]
    for key in keys:
        details = Flags({"f": {}}).details(key, 1)
        assert (details.value, details.reason) == (1, Reason.ERROR)
        assert details.code in {ErrorCode.FLAG_NOT_FOUND, ErrorCode.GENERAL}


def test_a_mapping_that_fails_is_told_as_such() -> None:
    class Failing(Mapping[str, Any]):
        def __getitem__(self, name: str) -> Any:
            raise OSError

        def __iter__(self) -> Any:
            raise OSError

        def __len__(self) -> int:
            return 1

    assert Flags({"f": {"targeting": "a"}}).details("f", 1, None, "x", Failing()).value == 1


def test_a_deep_value_and_a_deep_rule_are_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text('{"flags": {"f": {"variants": {"a": ' + "[" * 100_000 + "]" * 100_000 + "}}}}")
    assert Flags(file).details("f", 1).code is ErrorCode.PARSE_ERROR
    file.write_text(json.dumps({"flags": {"f": {"targeting": "(" * 50_000 + "a" + ")" * 50_000}}}))
    assert Flags(file).details("f", 1).code is ErrorCode.PARSE_ERROR


@pytest.mark.parametrize("value", ["text", 1, None, {"a": 1}])
def test_a_flag_of_another_type_is_the_codes_default(value: Any) -> None:
    use(Flags({"f": {"variants": {"a": value}, "default": "a"}}))
    flag = BooleanFlag("f", default=True)
    assert flag.is_on("ann") is True
    assert flag.details("ann").code is ErrorCode.TYPE_MISMATCH


def test_an_integer_stands_for_a_float_and_a_bool_for_no_number() -> None:
    flags = Flags({"i": {"variants": {"a": 1}, "default": "a"}, "b": {"default": "on"}})
    assert type(flags.details("i", 0.5, "float").value) is float
    for kind in ("number", "integer", "float"):
        assert flags.details("b", 7, kind).code is ErrorCode.TYPE_MISMATCH  # type: ignore[arg-type]
