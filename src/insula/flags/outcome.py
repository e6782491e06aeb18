"""What a flag has come to for somebody, and why. The words are those of OpenFeature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Reason(StrEnum):
    """Why it is that value. Source: OpenFeature specification, types, resolution reason."""

    STATIC = "STATIC"
    """The flag says the same to everybody."""
    DEFAULT = "DEFAULT"
    """Nothing spoke for another variant than the flag's default, or the flag has none and the code's is taken."""
    TARGETING_MATCH = "TARGETING_MATCH"
    """The targeting or an allow-list named the variant."""
    SPLIT = "SPLIT"
    """The subject's bucket of a rollout."""
    DISABLED = "DISABLED"
    """The flag is disabled, killed, or outside of its time."""
    PREREQUISITE_FAILED = "PREREQUISITE_FAILED"
    """Another flag that has to come first has not come to what it must."""
    OVERRIDE = "OVERRIDE"
    """Pinned for a test."""
    ERROR = "ERROR"
    """It could not be told; the code's default is taken."""


class ErrorCode(StrEnum):
    """What kept a flag from being told. Source: OpenFeature specification, types, error code."""

    PROVIDER_NOT_READY = "PROVIDER_NOT_READY"
    PROVIDER_FATAL = "PROVIDER_FATAL"
    FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
    PARSE_ERROR = "PARSE_ERROR"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"
    INVALID_CONTEXT = "INVALID_CONTEXT"
    GENERAL = "GENERAL"


class Outcome:
    """What a flag comes to, ready beforehand: one for each variant and reason.

    Parameters: `variant`, None where the code's default is taken; `counter` counts it, with `next`. `forms` is for
    whoever shows outcomes in a form of their own, and makes each but once.
    """

    __slots__ = ("code", "counter", "forms", "message", "reason", "value", "variant")

    def __init__(
        self, value: Any, variant: str | None, reason: Reason, counter: Iterator[int],
        code: ErrorCode | None = None, message: str = "",
    ) -> None:  # fmt: skip
        self.value = value
        self.variant = variant
        self.reason = reason
        self.counter = counter
        self.code = code
        self.message = message
        self.forms: dict[Any, Any] = {}


@dataclass(frozen=True, slots=True)
class Details:
    """A flag's value with all that is known of it.

    Parameters: `variant`, None where the code's default is taken; `code` and `message`, why it could not be told.
    """

    key: str
    value: Any
    variant: str | None
    reason: Reason
    code: ErrorCode | None = None
    message: str = ""
    metadata: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


class NoOutcome(Exception):  # never leaves this package
    """A flag cannot be told for whom it is asked about. Parameters: `code`, and what is wrong."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
