"""The flags of the running process: those that flags declared in code are asked of."""

from __future__ import annotations

from insula.flags.flags import Flags
from insula.kernel.context import process_state


def use(flags: Flags) -> Flags:
    """Let the running process have these flags. Returns them."""
    process_state.get()[Flags] = flags
    return flags


def current() -> Flags:
    """The running process's flags; without any, as in a test that says nothing of flags, the code's defaults hold.

    It can be bound as it is: `orders.bind(Flags, current)` gives handlers of a module the port.
    """
    found = process_state.get().get(Flags)
    return found if found is not None else use(Flags())
