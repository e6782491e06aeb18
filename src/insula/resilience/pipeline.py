"""Policies around one another, composed once into the shortest path."""

from __future__ import annotations

from insula.resilience.common_stack import in_one
from insula.resilience.events import Listener
from insula.resilience.functions import Function
from insula.resilience.policy import Policy, Tell, both


class ResiliencePipeline(Policy):
    """Several policies as one, the outermost first.

    `ResiliencePipeline(Timeout(2), Retry(...), CircuitBreaker())`: one timeout over all attempts, and the breaker
    counts each attempt.

    Parameters: `policies`, each a policy or another pipeline; `name`, which the events then have as `pipeline`;
    `listener`, is told what each of them does, after the policy's own.
    Raises TypeError for what is no policy, ValueError without any.
    """

    def __init__(self, *policies: Policy, name: str | None = None, listener: Listener | None = None) -> None:
        super().__init__(name, listener)
        if len(policies) == 1 and isinstance(policies[0], (list, tuple)):
            raise TypeError(
                "ResiliencePipeline: the policies are given one by one; write ResiliencePipeline(one, another), or "
                "ResiliencePipeline(*policies)"
            )
        if not policies:
            raise ValueError("ResiliencePipeline: there are no policies; give at least one, the outermost first")
        for policy in policies:
            if not isinstance(policy, Policy):
                raise TypeError(f"ResiliencePipeline: {policy!r} is no policy; give such as Retry(on=ConnectionError)")
        self.policies = policies

    def compose(
        self, function: Function, is_async: bool, outer: Tell | None = None, pipeline: str | None = None
    ) -> Function:
        """Each policy around the next, the last around the function; events have the name of the innermost pipeline."""
        tell, pipeline = both(self._own_tell, outer), self.name if self.is_named else pipeline
        return self._around_async(function, tell, pipeline) if is_async else self._around(function, tell, pipeline)

    def wrap_sync(self, function: Function, tell: Tell | None) -> Function:
        """Each policy around the next, the last around the function."""
        return self._around(function, tell, None)

    def wrap_async(self, function: Function, tell: Tell | None) -> Function:
        """The same for an async function."""
        return self._around_async(function, tell, None)

    def _around(self, function: Function, tell: Tell | None, pipeline: str | None) -> Function:
        for policy in reversed(self.policies):
            function = policy.compose(function, False, tell, pipeline)
        return function

    def _around_async(self, function: Function, tell: Tell | None, pipeline: str | None) -> Function:
        left = list(self.policies)
        while left:
            together = in_one(left[-3:], function) if tell is None else None
            if together is not None:
                together.__wrapped__ = function  # type: ignore[attr-defined]
                function = together
                del left[-3:]
            else:
                function = left.pop().compose(function, True, tell, pipeline)
        return function
