"""Resilience: policies around calls that may fail. Useful alone: nothing but the standard library is loaded.

Others reach the events as `insula.resilience.events`.
"""

from insula.resilience.adaptive_limits import AimdLimit, GradientLimit
from insula.resilience.attempts import Attempt, attempts_of
from insula.resilience.backoff import Backoff, ConstantBackoff, ExponentialBackoff
from insula.resilience.bulkhead import Bulkhead
from insula.resilience.chaos import Chaos
from insula.resilience.circuit import CircuitOpen, CircuitSnapshot, SharedVerdicts
from insula.resilience.circuit_breaker import CircuitBreaker
from insula.resilience.entrance import BulkheadFull
from insula.resilience.fallback import Fallback
from insula.resilience.hedge import Hedge
from insula.resilience.hedge_state import HedgeSnapshot
from insula.resilience.linting import Finding, lint
from insula.resilience.pipeline import ResiliencePipeline
from insula.resilience.places import BulkheadSnapshot
from insula.resilience.policy import Policy
from insula.resilience.rate_limiter import RateLimiter
from insula.resilience.rates import RateLimited, RateSnapshot
from insula.resilience.retry import Retry
from insula.resilience.retry_budget import RetryBudget
from insula.resilience.timeout import TimedOut, Timeout, seconds_left

__all__ = [
    "AimdLimit",
    "Attempt",
    "Backoff",
    "Bulkhead",
    "BulkheadFull",
    "BulkheadSnapshot",
    "Chaos",
    "CircuitBreaker",
    "CircuitOpen",
    "CircuitSnapshot",
    "ConstantBackoff",
    "ExponentialBackoff",
    "Fallback",
    "Finding",
    "GradientLimit",
    "Hedge",
    "HedgeSnapshot",
    "Policy",
    "RateLimited",
    "RateLimiter",
    "RateSnapshot",
    "ResiliencePipeline",
    "Retry",
    "RetryBudget",
    "SharedVerdicts",
    "TimedOut",
    "Timeout",
    "attempts_of",
    "lint",
    "seconds_left",
]
