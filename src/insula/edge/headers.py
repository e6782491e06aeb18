"""Request headers as a mapping, for whoever has to find out who asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

RawHeaders = Iterable[tuple[bytes, bytes]]
"""Header names in lower case and values, as ASGI hands them over."""


class Headers(Mapping[str, str]):
    """The headers of one request; names in any case, the first of several with one name.

    Parameters: `raw`, name and value pairs as in an ASGI scope.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: RawHeaders) -> None:
        self._raw = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw)

    def __getitem__(self, name: str) -> str:
        values = self.all(name)
        if not values:
            raise KeyError(name)
        return values[0]

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._raw))

    def __len__(self) -> int:
        return len(dict(self._raw))

    def all(self, name: str) -> tuple[str, ...]:
        """Every value sent under that name, in order."""
        wanted = name.lower()
        return tuple(value for key, value in self._raw if key == wanted)
