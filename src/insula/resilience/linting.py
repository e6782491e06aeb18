"""Finds what in a pipeline does not do what it looks like: most mistakes with policies are mistakes of their order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from insula.resilience.lint_rules import RULES
from insula.resilience.pipeline import ResiliencePipeline
from insula.resilience.policy import Policy


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a pipeline that is most likely a mistake.

    Parameters: `rule`, its short name; `text`, which policies, what is wrong and what to write instead.
    """

    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.text} [{self.rule}]"


def lint(policy: Policy) -> list[Finding]:
    """What is most likely a mistake in a pipeline, whose pipelines are looked through, or in a policy alone.

    Policies that meet only at run time, since one decorated function calls another, are not seen. Functions given as
    `on=` and `backoff=` are called, to see what they say.
    """
    policies = list(_flat(policy))
    return [Finding(name, text) for name, rule in RULES.items() for text in rule(policies)]


def _flat(policy: Policy) -> Iterator[Policy]:
    if not isinstance(policy, ResiliencePipeline):
        yield policy
        return
    for each in policy.policies:
        yield from _flat(each)
