"""Feature flags: typed in code, targeted in CEL, rolled out by sticky buckets, renewed while they are used."""

from insula.flags.buckets import bucket_of
from insula.flags.current import current, use
from insula.flags.errors import FlagError, FlagsRefused, FlagsUnavailable
from insula.flags.flag import Flag
from insula.flags.flags import Flags
from insula.flags.flagset import FlagSet
from insula.flags.outcome import Details, ErrorCode, Reason
from insula.flags.pinning import override
from insula.flags.sources import Content, FileSource, FlagSource, MemorySource
from insula.flags.standing import FlagsChange, FlagsState
from insula.flags.typed import BooleanFlag, NumberFlag, ObjectFlag, StringFlag

__all__ = [
    "BooleanFlag",
    "Content",
    "Details",
    "ErrorCode",
    "FileSource",
    "Flag",
    "FlagError",
    "FlagSet",
    "FlagSource",
    "Flags",
    "FlagsChange",
    "FlagsRefused",
    "FlagsState",
    "FlagsUnavailable",
    "MemorySource",
    "NumberFlag",
    "ObjectFlag",
    "Reason",
    "StringFlag",
    "bucket_of",
    "current",
    "override",
    "use",
]
