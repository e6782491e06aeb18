from insula.kernel.clock import Clock as Clock
from insula.kernel.context import Caller as Caller
from insula.kernel.context import Context as Context
from insula.kernel.errors import Failure as Failure
from insula.kernel.errors import InsulaError as InsulaError
from insula.kernel.errors import Rejection as Rejection
from insula.kernel.money import Money as Money
from insula.messages import Command as Command
from insula.messages import Event as Event
from insula.messages import Query as Query
from insula.messaging.bus import Ask as Ask
from insula.messaging.bus import Bus as Bus
from insula.messaging.inbox import Inbox as Inbox
from insula.messaging.outbox import Outbox as Outbox
from insula.modules import Module as Module
from insula.modules import System as System
from insula.store.unit_of_work import SyncUnitOfWork as SyncUnitOfWork
from insula.store.unit_of_work import UnitOfWork as UnitOfWork

__all__ = [
    "Ask",
    "Bus",
    "Caller",
    "Clock",
    "Command",
    "Context",
    "Event",
    "Failure",
    "Inbox",
    "InsulaError",
    "Module",
    "Money",
    "Outbox",
    "Query",
    "Rejection",
    "SyncUnitOfWork",
    "System",
    "UnitOfWork",
]
