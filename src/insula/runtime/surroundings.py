"""What one process of a system stands on: the machine's own by default; the simulator's when it plays the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from insula.kernel.clock import Clock, SystemClock
from insula.kernel.context import MessageContext
from insula.kernel.randomness import Randomness, SystemRandomness
from insula.messaging.receiver import Receiver
from insula.messaging.relay import Deliver
from insula.messaging.transport import Transport
from insula.store.log import Log

if TYPE_CHECKING:
    from insula.adapters.sqlite.commit_thread import Committer
    from insula.adapters.sqlite.sessions import Server


class Neighbours(Protocol):
    """How a process calls the modules that run in other processes. What has a `close` is closed at the end."""

    async def call(self, module: str, message: Any, context: MessageContext) -> Any:
        """Let a module that runs elsewhere answer a command or query."""
        ...


@dataclass(frozen=True)
class Surroundings:
    """The ports that a process is wired to.

    Parameters: `clock` and `randomness`; `committer`, by module, what runs its COMMIT (default: a thread each);
    `threads`, False to run `def` handlers on the loop; `sole_process`, whether no other process on this machine looks
    at the databases; `deliver`, by source and receiver, how messages reach a module
    (default: they are handed over); `neighbours`, who calls modules that run in other processes (default: none do);
    `transport`, what carries messages from and to them, closed at the end (default: nothing does); `holder`, the name
    of this process among others that run the same modules, of which one at a time moves messages (default: there are no
    others); `server`, the simulator's: by module, the server that it plays for a database that several processes share;
    `log_elsewhere`, the simulator's: by module, the log of one that runs in another process, read over its network
    instead;
    `adapters`, port -> what to supply instead of the adapter bound to it; `before`, by port and adapter, what handlers
    get in its place; `after_wiring`, the simulator's: given what `wire` has made of this process, before it starts.
    """

    clock: Clock = field(default_factory=SystemClock)
    randomness: Randomness = field(default_factory=SystemRandomness)
    committer: Callable[[str], Committer] | None = None
    threads: bool = True
    sole_process: bool = False
    deliver: Callable[[str, Receiver], Deliver] | None = None
    neighbours: Neighbours | None = None
    transport: Transport | None = None
    holder: str = ""
    server: Callable[[str], Server] | None = None
    log_elsewhere: Callable[[str], Log] | None = None
    adapters: Mapping[type, Any] = field(default_factory=dict)
    before: Callable[[type, Any], Any] | None = None
    after_wiring: Callable[[Any], None] | None = None
