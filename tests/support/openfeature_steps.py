"""The steps of OpenFeature's gherkin suites, taken with its real client and our provider."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext, set_evaluation_context
from openfeature.exception import OpenFeatureError
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagEvaluationOptions
from openfeature.hook import Hook, HookContext
from openfeature.transaction_context import ContextVarsTransactionContextPropagator, set_transaction_context
from openfeature.transaction_context import set_transaction_context_propagator as propagate_with

from insula.flags import Content, Flags, FlagsRefused, FlagsUnavailable
from insula.flags.openfeature import InsulaProvider
from insula.testing import VirtualClock

STEPS: list[tuple[re.Pattern[str], Callable[..., None]]] = []
TRUE = "true"
TYPES: dict[str, Callable[[str], Any]] = {
    "boolean": lambda text: text.lower() == TRUE,
    "string": str,
    "integer": int,
    "float": float,
    "object": lambda text: json.loads(text.replace('\\"', '"')),
}


def step(pattern: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Say what is done at a step whose text has that form."""

    def register(action: Callable[..., None]) -> Callable[..., None]:
        STEPS.append((re.compile(pattern, re.IGNORECASE), action))
        return action

    return register


class RecordingHook(Hook):
    """Writes down what it is called with. Parameters: `name`, and the line that several of them write into."""

    def __init__(
        self, name: str = "hook", line: list[str] | None = None, entries: dict[str, Any] | None = None
    ) -> None:
        self.name = name
        self.line = [] if line is None else line
        self.entries = entries or {}
        self.seen: dict[str, Any] = {}

    def before(self, hook_context: HookContext, hints: Any) -> EvaluationContext | None:
        self.line.append(f"{self.name} before")
        self.seen["before"] = hook_context
        return EvaluationContext(attributes=self.entries) if self.entries else None

    def after(self, hook_context: HookContext, details: FlagEvaluationDetails[Any], hints: Any) -> None:
        self.line.append(f"{self.name} after")
        self.seen["after"] = details

    def error(self, hook_context: HookContext, exception: Exception, hints: Any) -> None:
        self.seen["error"] = exception

    def finally_after(self, hook_context: HookContext, details: FlagEvaluationDetails[Any], hints: Any) -> None:
        self.seen["finally"] = details


class ServedFlags:
    """A source beyond a network that serves, refuses, keeps silent or holds us up, as the scenario says."""

    name, waits = "flags.example.org", True

    def __init__(self, flags: dict[str, Any], state: str) -> None:
        self.flags = flags
        self.state = state
        self.answer = threading.Event()

    def read(self, known: Content | None = None) -> Content:
        if self.state == "not ready":
            self.answer.wait()
        if self.state == "fatal":
            raise FlagsRefused("flags.example.org: 401, our token is not accepted")
        if self.state in {"error", "not ready"}:
            raise FlagsUnavailable("flags.example.org: nobody answers")
        return Content(json.dumps({"flags": self.flags}).encode())


class Scenario:
    """What the steps of one scenario share."""

    def __init__(self, flags: dict[str, Any]) -> None:
        self.flags = flags
        self.client: OpenFeatureClient = api.get_client()
        self.context: dict[str, Any] = {}
        self.options: FlagEvaluationOptions | None = None
        self.hook = RecordingHook()
        self.levels: dict[str, dict[str, Any]] = {}
        self.precedence: list[str] = []
        self.merged: dict[str, Any] = {}
        self.flag: tuple[str, str, Any] = ("", "", None)
        self.details: FlagEvaluationDetails[Any] = FlagEvaluationDetails("", None)
        self.fallback: tuple[str, Any] = ("", None)
        self.source: ServedFlags | None = None

    def close(self) -> None:
        """Leave nothing of the scenario in OpenFeature's one API."""
        if self.source is not None:
            self.source.answer.set()
        api.clear_providers()
        api.clear_hooks()
        set_evaluation_context(EvaluationContext())

    def take(self, text: str, table: list[list[str]]) -> None:
        """Do what a step says. Raises LookupError for one that nobody knows."""
        for pattern, action in STEPS:
            found = pattern.fullmatch(text)
            if found is not None:
                action(self, *found.groups(), *([table] if table else []))
                return
        raise LookupError(f"no step for: {text}")

    def evaluate(self, kind: str, key: str, default: Any) -> None:
        """Ask the client, and remember what it says."""
        ask = getattr(self.client, f"get_{kind}_details")
        self.details = ask(key, default, EvaluationContext("somebody", self.context), self.options)


