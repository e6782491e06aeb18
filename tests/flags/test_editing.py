"""Files of flags are changed where they must be, and nowhere else."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.flags import Content, FlagError
from insula.flags.editing import REMOVED, edited
from insula.flags.toml_text import as_toml

FILE = """\
# The shop's flags.
version = "2030-01"

[flags.new-checkout]   # ours
owner = "orders"
allow = [
    "ann",  # tester
    "bob",
]
rollout = 20

# Another one.
[flags."new prices"]
targeting = 'country == "DE" ? {"on": 25} : "off"'
rollout.on = 5
rollout.off = 7

[flags."new prices".metadata]
ticket = 7
[flags.old]
"""


def changed(key: str, changes: dict[str, Any], text: str = FILE, *, new: bool = False) -> str:
    """The file afterwards."""
    return edited(Content(text.encode(), toml=True), key, changes, "flags.toml", new=new).text.decode()


def test_a_setting_is_written_where_it_stood() -> None:
    assert changed("new-checkout", {"rollout": 30}) == FILE.replace("rollout = 20", "rollout = 30")


def test_a_new_setting_comes_after_the_last_of_its_flag() -> None:
    assert changed("new-checkout", {"killed": True}) == FILE.replace("rollout = 20\n", "rollout = 20\nkilled = true\n")
    assert changed("old", {"killed": True}) == f"{FILE}killed = true\n"


def test_a_setting_over_several_lines_goes_as_a_whole() -> None:
    after = changed("new-checkout", {"allow": ["cid"], "owner": REMOVED})
    assert after == FILE.replace('allow = [\n    "ann",  # tester\n    "bob",\n]', 'allow = ["cid"]').replace(
        'owner = "orders"\n', ""
    )


def test_a_number_stands_for_a_table_of_on_alone() -> None:
    assert "rollout = { on = 30 }\n" in changed("new-checkout", {"rollout.on": 30})


def test_settings_with_dots_and_tables_of_their_own_become_one_line() -> None:
    after = changed("new prices", {"rollout.on": 6, "metadata.ticket": 8})
    found = tomllib.loads(after)["flags"]["new prices"]
    assert (found["rollout"], found["metadata"]) == ({"on": 6, "off": 7}, {"ticket": 8})
    assert "# Another one." in after


def test_a_new_flag_is_written_at_the_end() -> None:
    after = changed("new search", {"owner": "search", "rollout": {"on": 1.5}}, new=True)
    assert after == f'{FILE.rstrip()}\n\n[flags."new search"]\nowner = "search"\nrollout = {{ on = 1.5 }}\n'
    with pytest.raises(FlagError, match="has a flag old already"):
        changed("old", {}, new=True)


def test_no_change_is_no_other_file() -> None:
    assert changed("new-checkout", {"rollout": 20, "killed": REMOVED}) == FILE


def test_lines_end_as_they_did() -> None:
    after = changed("new-checkout", {"rollout": 30, "killed": True}, FILE.replace("\n", "\r\n"))
    assert after.count("\n") == after.count("\r\n") == FILE.count("\n") + 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rollout": 120}, "120 % is not between"),
        ({"defualt": "on"}, "did you mean default?"),
        ({"owner.name": "x"}, "owner is 'orders' and no table"),
        ({"requires": ["none"]}, "there is no flag none"),
        ({"variants.on": None}, "cannot be written as TOML"),
    ],
)
def test_what_would_be_no_flag_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(FlagError) as refused:
        changed("new-checkout", changes)
    assert problem in str(refused.value)


def test_a_flag_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(FlagError, match=r"no flag new-chekout; did you mean new-checkout\?"):
        changed("new-chekout", {"killed": True})


@pytest.mark.parametrize(
    "text", ["flags.f.owner = 'x'\n", "[flags]\nf = { owner = 'x' }\n", "[flags.f.metadata]\nx = 1\n"]
)
def test_a_form_that_cannot_be_changed_safely_is_left_to_its_writer(text: str) -> None:
    with pytest.raises(FlagError, match=r"not written as a table \[flags\.f\]; change it by hand"):
        changed("f", {"killed": True}, text)


def test_json_keeps_its_order() -> None:
    content = Content(b'{"version": "1", "flags": {"b": {"owner": "x"}, "a": {}}}')
    after = edited(content, "b", {"killed": True}, "flags.json").text
    assert list(msgspec.json.decode(after)["flags"]) == ["b", "a"]
    assert msgspec.json.decode(after)["flags"]["b"] == {"owner": "x", "killed": True}


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS | st.dates() | st.datetimes(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(TEXTS, each, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_as_toml_reads_back(value: Any) -> None:
    assert tomllib.loads(f"x = {as_toml(value)}")["x"] == value


@given(
    st.sampled_from(["new-checkout", "new prices", "old"]),
    st.dictionaries(
        st.sampled_from(["owner", "description", "salt", "metadata.x", "metadata.ticket"]), TEXTS | st.just(REMOVED)
    ),
)
@settings(max_examples=200)
def test_nothing_else_changes(key: str, changes: dict[str, Any]) -> None:
    before, after = tomllib.loads(FILE), tomllib.loads(changed(key, changes))
    for other in before["flags"].keys() - {key}:
        assert after["flags"][other] == before["flags"][other]
    assert after["version"] == "2030-01"
    for name, value in changes.items():
        setting, _, entry = name.partition(".")
        found = after["flags"][key].get(setting, {} if entry else REMOVED)
        assert (found.get(entry, REMOVED) if entry else found) == value
