"""Whether to try again, and after how long: ``next_step``, a pure function of ``Tries``.

Three rules limit the cost of failures: each id has few attempts and little time, with jittered
exponential backoff (here); all retries share a budget, and a circuit breaker stops all requests
while the service is down (both in ``_pace``). A 429 does not mean that the service fails, so budget
and breaker do not apply to its retries. An answer that is not from this API says nothing about the
id, so its repeats are many, soon and free of the budget. GET and list are reads, so repeating them
is always safe.
"""

from math import inf
from typing import NamedTuple

from instantly_async._pace import is_foreign
from instantly_async.errors import DecodeError, LeadError, RateLimitedError, TransientError
from instantly_async.settings import RetryPolicy

DECODE_REPEATS = {"truncated": 2, "malformed": 1, "other lead": 1, "oversized": 0}
"""Repeats after an answer that does not decode, by ``DecodeError.reason`` (*choice*)."""

FOREIGN_FACTOR = 5
"""So many times more repeats than after other failures follow if something else answers instead of
the API (*choice*). So if it does so four times in ten, one id in 100 million fails."""

FOREIGN_CAP_S = 1.0
"""The longest wait before such a repeat, in seconds (*choice*). If all answers are like that, the
circuit breaker opens."""


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
    sends = 0  # of this request; while somebody observes
    waits_since = inf  # the loop's time when its latest attempt was wanted; likewise
    failures = 0  # those that count towards max_failures
    oddities = 0  # those of them that were answers which do not decode
    foreigners = 0  # answers of something else
    throttles = 0  # 429s
    restarts = 0  # because of outages
    strangers = 0  # answers that held what was not asked for
    spent_s = 0.0  # in attempts and backoff
    tried_at = 0.0  # when the latest attempt was sent, or failed unsent, in the loop's time

    def __init__(self, max_failures: int | None = None) -> None:
        self.max_failures = max_failures

    def of_next(self) -> "Tries":
        """Return those of the next request for the same leads: fresh, but ``attempts`` goes on."""
        following = Tries(self.max_failures)
        following.attempts = self.attempts
        return following

    def count(self, error: LeadError) -> None:
        """Count an attempt that failed."""
        if isinstance(error, RateLimitedError):
            self.throttles += 1
            return
        if is_foreign(error):
            self.foreigners += 1
            return
        self.failures += 1
        if isinstance(error, DecodeError):
            self.oddities += 1

    def start_over(self) -> None:
        """Forget the failures: an outage was not this id's fault."""
        self.restarts += 1
        self.failures = self.foreigners = 0
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
    if is_foreign(error):
        most, cap_s = FOREIGN_FACTOR * (policy.attempts - 1) + 1, FOREIGN_CAP_S
        count = tries.foreigners
    else:
        most, cap_s, count = policy.attempts, policy.backoff_cap_s, tries.failures
    if count >= (tries.max_failures or most) or not _may_repeat(error, tries):
        return None
    ceiling_s = _doubled(policy.backoff_base_s, count - 1)
    wait_s = draw * min(cap_s, policy.backoff_cap_s, ceiling_s)
    if tries.spent_s + wait_s >= max_elapsed_s:
        return None
    return Retry(wait_s, is_free=isinstance(error, DecodeError) or is_foreign(error))


def _may_repeat(error: LeadError, tries: Tries) -> bool:
    if isinstance(error, DecodeError) and not is_foreign(error):
        return tries.oddities <= DECODE_REPEATS[error.reason]
    return is_foreign(error) or isinstance(error, TransientError)


def _doubled(seconds: float, times: int) -> float:
    return seconds * 2.0 ** min(times, 64)  # a policy may allow thousands of attempts
