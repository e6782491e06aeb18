"""The right to do what only one of many replicas may do at a time."""

from __future__ import annotations

from typing import Protocol


class Lease(Protocol):
    """A right that one process holds until it gives it back, or is not heard of any more."""

    async def acquire(self) -> int:
        """Wait until the right is ours. Returns its fencing token, greater than that of any holder before."""
        ...

    @property
    def is_held(self) -> bool:
        """Whether it is still ours; what is begun after it was lost may be done twice."""
        ...

    async def release(self) -> None:
        """Give it back, so that another need not wait until it expires. Harmless when it is not held."""
        ...


class AlwaysHeld:
    """Where one process is all there is: the right is always ours. Implements `Lease`."""

    is_held = True

    async def acquire(self) -> int:
        """At once."""
        return 0

    async def release(self) -> None:
        """Nobody waits for it."""