@step(r"an? (not ready|stable|error|fatal|stale) provider")
def _(scenario: Scenario, state: str) -> None:
    api.clear_providers()
    clock = VirtualClock()
    scenario.source = ServedFlags(scenario.flags, state)
    flags = Flags(scenario.source, stale_seconds=60, clock=clock)
    scenario.client = api.get_client()
    provider = InsulaProvider(flags, remembers=True)
    if state == "not ready":
        api.set_provider(provider)  # it waits for its flags, on a thread of the client's
    else:
        with suppress(OpenFeatureError):
            api.set_provider_and_wait(provider)
    if state == "stale":
        scenario.source.state = "error"
        clock.advance(61)
        flags.renew()


@step(r"a stable provider with retrievable context is registered")
def _(scenario: Scenario) -> None:
    scenario.take("a stable provider", [])
    propagate_with(ContextVarsTransactionContextPropagator())
    set_transaction_context(EvaluationContext())

    def keeping(provider: InsulaProvider, flag_key: str, default_value: bool, context: EvaluationContext) -> Any:
        scenario.merged = dict(context.attributes)
        return InsulaProvider.resolve_boolean_details(provider, flag_key, default_value, context)

    provider: Any = scenario.client.provider
    provider.resolve_boolean_details = lambda flag_key, default_value, evaluation_context: keeping(
        provider, flag_key, default_value, evaluation_context
    )


@step(r'A context entry with key "(.*)" and value "(.*)" is added to the "(.*)" level')
def _(scenario: Scenario, key: str, value: str, level: str) -> None:
    scenario.levels.setdefault(level, {})[key] = value


@step(r"A table with levels of increasing precedence")
def _(scenario: Scenario, table: list[list[str]]) -> None:
    scenario.precedence = [row[0] for row in table]


@step(r'Context entries for each level from API level down to the "(.*)" level, with key "(.*)" and value "(.*)"')
def _(scenario: Scenario, last: str, key: str, value: str) -> None:
    for level in scenario.precedence[: scenario.precedence.index(last) + 1]:
        scenario.levels[level] = {key: level}
    assert value == last


@step(r"Some flag was evaluated")
def _(scenario: Scenario) -> None:
    levels = {level: EvaluationContext(attributes=entries) for level, entries in scenario.levels.items()}
    nothing = EvaluationContext()
    set_evaluation_context(levels.get("API", nothing))
    set_transaction_context(levels.get("Transaction", nothing))
    scenario.client = OpenFeatureClient(None, None, context=levels.get("Client", nothing))
    scenario.client.add_hooks([RecordingHook(entries=scenario.levels.get("Before Hooks"))])
    scenario.client.get_boolean_value("boolean-flag", False, levels.get("Invocation", nothing))


@step(r'The merged context contains an entry with key "(.*)" and value "(.*)"')
def _(scenario: Scenario, key: str, value: str) -> None:
    assert scenario.merged.get(key) == value


@step(r'an? (boolean|string|integer|float|object)-flag with key "(.*)" and a (?:fallback|default) value "(.*)"')
def _(scenario: Scenario, kind: str, key: str, default: str) -> None:
    scenario.flag = (kind.lower(), key, TYPES[kind.lower()](default))


@step(r'a context containing a key "(.*)", with type "(.*)" and with value "(.*)"')
def _(scenario: Scenario, key: str, kind: str, value: str) -> None:
    scenario.context[key] = TYPES[kind.lower()](value)


@step(r'a context containing a key "(.*)" with null value')
def _(scenario: Scenario, key: str) -> None:
    scenario.context[key] = None


@step(r"the flag was evaluated with details")
def _(scenario: Scenario) -> None:
    scenario.evaluate(*scenario.flag)


