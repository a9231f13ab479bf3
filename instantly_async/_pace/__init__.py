"""Pacing: rate limiter, retry budget and circuit breaker, behind one façade, ``Pace``.

Decides when an attempt may be sent. Must not know what is requested, or how it is sent.
"""

from .breaker import CircuitBreaker
from .budget import RetryBudget
from .limiter import AdaptiveLimiter
from .pace import QUIET_S, Pace, Permit, is_foreign, may_be_outage, shows_life
from .places import Places
from .trust import Trust

__all__ = [
    "QUIET_S",
    "AdaptiveLimiter",
    "CircuitBreaker",
    "Pace",
    "Permit",
    "Places",
    "RetryBudget",
    "Trust",
    "is_foreign",
    "may_be_outage",
    "shows_life",
]
