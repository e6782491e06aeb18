from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.messages import FrozenMap

DICTIONARIES = st.dictionaries(st.text(), st.integers())


@given(DICTIONARIES)
def test_it_holds_what_it_was_made_of_in_the_same_order(items: dict[str, int]) -> None:
    frozen = FrozenMap(items)
    assert list(frozen.items()) == list(items.items())
    assert frozen == items
    assert len(frozen) == len(items)
    assert all(key in frozen for key in items)


@given(DICTIONARIES)
def test_equal_maps_have_equal_hashes_whatever_their_order(items: dict[str, int]) -> None:
    backwards = FrozenMap(dict(reversed(items.items())))
    assert backwards == FrozenMap(items)
    assert hash(backwards) == hash(FrozenMap(items))


@given(DICTIONARIES, DICTIONARIES)
def test_a_union_is_a_new_map_in_which_the_right_side_wins(left: dict[str, int], right: dict[str, int]) -> None:
    frozen = FrozenMap(left)
    assert frozen | right == {**left, **right}
    assert frozen == left


def test_it_keeps_a_copy_so_that_its_source_may_change() -> None:
    source = {"a": 1}
    frozen = FrozenMap(source)
    source["a"] = 2
    assert frozen["a"] == 1


def test_it_cannot_change() -> None:
    frozen = FrozenMap({"a": 1})
    with pytest.raises(TypeError):
        frozen["a"] = 2  # type: ignore[index]
    with pytest.raises(AttributeError, match="cannot change"):
        frozen._items = {}
    with pytest.raises(AttributeError, match="cannot change"):
        del frozen._items
    assert frozen == {"a": 1}


def test_a_map_that_holds_what_cannot_be_hashed_cannot_be_hashed() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(FrozenMap({"a": []}))


def test_a_missing_key_raises_and_get_gives_the_default() -> None:
    frozen = FrozenMap([("a", 1)])
    assert frozen.get("b", 7) == 7
    with pytest.raises(KeyError):
        frozen["b"]


def test_it_is_shown_with_its_items() -> None:
    assert repr(FrozenMap({"a": 1})) == "FrozenMap({'a': 1})"


def test_it_can_be_copied_and_pickled() -> None:
    frozen = FrozenMap({"a": (1, 2)})
    assert copy.deepcopy(frozen) == frozen
    assert pickle.loads(pickle.dumps(frozen)) == frozen


def test_a_union_with_what_is_no_mapping_is_refused() -> None:
    with pytest.raises(TypeError):
        FrozenMap({"a": 1}) | 3  # type: ignore[operator]
