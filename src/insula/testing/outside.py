"""Messages from modules that are not part of the scenario."""

from __future__ import annotations

from insula.kernel.clock import Clock
from insula.kernel.ids import INSULA_NAMESPACE, derive
from insula.messages import Envelope, Event, encode, key_of


def envelope_for(event: Event, source: str, clock: Clock) -> Envelope:
    """An envelope as another module's log would give it; the same event always has the same id."""
    cls = type(event)
    data = encode(event)
    identifier = derive(INSULA_NAMESPACE, f"{source}/{cls.__message_name__}/{data.decode()}")
    return Envelope(
        id=identifier, source=source, type=cls.__message_name__, kind="event", version=cls.__version__,
        subject=key_of(event), time=clock.now(), data=data, correlation_id=identifier, causation_id=None,
        traceparent=None, caller="anonymous",
    )  # fmt: skip