@step(r"the flag was evaluated with details asynchronously")
def _(scenario: Scenario) -> None:
    kind, key, default = scenario.flag
    asking = getattr(scenario.client, f"get_{kind}_details_async")(key, default)
    scenario.details = asyncio.run(asking)


@step(r"the evaluation should complete without blocking")
def _(scenario: Scenario) -> None:
    assert scenario.details.flag_key == scenario.flag[1]


@step(r'the resolved details value should be "(.*)"')
def _(scenario: Scenario, value: str) -> None:
    expected = TYPES[scenario.flag[0]](value)
    assert (scenario.details.value, type(scenario.details.value)) == (expected, type(expected))


@step(r'the reason should be "(.*)"')
def _(scenario: Scenario, reason: str) -> None:
    assert scenario.details.reason == reason


@step(r'the error-code should be "(.*)"')
def _(scenario: Scenario, code: str) -> None:
    assert scenario.details.error_code is not None
    assert scenario.details.error_code.value == code


@step(r'the flag key should be "(.*)"')
def _(scenario: Scenario, key: str) -> None:
    assert scenario.details.flag_key == key


@step(r'the variant should be "([^"]*)"')
def _(scenario: Scenario, variant: str) -> None:
    assert scenario.details.variant == variant


@step(r"the resolved metadata should contain")
def _(scenario: Scenario, table: list[list[str]]) -> None:
    _, *rows = table
    expected = {key: TYPES[kind.lower()](value) for key, kind, value in rows}
    assert dict(scenario.details.flag_metadata) == expected


@step(r"the resolved metadata is empty")
def _(scenario: Scenario) -> None:
    assert dict(scenario.details.flag_metadata) == {}


@step(r'the provider status should be "(.*)"')
def _(scenario: Scenario, status: str) -> None:
    assert scenario.client.get_provider_status().value == status


@step(r"a client with added hook")
def _(scenario: Scenario) -> None:
    scenario.client.add_hooks([scenario.hook])


@step(r'the "(before|error)" hook should have been executed')
def _(scenario: Scenario, stage: str) -> None:
    assert stage in scenario.hook.seen


@step(r'the "(.*)" hooks should be called with evaluation details')
def _(scenario: Scenario, stages: str, table: list[list[str]]) -> None:
    _, *rows = table
    for stage in stages.split(", "):
        details = scenario.hook.seen[stage]
        for kind, key, text in rows:
            expected = None if text == "null" else TYPES[kind](text)
            found = getattr(details, key)
            assert getattr(found, "value", found) == expected, (stage, key)


@step(r"evaluation options containing specific hooks")
def _(scenario: Scenario) -> None:
    line: list[str] = []
    scenario.hook = RecordingHook("first", line)
    scenario.options = FlagEvaluationOptions(hooks=[scenario.hook, RecordingHook("second", line)])


@step(r"the flag was evaluated with details using the evaluation options")
def _(scenario: Scenario) -> None:
    scenario.evaluate(*scenario.flag)


@step(r"the specified hooks should execute during evaluation")
def _(scenario: Scenario) -> None:
    assert {"before", "after", "finally"} <= scenario.hook.seen.keys()


@step(r"the hook order should be maintained")
def _(scenario: Scenario) -> None:
    assert scenario.hook.line == ["first before", "second before", "second after", "first after"]


@step(r"an evaluation context with modifiable data")
def _(scenario: Scenario) -> None:
    scenario.context = {"plan": "gold", "tags": ["a"]}


@step(r"the original evaluation context should remain unmodified")
def _(scenario: Scenario) -> None:
    assert scenario.context == {"plan": "gold", "tags": ["a"]}


@step(r"the evaluation details should be immutable")
def _(scenario: Scenario) -> None:
    for change in (
        lambda: setattr(scenario.details, "value", 0),
        lambda: scenario.details.flag_metadata.__setitem__("key", 1),  # type: ignore[attr-defined]
    ):
        try:
            change()
        except (AttributeError, TypeError):
            continue
        raise AssertionError("the details were changed")
