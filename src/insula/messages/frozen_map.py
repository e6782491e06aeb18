"""An immutable mapping, for message fields that hold values by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar

K = TypeVar("K")
V_co = TypeVar("V_co", covariant=True)
Other = TypeVar("Other")


class FrozenMap(Mapping[K, V_co]):
    """A mapping that cannot change and can be hashed when its values can; equal to any mapping with the same items.

    Parameters: `items`, a mapping or pairs, copied; default empty. `left | right` is a new map, `right` winning.
    """

    __slots__ = ("_items",)

    _items: dict[K, V_co]

    def __init__(self, items: Mapping[K, V_co] | Iterable[tuple[K, V_co]] = ()) -> None:
        object.__setattr__(self, "_items", dict(items))

    def __getitem__(self, key: K) -> V_co:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __or__(self, other: Mapping[K, Other]) -> FrozenMap[K, V_co | Other]:
        if not isinstance(other, Mapping):
            return NotImplemented
        items: dict[K, V_co | Other] = {**self._items, **other}
        return FrozenMap(items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"FrozenMap({self._items!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenMap, (dict(self._items),)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"FrozenMap cannot change: {name!r} was assigned; make a new one with `map | {{...}}`")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"FrozenMap cannot change: {name!r} was deleted")
