"""Which adapter carries messages between processes, by the address of the broker."""

from __future__ import annotations

import importlib.util
from urllib.parse import urlsplit

from insula.adapters.postgres.shown import without_password
from insula.kernel.errors import ConfigurationError
from insula.messaging.transport import Transport

_NATS = ("nats", "tls", "ws", "wss")
_KAFKA = "kafka"


def transport_of(address: str, system: str) -> Transport:
    """The transport to the broker at `address`; it is not connected yet.

    Parameters: `address`, several of one cluster separated by commas; `system`, whose name begins all channels' names.
    Raises ConfigurationError for an address of no known kind, and where the driver is not installed.
    """
    addresses = [part.strip() for part in address.split(",")]
    scheme = urlsplit(addresses[0]).scheme
    if scheme == _KAFKA:
        from insula.adapters.kafka.transport import KafkaTransport

        return KafkaTransport(addresses, prefix=system)
    if scheme not in _NATS:
        raise ConfigurationError(
            f"transport: {without_password(address)} is no address of a broker; write it like nats://127.0.0.1:4222, "
            "or kafka://127.0.0.1:9092"
        )
    if importlib.util.find_spec("nats") is None:
        raise ConfigurationError("transport needs nats-py, which is not installed: pip install 'insula[nats]'")
    from insula.adapters.nats.transport import NatsTransport

    return NatsTransport(addresses, prefix=system)
