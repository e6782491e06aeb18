"""Flags for programs that ask through OpenFeature. Import it by its name: it needs `insula[flags]`.

Source: OpenFeature specification, sections 2 (providers) and 5 (events).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import ErrorCode as SdkErrorCode
from openfeature.exception import GeneralError, OpenFeatureError, ParseError, ProviderFatalError
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagResolutionDetails, FlagValueType
from openfeature.flag_evaluation import Reason as SdkReason
from openfeature.hook import Hook
from openfeature.provider import AbstractProvider, Metadata

from insula.flags.current import current
from insula.flags.deciding import MISSING
from insula.flags.flags import Flags
from insula.flags.kinds import Kind, Unfit, fitted
from insula.flags.outcome import Details, ErrorCode, Outcome, Reason
from insula.flags.pinning import pins
from insula.flags.standing import FlagsChange

_log = logging.getLogger("insula.flags")

_NOBODY = EvaluationContext()
_CONTAINERS = (dict, list)
_ERRORS: dict[ErrorCode, type[OpenFeatureError]] = {
    ErrorCode.PROVIDER_FATAL: ProviderFatalError,
    ErrorCode.PARSE_ERROR: ParseError,
    ErrorCode.PROVIDER_NOT_READY: GeneralError,
}
_Object = Sequence[FlagValueType] | Mapping[str, FlagValueType]


@dataclass
class _Name(Metadata):
    name: str = "Insula"


class _Answer(FlagEvaluationDetails[Any]):
    """Details that cannot be changed, so that one of them may be given to everybody."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"evaluation details cannot be changed: {name}")

    __delattr__ = __setattr__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FlagEvaluationDetails) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


class _Resolution(FlagResolutionDetails[Any]):
    """What the provider says, with the client's answer ready in it: making it anew was half the price of a flag."""

    def __init__(self, details: Details, reason: str | None = None) -> None:
        said = reason or details.reason
        super().__init__(
            value=details.value,
            error_code=None if details.code is None else SdkErrorCode(details.code.value),
            error_message=details.message or None,
            reason=SdkReason(said) if said in SdkReason.__members__ else str(said),
            variant=details.variant,
            flag_metadata=details.metadata,
        )
        self._answer = None if details.code else _Answer({"flag_key": details.key, **vars(self)})

    def to_flag_evaluation_details(self, flag_key: str) -> FlagEvaluationDetails[Any]:
        """The client's answer. One with an error is made anew: the client writes the default into it."""
        return self._answer or super().to_flag_evaluation_details(flag_key)


class InsulaProvider(AbstractProvider):
    """Answers OpenFeature's clients from `Flags`.

    `initialize` reads flags that wait for something outside, such as a server; where there are none, the provider is
    in error, or fatally so where the source refuses us. To have them read again is up to a poller. It tells of changes,
    and of flags that became stale or fresh.

    Parameters: `flags` (default: those of the process); `hooks` of the provider; `remembers`, True to say CACHED of a
    flag that says the same to everybody when it is asked for again and has not changed.
    """

    def __init__(self, flags: Flags | None = None, *, hooks: Sequence[Hook] = (), remembers: bool = False) -> None:
        super().__init__()
        self._flags = current() if flags is None else flags
        self._hooks = list(hooks)
        self._remembers = remembers
        self._seen: dict[str, Outcome] = {}
        self._down = False
        self._stop: Callable[[], None] | None = None

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Raises an OpenFeatureError where there are no flags."""
        if self._stop is None:
            self._stop = self._flags.listen(self._changed)
        if self._flags.unready is not None:
            self._flags.renew()
        if self._flags.source.waits and not self._flags.polled:
            _log.warning(
                "%s was read once, and nobody reads it again; begin a poller before: "
                "insula.adapters.polling.flag_poller.FlagPoller(flags).start()", self._flags.source.name,
            )  # fmt: skip
        unready = self._flags.unready
        if unready is not None:
            self._down = True
            raise _ERRORS.get(unready, GeneralError)(self._flags.state.trouble)  # type: ignore[arg-type]

    def shutdown(self) -> None:
        """Listen no longer."""
        if self._stop is not None:
            self._stop()
            self._stop = None

    def get_metadata(self) -> Metadata:
        """The provider's name."""
        return _Name()

    def get_provider_hooks(self) -> list[Hook]:
        """Those that it was given."""
        return self._hooks

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """A flag that is on or off."""
        return self._resolve(flag_key, default_value, evaluation_context, "boolean")

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """A flag that is a text."""
        return self._resolve(flag_key, default_value, evaluation_context, "string")

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """A flag that is a whole number."""
        return self._resolve(flag_key, default_value, evaluation_context, "integer")

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """A flag that is a number."""
        return self._resolve(flag_key, default_value, evaluation_context, "float")

    def resolve_object_details(
        self, flag_key: str, default_value: _Object, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[_Object]:
        """A flag that is an object or a list; each reader gets a copy."""
        return self._resolve(flag_key, default_value, evaluation_context, "object")

    def _resolve(
        self, key: str, default: Any, context: EvaluationContext | None, kind: Kind
    ) -> FlagResolutionDetails[Any]:
        about = context or _NOBODY
        subject: Any = about.targeting_key
        attributes: Any = about.attributes
        if subject is None:
            subject = attributes.get("targetingKey")
        if attributes.__class__ is not dict:
            attributes = dict(attributes)
        pinned = pins.get()
        if pinned is not None and key in pinned:
            return _Resolution(self._flags.details(key, default, kind))
        outcome = self._flags.decide(key, subject, attributes)
        form: tuple[Kind, bool] = (kind, self._remembers and self._is_seen(key, outcome))
        made: FlagResolutionDetails[Any] | None = outcome.forms.get(form)
        if made is None:
            return self._made(key, default, outcome, form)
        next(outcome.counter)
        return made

    def _is_seen(self, key: str, outcome: Outcome) -> bool:
        if outcome.reason is not Reason.STATIC:
            return False
        seen = self._seen.get(key) is outcome
        self._seen[key] = outcome
        return seen

    def _made(self, key: str, default: Any, outcome: Outcome, form: tuple[Kind, bool]) -> FlagResolutionDetails[Any]:
        kind, cached = form
        metadata = self._flags.metadata(key)
        if outcome.value is MISSING:
            next(outcome.counter)
            return _Resolution(Details(key, default, None, outcome.reason, outcome.code, outcome.message, metadata))
        try:
            value = fitted(outcome.value, kind)
        except Unfit:
            return _Resolution(self._flags.mismatch(key, default, kind))
        next(outcome.counter)
        details = Details(key, value, outcome.variant, outcome.reason, metadata=metadata)
        made = _Resolution(details, SdkReason.CACHED if cached else None)
        if value.__class__ not in _CONTAINERS:
            outcome.forms[form] = made
        return made

    def _changed(self, change: FlagsChange) -> None:
        if change.stale:
            self._down = True
            self.emit_provider_stale(ProviderEventDetails(message=change.trouble))
            return
        if self._down:
            self._down = False
            self.emit_provider_ready(ProviderEventDetails())
        if change.keys:
            self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=list(change.keys)))
