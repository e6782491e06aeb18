"""Kafka as the transport between processes. Needs the extra `kafka`."""

import importlib.util

from insula.kernel.errors import ConfigurationError

if importlib.util.find_spec("confluent_kafka") is None:
    raise ConfigurationError(
        "a kafka:// transport needs confluent-kafka, which is not installed: pip install 'insula[kafka]'"
    )
