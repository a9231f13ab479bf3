"""Whether to try again, and after how long: ``next_step``, a pure function of ``Tries``.

Three rules limit the cost of failures: each id has few attempts and little time, with jittered
exponential backoff (here); all retries share a budget, and a circuit breaker stops all requests
while the service is down (both in ``_pace``). A 429 does not mean that the service fails, so budget
and breaker do not apply to its retries. GET and list are reads, so repeating them is always safe.
"""

from typing import NamedTuple

from instantly_async.errors import (
    DecodeError,
    LeadError,
    ProtocolError,
    RateLimitedError,
    TransientError,
)
from instantly_async.settings import RetryPolicy

DECODE_REPEATS = {"truncated": 2, "malformed": 1, "other lead": 1, "oversized": 0}
"""Repeats after an answer that does not decode, by ``DecodeError.reason`` (*choice*)."""

PROTOCOL_REPEATS = 1
"""Repeats after a status that the API never sends (*choice*)."""


class Retry(NamedTuple):
    """Try again after ``wait_s`` seconds. ``is_free``: without a token of the retry budget."""

    wait_s: float
    is_free: bool


class Tries:
    """What one id, or one page of ids, has been through.

    ``max_failures``: it gives up after so many failures; ``None``: after the policy's ``attempts``.
    """

    # Defaults on the class: nearly every id succeeds at once and changes few of them.
    attempts = 0  # all of them, for the outcome
    failures = 0  # those that count towards max_failures
    oddities = 0  # those of them that were answers which this API never sends
    throttles = 0  # 429s
    restarts = 0  # because of outages
    spent_s = 0.0  # in attempts and backoff
    tried_at = 0.0  # when the latest attempt was sent, or failed unsent, in the loop's time

    def __init__(self, max_failures: int | None = None) -> None:
        self.max_failures = max_failures

    def count(self, error: LeadError) -> None:
        """Count an attempt that failed."""
        if isinstance(error, RateLimitedError):
            self.throttles += 1
            return
        self.failures += 1
        if isinstance(error, DecodeError) or _is_odd(error):
            self.oddities += 1

    def start_over(self) -> None:
        """Forget the failures: an outage was not this id's fault."""
        self.restarts += 1
        self.failures = 0
        self.spent_s = 0.0


def next_step(
    error: LeadError, tries: Tries, policy: RetryPolicy, *, max_elapsed_s: float, draw: float
) -> Retry | None:
    """Return what follows after the latest attempt, which ``tries`` has counted; ``None``: give up.

    After a transient failure it waits U(0, min(cap, base·2^i)); after a 429 d/2 + U(0, d/2) with
    d = min(cap, 2^i), which does not count towards the id's time. ``draw`` is U(0, 1).
    """
    if isinstance(error, RateLimitedError):
        if tries.throttles > policy.throttled_attempts:
            return None
        delay_s = min(policy.backoff_cap_s, _doubled(1.0, tries.throttles - 1))
        return Retry(delay_s / 2 + draw * delay_s / 2, is_free=True)
    if tries.failures >= (tries.max_failures or policy.attempts) or not _may_repeat(error, tries):
        return None
    ceiling_s = _doubled(policy.backoff_base_s, tries.failures - 1)
    wait_s = draw * min(policy.backoff_cap_s, ceiling_s)
    return None if tries.spent_s + wait_s >= max_elapsed_s else Retry(wait_s, is_free=False)


def _may_repeat(error: LeadError, tries: Tries) -> bool:
    if isinstance(error, DecodeError):
        return tries.oddities <= DECODE_REPEATS[error.reason]
    if _is_odd(error):
        return tries.oddities <= PROTOCOL_REPEATS
    return isinstance(error, TransientError)


def _is_odd(error: LeadError) -> bool:
    return isinstance(error, ProtocolError) and error.status is not None


def _doubled(seconds: float, times: int) -> float:
    return seconds * 2.0 ** min(times, 64)  # a policy may allow thousands of attempts
