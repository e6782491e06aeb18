"""What a flag comes to: allow-lists, kill switch, schedules, prerequisites, targeting, rollouts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from insula.flags import ErrorCode, FlagError, Flags, FlagSet, MemorySource, Reason
from insula.testing import VirtualClock


def answer(flags: Flags, key: str, subject: Any = None, **context: Any) -> tuple[Any, Reason]:
    """Value and reason."""
    details = flags.details(key, "the code's", None, subject, context)
    return details.value, details.reason


def of(**flag: Any) -> Flags:
    """Flags of which there is one, called "f"."""
    return Flags({"f": flag})


def test_twenty_per_cent_and_the_allow_list_until_the_kill_switch() -> None:
    users = [f"user-{number}" for number in range(1000)]
    source = MemorySource({"new-checkout": {"rollout": 20, "allow": ["ann", "bob"]}})
    flags = Flags(source)
    on = [user for user in users if flags.is_on("new-checkout", user)]
    assert 150 < len(on) < 250
    assert on == [user for user in users if flags.is_on("new-checkout", user)], "the same ones again"
    assert flags.is_on("new-checkout", "ann")
    assert flags.is_on("new-checkout", "bob")

    source.put({"new-checkout": {"rollout": 20, "allow": ["ann", "bob"], "killed": True}})
    flags.renew()
    assert [user for user in [*users, "ann", "bob"] if flags.is_on("new-checkout", user)] == []
    assert answer(flags, "new-checkout", "ann") == (False, Reason.DISABLED)


def test_a_flag_without_conditions_says_the_same_to_everybody() -> None:
    flags = of(variants={"small": 10, "big": {"rows": [1, 2]}}, default="big")
    assert answer(flags, "f", "ann") == answer(flags, "f") == ({"rows": [1, 2]}, Reason.STATIC)


def test_values_are_any_of_json_and_each_reader_has_a_copy() -> None:
    values: dict[str, Any] = {"a": None, "b": 1.5, "c": "text", "d": [1, {"x": []}], "e": {"y": True}}
    for name, value in values.items():
        assert answer(of(variants=values, default=name), "f")[0] == value
    flags = of(variants=values, default="d")
    answer(flags, "f")[0][1]["x"].append("changed")
    assert answer(flags, "f")[0] == [1, {"x": []}]


def test_a_killed_flag_is_off_though_it_is_disabled_too() -> None:
    assert answer(of(disabled=True, killed=True, allow=["ann"]), "f", "ann") == (False, Reason.DISABLED)


def test_a_disabled_flag_is_the_codes_default() -> None:
    assert answer(of(disabled=True, rollout=100, allow=["ann"]), "f", "ann") == ("the code's", Reason.DISABLED)


def test_a_flag_without_a_default_leaves_it_to_the_code() -> None:
    details = of(variants={"small": 10}).details("f", 7)
    assert (details.value, details.variant, details.reason, details.code) == (7, None, Reason.DEFAULT, None)


@pytest.mark.parametrize(
    ("targeting", "context", "expected"),
    [
        ('country == "DE" ? "on" : ""', {"country": "DE"}, (True, Reason.TARGETING_MATCH)),
        ('country == "DE" ? "on" : ""', {"country": "FR"}, (False, Reason.DEFAULT)),
        ('country == "DE" ? "on" : ""', {}, (False, Reason.DEFAULT)),
        ('country == "DE" ? "on" : ""', {"country": None}, (False, Reason.DEFAULT)),
        ('country == "DE"', {"country": "DE"}, (True, Reason.TARGETING_MATCH)),
        ('country == "DE"', {"country": "FR"}, (False, Reason.DEFAULT)),
        ('country == "DE" ? {"on": 100} : "off"', {"country": "DE"}, (True, Reason.SPLIT)),
        ('country == "DE" ? {"on": 0} : "off"', {"country": "DE"}, (False, Reason.SPLIT)),
        ('{"on": share}', {"share": 100}, (True, Reason.SPLIT)),
        ('subject == "ann"', {}, (True, Reason.TARGETING_MATCH)),
        ('targetingKey.startsWith("a") ? "on" : "off"', {}, (True, Reason.TARGETING_MATCH)),
        ('user.tier in ["gold", "silver"] && user.age >= 18', {"user": {"tier": "gold", "age": 20}},
         (True, Reason.TARGETING_MATCH)),
        ('user.tier == "gold"', {"user": {}}, (False, Reason.DEFAULT)),
    ],
)  # fmt: skip
def test_targeting_names_a_variant_or_a_rollout(targeting: str, context: dict[str, Any], expected: object) -> None:
    assert answer(of(targeting=targeting), "f", "ann", **context) == expected


def test_true_lets_the_rollout_decide() -> None:
    flags = of(targeting='country == "DE"', rollout=100)
    assert answer(flags, "f", "ann", country="DE") == (True, Reason.SPLIT)
    assert answer(flags, "f", "ann", country="FR") == (False, Reason.DEFAULT)


@pytest.mark.parametrize(
    ("targeting", "context", "code"),
    [
        ("age > 17", {"age": "old"}, ErrorCode.INVALID_CONTEXT),
        ("name", {"name": "nobody"}, ErrorCode.GENERAL),
        ("age", {"age": 7}, ErrorCode.GENERAL),
        ("share", {"share": {"on": 101}}, ErrorCode.GENERAL),
        ("share", {"share": {"other": 1}}, ErrorCode.GENERAL),
        ("share", {"share": {"on": "many"}}, ErrorCode.GENERAL),
        (
            "rows.all(a, rows.all(b, rows.all(c, a + b + c >= 0)))",
            {"rows": list(range(100))},
            ErrorCode.INVALID_CONTEXT,
        ),
    ],
)
def test_targeting_that_cannot_be_answered_is_the_codes_default_and_says_why(
    targeting: str, context: dict[str, Any], code: ErrorCode
) -> None:
    details = of(targeting=targeting).details("f", "the code's", None, "ann", context)
    assert (details.value, details.reason, details.code) == ("the code's", Reason.ERROR, code)
    assert "f" in details.message


def test_a_rollout_has_to_know_about_whom_it_is_asked() -> None:
    for nobody in (None, ""):
        details = of(rollout=50).details("f", False, "boolean", nobody)
        assert (details.value, details.code) == (False, ErrorCode.TARGETING_KEY_MISSING)


def test_a_schedule_has_a_beginning_and_an_end() -> None:
    clock = VirtualClock(datetime(2030, 1, 1, tzinfo=UTC))
    flags = Flags(
        {
            "f": {
                "default": "on",
                "from": "2030-01-02T00:00:00Z",
                "until": "2030-01-03T00:00:00+00:00",
                "allow": ["ann"],
            }
        },
        clock=clock,
    )
    seen = []
    for _ in range(3):
        seen.append(flags.is_on("f", "bob"))
        assert flags.is_on("f", "ann"), "testers see it before"
        clock.advance(timedelta(days=1).total_seconds())
    assert seen == [False, True, False]
    assert answer(flags, "f", "bob") == (False, Reason.DISABLED)


def test_a_prerequisite_comes_first() -> None:
    flags = Flags(
        {
            "new-prices": {"rollout": 0, "allow": ["ann"]},
            "new-checkout": {"default": "on", "requires": ["new-prices"], "allow": ["bob"]},
            "theme": {
                "variants": {"dark": "d", "light": "l", "none": "n"},
                "default": "dark",
                "off": "none",
                "requires": {"new-checkout": ["on"]},
            },
        }
    )
    assert answer(flags, "new-checkout", "ann") == (True, Reason.DEFAULT)
    assert answer(flags, "new-checkout", "bob") == (False, Reason.PREREQUISITE_FAILED)
    assert answer(flags, "theme", "ann") == ("d", Reason.DEFAULT)
    assert answer(flags, "theme", "bob") == ("n", Reason.PREREQUISITE_FAILED)
    assert answer(flags, "theme") == ("n", Reason.PREREQUISITE_FAILED), "a rollout without a subject is no answer"


def test_prerequisites_in_a_circle_are_refused_with_the_circle() -> None:
    circle = {"a": {"requires": ["b"]}, "b": {"requires": ["c"]}, "c": {"requires": ["a"]}}
    with pytest.raises(FlagError, match=r"circle: . requires . requires . requires ."):
        FlagSet.of({"flags": circle})
    with pytest.raises(FlagError, match="circle: a requires a"):
        FlagSet.of({"flags": {"a": {"requires": ["a"]}}})


def test_prerequisites_that_would_be_asked_without_end_are_refused() -> None:
    def requires(number: int) -> dict[str, Any]:
        return {"requires": [f"l{number - 1}", f"r{number - 1}"]} if number else {}

    lattice = {f"{side}{number}": requires(number) for number in range(40) for side in "lr"}
    with pytest.raises(FlagError, match="more than 100 flags come first"):
        FlagSet.of({"flags": lattice})


def test_every_problem_of_a_set_is_told_at_once() -> None:
    with pytest.raises(FlagError) as refused:
        FlagSet.of(
            {
                "flags": {
                    "a": {"defualt": "on"},
                    "b": {"default": "maybe"},
                    "c": {"rollout": 120},
                    "d": {"rollout": {"on": 60, "off": 50}},
                    "e": {"expires": "soon"},
                    "f": {"from": "2030-01-02T00:00:00Z", "until": "2030-01-01T00:00:00Z"},
                    "g": {"from": "2030-01-02T00:00:00"},
                    "h": 5,
                    "i": {"rollout": 0.0001},
                }
            }
        )
    said = dict(line.split(": ", 1) for line in str(refused.value).splitlines())
    assert said.keys() == set("abcdefghi")
    assert "did you mean default?" in said["a"]
    assert said["b"] == "default: there is no variant 'maybe'; there are on, off"
    assert said["c"] == "rollout: 120 % is not between 0 and 100"
    assert said["d"] == "rollout: 110 % are more than 100 %"


@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        ({"targeting": 'country == "DE" ? "onn" : ""'}, "targeting: there is no variant 'onn'"),
        ({"targeting": 'country == "DE" ? 5 : ""'}, "targeting: 5 is neither a variant nor a rollout"),
        ({"targeting": "country ="}, "line 1, column"),
        ({"targeting": "{'on': 120}"}, "120 % is not between"),
        ({"requires": ["g"]}, "there is no flag g"),
        ({"requires": {"f": "maybe"}}, "there is no variant 'maybe'"),
        ({"variants": {}, "default": "on"}, "there are none"),
        ({"allow": {"maybe": ["ann"]}}, "allow: there is no variant"),
    ],
)
def test_what_a_flag_cannot_be_is_refused_when_it_is_read(flag: dict[str, Any], problem: str) -> None:
    with pytest.raises(FlagError) as refused:
        FlagSet.of({"flags": {"f": flag}}, "flags.toml")
    assert str(refused.value).startswith("flags.toml: f: ")
    assert problem in str(refused.value)


class Customer:
    """Somebody whose text is where they stand in memory."""


@pytest.mark.parametrize("subject", [Customer(), b"ann", ["ann"], float("nan"), 1.5, True])
def test_a_subject_whose_text_may_change_has_no_bucket(subject: Any) -> None:
    for flag in ({"rollout": 100}, {"allow": ["ann"]}, {"rollout": {"on": 50, "off": 50}}):
        details = Flags({"f": flag}).details("f", "the code's", None, subject)
        assert (details.value, details.code) == ("the code's", ErrorCode.INVALID_CONTEXT)
        assert "a str, an int or a UUID" in details.message


def test_a_number_and_its_text_are_the_same_subject() -> None:
    identity = UUID(int=7)
    flags = of(allow=["42", str(identity)])
    assert answer(flags, "f", 42) == answer(flags, "f", "42") == answer(flags, "f", identity)


@pytest.mark.parametrize("targeting", ["n", "n + 0", "n * 1.0"])
def test_a_number_is_no_truth_value(targeting: str) -> None:
    for number in (0, 1, 0.0, 1.0):
        details = of(targeting=targeting, rollout=100).details("f", "the code's", None, "ann", {"n": number})
        assert (details.value, details.reason) == ("the code's", Reason.ERROR)


def test_a_prerequisite_that_cannot_be_told_has_not_been_met() -> None:
    flags = Flags({"first": {"rollout": 100}, "f": {"requires": ["first"], "default": "on"}})
    for subject in ("\ud800", None, b"ann"):
        assert answer(flags, "f", subject) == (False, Reason.PREREQUISITE_FAILED)


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ({"from": "2030-01-01"}, "from = 2027-03-01T08:00:00+01:00"),
        ({"from": date(2030, 1, 1)}, "from = 2027-03-01T08:00:00+01:00"),
        ({"allow": {"on": "ann"}}, 'allow = ["tess"]'), ({"killed": 1}, "killed = true"),
        ({"variants": {}}, "leave them out for on and off"),
    ],
)  # fmt: skip
def test_a_setting_of_another_type_shows_one_that_is_right(written: dict[str, Any], right: str) -> None:
    with pytest.raises(FlagError) as refused:
        FlagSet.of({"flags": {"f": written}})
    assert right in str(refused.value)


def test_a_type_that_there_is_not_is_told_with_those_that_there_are() -> None:
    details = of(default="on").details("f", False, "bool")  # type: ignore[arg-type]
    assert (details.value, details.code) == (False, ErrorCode.GENERAL)
    assert details.message.startswith("there is no type 'bool'; there are boolean, string")
