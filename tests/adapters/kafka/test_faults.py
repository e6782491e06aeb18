"""What the library says, as errors that say what to do: those that the mock cluster does not bring about."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from insula.adapters.kafka.faults import is_cut_off, refusal
from insula.kernel.errors import ConfigurationError, Unavailable

ADDRESS = "kafka://10.0.0.1:9092"


@pytest.mark.parametrize("code", [KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED])
def test_wrong_credentials(code: int) -> None:
    error = KafkaError(code, "invalid user")
    told = refusal(error, ADDRESS, "connecting")
    assert isinstance(told, ConfigurationError)
    assert str(told) == (
        "kafka://10.0.0.1:9092 refuses the credentials (invalid user): check user, password and mechanism"
    )
    assert is_cut_off(error)


def test_a_name_that_nobody_knows() -> None:
    told = refusal(KafkaError(KafkaError._RESOLVE, "Failed to resolve 'kafk:9092'"), ADDRESS, "connecting")
    assert isinstance(told, Unavailable)
    assert str(told).endswith("cannot be reached (Failed to resolve 'kafk:9092'): is it running, is the address right?")


def test_anything_else_names_what_was_being_done() -> None:
    error = KafkaError(KafkaError.NOT_ENOUGH_REPLICAS)
    told = refusal(error, ADDRESS, "publishing to the topic insula-orders")
    assert isinstance(told, Unavailable)
    assert (
        str(told) == "kafka://10.0.0.1:9092: publishing to the topic insula-orders: Broker: Not enough in-sync replicas"
    )
    assert not is_cut_off(error)
