"""Resilience: policies around calls that may fail. Useful alone: nothing but the standard library is loaded.

Others reach the events as `insula.resilience.events`.
"""

from insula.resilience.attempts import Attempt, attempts_of
from insula.resilience.backoff import Backoff, ConstantBackoff, ExponentialBackoff
from insula.resilience.chaos import Chaos
from insula.resilience.circuit import CircuitOpen, CircuitSnapshot, SharedVerdicts
from insula.resilience.circuit_breaker import CircuitBreaker
from insula.resilience.fallback import Fallback
from insula.resilience.hedge import Hedge
from insula.resilience.hedge_state import HedgeSnapshot
from insula.resilience.linting import Finding, lint
from insula.resilience.pipeline import ResiliencePipeline
from insula.resilience.policy import Policy
from insula.resilience.retry import Retry
from insula.resilience.retry_budget import RetryBudget
from insula.resilience.timeout import TimedOut, Timeout

__all__ = [
    "Attempt",
    "Backoff",
    "Chaos",
    "CircuitBreaker",
    "CircuitOpen",
    "CircuitSnapshot",
    "ConstantBackoff",
    "ExponentialBackoff",
    "Fallback",
    "Finding",
    "Hedge",
    "HedgeSnapshot",
    "Policy",
    "ResiliencePipeline",
    "Retry",
    "RetryBudget",
    "SharedVerdicts",
    "TimedOut",
    "Timeout",
    "attempts_of",
    "lint",
]
