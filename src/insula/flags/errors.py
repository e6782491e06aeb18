"""What is wrong with a flag, a file of flags, or the place that they come from."""

from __future__ import annotations

from insula.kernel.errors import InsulaError


class FlagError(InsulaError):
    """Flags cannot be used as they are written; the message names each place, and what was expected there."""


class FlagsUnavailable(FlagError):
    """The place that flags come from does not answer now; trying again may help."""


class FlagsRefused(FlagError):
    """The place that flags come from will not answer us, whenever we ask: a wrong address, or no leave to read."""
