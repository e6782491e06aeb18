"""The address of the broker says which transport it is."""

from __future__ import annotations

import pytest

from insula.adapters.kafka.transport import KafkaTransport
from insula.adapters.nats.transport import NatsTransport
from insula.kernel.errors import ConfigurationError
from insula.runtime.transports import transport_of


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("nats://127.0.0.1:4222", NatsTransport),
        ("nats://one:4222, nats://two:4222", NatsTransport),
        ("kafka://127.0.0.1:9092", KafkaTransport),
        ("kafka://one:9092,kafka://two:9092", KafkaTransport),
    ],
)
def test_each_kind_of_broker_has_its_scheme(address: str, kind: type) -> None:
    assert isinstance(transport_of(address, "shop"), kind)


def test_an_address_of_no_broker_is_told_without_its_password() -> None:
    with pytest.raises(ConfigurationError, match=r"kafka://127\.0\.0\.1:9092") as refusal:
        transport_of("amqp://me:secret@127.0.0.1", "shop")
    assert "secret" not in str(refusal.value)
