"""Pacing: rate limiter, retry budget and circuit breaker, behind one façade, ``Pace``.

Decides when an attempt may be sent. Must not know what is requested, or how it is sent.
"""

from .adaptive import AdaptiveLimiter
from .breaker import CircuitBreaker
from .budget import RetryBudget
from .ledger import Grant, Ledger
from .limiter import BaseLimiter, Limiter
from .pace import QUIET_S, Pace, Permit, is_foreign, may_be_outage, shows_life
from .places import Places
from .remote import LATE_S, Act, Moment, RemoteLimiter
from .trust import Trust

__all__ = [
    "LATE_S",
    "QUIET_S",
    "Act",
    "AdaptiveLimiter",
    "BaseLimiter",
    "CircuitBreaker",
    "Grant",
    "Ledger",
    "Limiter",
    "Moment",
    "Pace",
    "Permit",
    "Places",
    "RemoteLimiter",
    "RetryBudget",
    "Trust",
    "is_foreign",
    "may_be_outage",
    "shows_life",
]
