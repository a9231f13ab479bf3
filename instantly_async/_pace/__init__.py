"""Pacing: rate limiter, backoff, retry budget and circuit breaker.

Decides when an attempt may be sent and when to give up. Must not know what is requested, or how
it is sent.
"""

from .backoff import Tries, may_be_outage
from .gate import AttemptKind, Gate, SuspectError
from .limiter import AdaptiveLimiter

__all__ = [
    "AdaptiveLimiter",
    "AttemptKind",
    "Gate",
    "SuspectError",
    "Tries",
    "may_be_outage",
]
