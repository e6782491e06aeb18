"""The runtime: configuration, wiring, lifecycle. The only composition root."""

from insula.runtime.application import Application
from insula.runtime.configuration import Configuration
from insula.runtime.inspection import Inspection

__all__ = ["Application", "Configuration", "Inspection"]
