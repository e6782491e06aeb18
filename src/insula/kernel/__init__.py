"""The ground floor: values and ports that everything stands on.

`Money` lives in `insula.kernel.money`, so that importing the kernel loads nothing beyond the standard library.
"""

from insula.kernel.clock import Clock, SystemClock, Timer, Wake
from insula.kernel.context import (
    ANONYMOUS,
    Caller,
    Context,
    MessageContext,
    TraceContext,
    clock_of_process,
    may_start_threads,
    new_process,
    process_state,
    randomness_of_process,
    state_of_process,
)
from insula.kernel.cron import next_fire
from insula.kernel.deadline import Deadline, ambient_deadline, earliest_deadline, leave_deadline, without_deadline
from insula.kernel.errors import (
    AssemblyError,
    ConfigurationError,
    DeadlineExceeded,
    Failure,
    InsulaError,
    Rejection,
    StorageFull,
    Unavailable,
)
from insula.kernel.ids import INSULA_NAMESPACE, IdSource, MessageId, Uuid7, derive
from insula.kernel.randomness import Randomness, SeededRandomness, SystemRandomness

__all__ = [
    "ANONYMOUS",
    "INSULA_NAMESPACE",
    "AssemblyError",
    "Caller",
    "Clock",
    "ConfigurationError",
    "Context",
    "Deadline",
    "DeadlineExceeded",
    "Failure",
    "IdSource",
    "InsulaError",
    "MessageContext",
    "MessageId",
    "Randomness",
    "Rejection",
    "SeededRandomness",
    "StorageFull",
    "SystemClock",
    "SystemRandomness",
    "Timer",
    "TraceContext",
    "Unavailable",
    "Uuid7",
    "Wake",
    "ambient_deadline",
    "clock_of_process",
    "derive",
    "earliest_deadline",
    "leave_deadline",
    "may_start_threads",
    "new_process",
    "next_fire",
    "process_state",
    "randomness_of_process",
    "state_of_process",
    "without_deadline",
]
