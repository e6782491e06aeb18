"""The steps of OpenFeature's first gherkin suite, which says the same in longer sentences."""

from __future__ import annotations

import json
from typing import Any

from openfeature.evaluation_context import EvaluationContext

from support.openfeature_steps import TRUE, TYPES, Scenario, step

KINDS = "(boolean|string|integer|float|object)"


@step(rf'an? {KINDS} flag with key "(.*)" is evaluated with (?:details and )?default value "?([^"]*)"?')
def _(scenario: Scenario, kind: str, key: str, default: str) -> None:
    scenario.flag = (kind, key, TYPES[kind](default))
    scenario.evaluate(*scenario.flag)


@step(r'an object flag with key "(.*)" is evaluated with (?:details and )?a null default value')
def _(scenario: Scenario, key: str) -> None:
    scenario.evaluate("object", key, None)


@step(rf'the resolved {KINDS} value should be "?([^"]*)"?')
def _(scenario: Scenario, kind: str, value: str) -> None:
    assert scenario.details.value == TYPES[kind](value)


@step(
    rf'the resolved {KINDS} details value should be "?([^",]*)"?, '
    r'the variant should be "(.*)", and the reason should be "(.*)"'
)
def _(scenario: Scenario, kind: str, value: str, variant: str, reason: str) -> None:
    expected = (TYPES[kind](value), variant, reason)
    assert (scenario.details.value, scenario.details.variant, scenario.details.reason) == expected


@step(
    r'the resolved object (?:details )?value should be contain fields "(.*)", "(.*)", and "(.*)", '
    r'with values "(.*)", "(.*)" and (.*), respectively'
)
def _(scenario: Scenario, *texts: str) -> None:
    names, values = texts[:3], texts[3:]
    expected: list[Any] = [values[0] == TRUE, values[1], json.loads(values[2])]
    assert scenario.details.value == dict(zip(names, expected, strict=True))


@step(r'the variant should be "(.*)", and the reason should be "(.*)"')
def _(scenario: Scenario, variant: str, reason: str) -> None:
    assert (scenario.details.variant, scenario.details.reason) == (variant, reason)


@step(r'context contains keys "(.*)", "(.*)", "(.*)", "(.*)" with values "(.*)", "(.*)", (\d+), "(.*)"')
def _(scenario: Scenario, *texts: str) -> None:
    first, last, age, customer = texts[4:]
    scenario.context = dict(zip(texts[:4], (first, last, int(age), customer == TRUE), strict=True))


@step(r'a flag with key "(.*)" is evaluated with default value "(.*)"')
def _(scenario: Scenario, key: str, default: str) -> None:
    scenario.flag = ("string", key, default)
    scenario.evaluate(*scenario.flag)


@step(r'the resolved string response should be "(.*)"')
def _(scenario: Scenario, value: str) -> None:
    assert scenario.details.value == value


@step(r'the resolved flag value is "(.*)" when the context is empty')
def _(scenario: Scenario, value: str) -> None:
    _, key, default = scenario.flag
    assert scenario.client.get_string_value(key, default, EvaluationContext()) == value


@step(r'a non-existent string flag with key "(.*)" is evaluated with details and a fallback value "(.*)"')
def _(scenario: Scenario, key: str, default: str) -> None:
    scenario.flag = ("string", key, default)
    scenario.evaluate(*scenario.flag)


@step(r'a string flag with key "(.*)" is evaluated as an integer, with details and a fallback value (\d+)')
def _(scenario: Scenario, key: str, default: str) -> None:
    scenario.flag = ("integer", key, int(default))
    scenario.evaluate(*scenario.flag)


@step(rf"the default {KINDS} value should be returned")
def _(scenario: Scenario, kind: str) -> None:
    assert (kind, scenario.details.value) == (scenario.flag[0], scenario.flag[2])


@step(r'the reason should indicate an error and the error code should indicate .* with "(.*)"')
def _(scenario: Scenario, code: str) -> None:
    assert scenario.details.reason == "ERROR"
    assert scenario.details.error_code is not None
    assert scenario.details.error_code.value == code
