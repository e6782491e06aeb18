"""A circuit for each key, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import islice

from insula.resilience.circuit import Circuit
from insula.resilience.policy import Locked

_LOOKED_AT = 100


class KeyedCircuits(Locked):
    """The circuits of one breaker in one process, made at the first call of each key.

    Where more than `most` are in use, one is forgotten: of the oldest hundred the first that has nothing to remember,
    else the oldest. Calls that it let through then say nothing about the next one of that key.

    Parameters: `name`, of the breaker; `create`, makes the circuit of a key; `most`.
    """

    __slots__ = ("_circuits", "_create", "_most", "_name")

    def __init__(self, name: str, create: Callable[[Hashable], Circuit], most: int) -> None:
        super().__init__()
        self._name = name
        self._create = create
        self._most = most
        self._circuits: dict[Hashable, Circuit] = {}

    def of(self, key: Hashable) -> Circuit:
        """The circuit of a key. Raises TypeError for what cannot be one."""
        try:
            circuit = self._circuits.get(key)
        except TypeError as error:
            raise TypeError(f"{self._name}: the key {key!r} cannot be hashed; use a text, number or tuple") from error
        return self._new(key) if circuit is None else circuit

    def _new(self, key: Hashable) -> Circuit:
        made = self._create(key)
        with self.lock:
            circuit = self._circuits.setdefault(key, made)
            if len(self._circuits) > self._most:
                oldest = [each for each in islice(self._circuits, _LOOKED_AT) if each != key]
                knows_nothing = (each for each in oldest if self._circuits[each].state.calm)
                del self._circuits[next(knows_nothing, oldest[0])]
        return circuit

    def __len__(self) -> int:
        return len(self._circuits)
