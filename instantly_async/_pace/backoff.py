"""Backoff: whether to try again, and after how long. Pure: no sleeping, no clock, no I/O.

Theory of operation. Three rules limit the cost of failures: each id has few attempts and little
time, with jittered exponential backoff (here); the *retry budget* limits all retries together
(``budget.py``); the *circuit breaker* stops sending when the service is down (``breaker.py``).

A 429 does not mean that the service fails, so budget and breaker do not apply to its retries.
GET and list are reads, so repeating them is always safe.
"""

from collections.abc import Callable

from instantly_async.errors import (
    DecodeError,
    InstantlyError,
    ProtocolError,
    RateLimitedError,
    TransientError,
)
from instantly_async.settings import RetryPolicy

DECODE_REPEATS = {"truncated": 2, "malformed": 1, "other lead": 1, "oversized": 0}
"""Repeats after an answer that does not decode, by ``DecodeError.reason`` (*choice*)."""

PROTOCOL_REPEATS = 1
"""Repeats after a status that the API never sends (*choice*)."""


def may_be_outage(error: InstantlyError) -> bool:
    """Whether the reason of an error may be an outage, and not this one id."""
    if isinstance(error, ProtocolError):
        return error.status is None
    return isinstance(error, TransientError) and not isinstance(error, RateLimitedError)


class Tries:
    """The attempts of one id, or of one page of ids, and the wait before the next one.

    ``max_failures``: give up after so many failures; ``None``: after the policy's ``attempts``.
    """

    # Defaults on the class: nearly every id succeeds at once and changes few of them.
    attempts = 0  # all of them, for the outcome
    failures = 0  # those that count towards max_failures
    throttles = 0
    sends = 0  # requests on the wire of the latest attempt
    spent_s = 0.0
    first_sent_at: float | None = None
    last_sent_at: float | None = None
    was_probe = False  # the latest attempt
    is_suspect = False  # it has failed as a probe
    _repeats = 0

    def __init__(
        self, policy: RetryPolicy, rng: Callable[[], float], max_failures: int | None = None
    ) -> None:
        self._policy = policy
        self._max_failures = max_failures or policy.attempts
        self._rng = rng

    def begin(self, *, is_probe: bool) -> None:
        """Count an attempt that begins now."""
        self.attempts += 1
        self.was_probe = is_probe
        self.sends = 0
        self.last_sent_at = None

    def undo(self) -> None:
        """Do not count the attempt: a pause began before it was sent."""
        self.attempts -= 1

    def note_sent(self, now: float) -> None:
        """Note that the attempt's request is sent at ``now``, the loop's time."""
        self.sends += 1
        self.last_sent_at = now

    def remaining_s(self, max_elapsed_s: float) -> float:
        """Seconds this id may still spend in attempts and backoff."""
        return max_elapsed_s - self.spent_s

    def forgive(self) -> None:
        """Start over: the outage was not this id's fault."""
        self.failures = 0
        self.spent_s = 0.0

    def wait_s(self, error: InstantlyError, max_elapsed_s: float) -> float | None:
        """Count one failed attempt and return the seconds to wait; ``None``: give up.

        After a transient failure U(0, min(cap, base·2^i)); after a 429 d/2 + U(0, d/2) with
        d = min(cap, 2^i), which does not count towards the id's time.
        """
        if isinstance(error, RateLimitedError):
            self.throttles += 1
            if self.throttles > self._policy.throttled_attempts:
                return None
            delay = min(self._policy.backoff_cap_s, _doubled(1.0, self.throttles - 1))
            return delay / 2 + self._rng() * delay / 2
        if not self._may_repeat(error):
            return None
        ceiling = _doubled(self._policy.backoff_base_s, self.failures - 1)
        wait = self._rng() * min(self._policy.backoff_cap_s, ceiling)
        if self.spent_s + wait >= max_elapsed_s:
            return None
        self.spent_s += wait
        return wait

    def _may_repeat(self, error: InstantlyError) -> bool:
        self.failures += 1
        if self.failures >= self._max_failures:
            return False
        if isinstance(error, DecodeError):
            self._repeats += 1
            return self._repeats <= DECODE_REPEATS[error.reason]
        if isinstance(error, ProtocolError) and error.status is not None:
            self._repeats += 1
            return self._repeats <= PROTOCOL_REPEATS
        return isinstance(error, TransientError)


def _doubled(seconds: float, times: int) -> float:
    return seconds * 2.0 ** min(times, 64)  # a policy may allow thousands of attempts
