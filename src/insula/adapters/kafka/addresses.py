"""Where the brokers are, and who asks: addresses such as kafka://ann:secret@10.0.0.1:9092. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from insula.kernel.errors import ConfigurationError

_EXAMPLE = "kafka://127.0.0.1:9092"
_PORT = 9092


@dataclass(frozen=True, slots=True)
class Servers:
    """The brokers of a cluster. Parameters: `shown`, for people, without secrets; `settings` of librdkafka."""

    shown: str
    settings: Mapping[str, Any]


def servers_of(given: str | Sequence[str]) -> Servers:
    """Read addresses; several may also stand in one text, with commas between.

    User and password log in with SCRAM-SHA-256 unless the settings say otherwise. Raises ConfigurationError.
    """
    texts = given.split(",") if isinstance(given, str) else [part for each in given for part in each.split(",")]
    addresses = [_parsed(text.strip()) for text in texts if text.strip()]
    if not addresses:
        raise ConfigurationError(f"KafkaTransport(servers={given!r}): give an address, such as {_EXAMPLE}")
    hosts = [f"{_host(each)}:{each.port or _PORT}" for each in addresses]
    settings: dict[str, Any] = {"bootstrap.servers": ",".join(hosts)}
    user = next((each for each in addresses if each.username), None)
    if user is not None:
        settings |= {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanisms": "SCRAM-SHA-256",
            "sasl.username": unquote(user.username or ""),
            "sasl.password": unquote(user.password or ""),
        }
    return Servers(", ".join(f"kafka://{host}" for host in hosts), settings)


def _parsed(text: str) -> SplitResult:
    address = urlsplit(text if "://" in text else f"kafka://{text}")
    try:
        is_usable = address.scheme == "kafka" and bool(address.hostname) and address.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or address.path.strip("/") or address.query:
        shown = f"{address.scheme}://{address.netloc.rpartition('@')[2]}"
        raise ConfigurationError(
            f"KafkaTransport(servers=...): {shown} is no address of a broker; write one such as {_EXAMPLE}"
        )
    return address


def _host(address: SplitResult) -> str:
    host = address.hostname or ""
    return f"[{host}]" if ":" in host else host
