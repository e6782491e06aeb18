"""What goes wrong in librdkafka, as errors of ours, each in one line that says what to do."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError, KafkaException

from insula.kernel.errors import ConfigurationError, Unavailable

# What the library itself finds has names that begin with a line.
ALL_BROKERS_DOWN: Final = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
END_OF_PARTITION: Final = KafkaError._PARTITION_EOF  # noqa: SLF001
TIMED_OUT: Final = KafkaError._TIMED_OUT  # noqa: SLF001
_TRANSPORT: Final = KafkaError._TRANSPORT  # noqa: SLF001
_RESOLVE: Final = KafkaError._RESOLVE  # noqa: SLF001
_AUTHENTICATION: Final = KafkaError._AUTHENTICATION  # noqa: SLF001

_CONSEQUENCES: Final = (
    KafkaError._FATAL,  # noqa: SLF001
    KafkaError._GAPLESS_GUARANTEE,  # noqa: SLF001
    KafkaError._PURGE_INFLIGHT,  # noqa: SLF001
    KafkaError._PURGE_QUEUE,  # noqa: SLF001
)

_UNREACHABLE = (ALL_BROKERS_DOWN, TIMED_OUT, _TRANSPORT, _RESOLVE)
_REFUSED = (_AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError.UNSUPPORTED_SASL_MECHANISM)
_FORBIDDEN = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)


def error_of(caught: KafkaException) -> KafkaError:
    """What the exception carries."""
    error: KafkaError = caught.args[0]
    return error


def described(caught: Exception) -> str:
    """Any error in one line."""
    return error_of(caught).str() if isinstance(caught, KafkaException) else f"{type(caught).__name__}: {caught}"


def is_unreachable(error: KafkaError) -> bool:
    """Whether no broker has answered."""
    return error.code() in _UNREACHABLE


def is_cut_off(error: KafkaError) -> bool:
    """Whether a client that hears this gets no answer any more. It hears so only once until a broker is back."""
    return error.fatal() or error.code() in (ALL_BROKERS_DOWN, *_REFUSED)


def is_consequence(error: KafkaError) -> bool:
    """Whether a message was given up because of another one."""
    return error.code() in _CONSEQUENCES


def refusal(error: KafkaError, address: str, doing: str) -> Exception:
    """One of the library's errors as one of ours. Parameters: `doing`, what was being done."""
    code, said = error.code(), error.str().rstrip(".")
    if code in _REFUSED:
        return ConfigurationError(f"{address} refuses the credentials ({said}): check user, password and mechanism")
    if code in _FORBIDDEN:
        return ConfigurationError(f"{address}: {doing}: {said}: allow it to this user")
    if code in _UNREACHABLE:
        return Unavailable(f"{address} cannot be reached ({said}): is it running, is the address right?")
    return Unavailable(f"{address}: {doing}: {said}")


def wrong_settings(caught: KafkaException) -> ConfigurationError:
    """What the library says to settings that it does not take."""
    return ConfigurationError(f"KafkaTransport(settings=...): {error_of(caught).str()}")
