"""Finds what in a pipeline does not do what it looks like: most mistakes with policies are mistakes of their order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from insula.resilience.functions import Function, name_of
from insula.resilience.lint_rules import RULES
from insula.resilience.pipeline import ResiliencePipeline
from insula.resilience.policy import Policy, policies_around


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a pipeline that is most likely a mistake.

    Parameters: `rule`, its short name; `text`, which policies, what is wrong and what to write instead.
    """

    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.text} [{self.rule}]"


def lint(policy: Policy | Function) -> list[Finding]:
    """What is most likely a mistake in a pipeline, whose pipelines are looked through, or in a policy alone.

    Of a decorated function, the policies around it are looked at. Policies that meet only at run time, since one
    decorated function calls another, are not seen. Functions given as `on=` and `backoff=` are called, to see what they
    say. Raises TypeError for what has no policies.
    """
    around = [policy] if isinstance(policy, Policy) else policies_around(policy) if callable(policy) else []
    if not around:
        raise TypeError(f"lint: {_refused(policy)}")
    policies = [inner for each in around for inner in _flat(each)]
    named = [each.name for each in around if isinstance(each, ResiliencePipeline) and each.is_named]
    where = f"{named[0]}: " if named else ""
    return [Finding(name, f"{where}{text}") for name, rule in RULES.items() for text in rule(policies)]


def _refused(policy: object) -> str:
    if isinstance(policy, (list, tuple)):
        return "several policies are looked at in their order; write lint(ResiliencePipeline(*policies))"
    if callable(policy):
        return (
            f"{name_of(policy)} is decorated by no policy; give a policy, a pipeline or a function that one decorates"
        )
    return f"{policy!r} is no policy; give a policy, a pipeline or a function that one decorates"


def _flat(policy: Policy) -> Iterator[Policy]:
    if not isinstance(policy, ResiliencePipeline):
        yield policy
        return
    for each in policy.policies:
        yield from _flat(each)
