"""When to try again, purely: no sleeping, no clock of its own, no I/O.

Theory of operation. Three rules bound what a bad day costs:

* an id has few attempts and little time (``Tries``), with jittered exponential backoff;
* all retries together live on a *retry budget* that first attempts refill, so that the
  wire sees at most 1.2·N + 100 transient attempts;
* a *circuit breaker* stops everything after many failures in a row and lets single
  *probes* through, more and more rarely, until one of them succeeds.

A 429 is no failure of the service: it is repeated free of budget and breaker. GET and list
are reads, so repeating them is always safe.
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
"""Repeats after an answer that is not the lead, by ``DecodeError.reason`` (*choice*)."""

PROTOCOL_REPEATS = 1
"""Repeats after a status that the API never sends (*choice*)."""

FIRST_PROBE_DELAY_S = 1.0
"""Seconds from the breaker's opening to its first probe; doubles after each (*choice*)."""

MAX_PROBE_DELAY_S = 30.0
"""The longest time between two probes, in seconds (*choice*)."""


def speaks_of_outage(error: InstantlyError) -> bool:
    """Whether an error can be an outage's, rather than one id's."""
    if isinstance(error, ProtocolError):
        return error.status is None
    return isinstance(error, TransientError) and not isinstance(error, RateLimitedError)


class Tries:
    """What one id, or one page of them, has been through, and how long to wait before the next try.

    ``max_failures``: give up after so many; ``None``: after the policy's ``attempts``.
    """

    # Defaults on the class: nearly every id succeeds at once and touches but one of them.
    attempts = 0  # all of them, for the outcome
    failures = 0  # those that count
    throttles = 0
    spent_s = 0.0
    first_sent_at: float | None = None
    was_probe = False  # the latest attempt
    is_suspect = False  # it has failed as a probe
    _repeats = 0

    def __init__(
        self, policy: RetryPolicy, rng: Callable[[], float], max_failures: int | None = None
    ) -> None:
        self._policy = policy
        self._max_failures = max_failures or policy.attempts
        self._rng = rng

    def remaining_s(self, max_elapsed_s: float) -> float:
        """Seconds this id may still spend in attempts and backoff."""
        return max_elapsed_s - self.spent_s

    def forgive(self) -> None:
        """Start over: the outage was not this id's fault."""
        self.failures = 0
        self.spent_s = 0.0

    def wait_s(self, error: InstantlyError, max_elapsed_s: float) -> float | None:
        """Count one failed attempt and give the seconds to wait; ``None``: give up.

        After a transient failure U(0, min(cap, base·2^i)); after a 429 d/2 + U(0, d/2) with
        d = min(cap, 2^i), which does not count into the id's time.
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


class PageSize:
    """How many ids to ask for at once, learned from what the API takes and refuses.

    How many it allows nobody says. A refusal halves ``size``, down to 1: then pages are no use.
    Unless as many have been taken before: then one of these ids may be the reason, so the page
    is only cut; but the next refusal counts.
    """

    def __init__(self, most: int) -> None:
        self.size = most
        self._taken = 0

    def on_taken(self, count: int) -> None:
        """Learn that a page of so many ids was answered."""
        self._taken = max(self._taken, count)
        self.size = max(self.size, count)

    def on_refused(self, count: int) -> None:
        """Learn that a page of so many ids was refused as a bad request."""
        if count > max(1, self._taken):
            self.size = max(1, min(self.size, count // 2))
        self._taken = min(self._taken, (count + 1) // 2)

    def cut(self, ids: list[str]) -> list[list[str]]:
        """Give the ids in pieces: halves, or smaller."""
        size = min(self.size, (len(ids) + 1) // 2)
        return [ids[start : start + size] for start in range(0, len(ids), size)]


def _doubled(seconds: float, times: int) -> float:
    return seconds * 2.0 ** min(times, 64)  # a policy may allow thousands of attempts


class RetryBudget:
    """A purse that first attempts fill and transient retries empty."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._capacity = policy.budget_capacity
        self._refill = policy.budget_refill
        self.level = self._capacity

    def deposit(self) -> None:
        """Note a first attempt."""
        self.level = min(self._capacity, self.level + self._refill)

    def withdraw(self) -> bool:
        """Pay for one retry; ``False`` when the purse is empty."""
        # The refills are tenths in binary: five of them come to a hair under one.
        if self.level < 1 - 1e-9:
            return False
        self.level -= 1
        return True


class CircuitBreaker:
    """Open after many transient failures in a row; then one probe at a time.

    ``now`` is always a monotonic clock in seconds. States: closed; open; open or closed with
    a probe on the way (at most one).
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._threshold = policy.breaker_threshold
        self._patience_s = policy.breaker_patience_s
        self._failures = 0
        self._delay_s = FIRST_PROBE_DELAY_S
        self._opened_at: float | None = None
        self.failed_probes = 0  # in a row
        self.is_open = False
        self.probing = False
        self.next_probe_at = float("-inf")

    @property
    def gives_up_at(self) -> float:
        """When an open breaker ends the run; infinity when none is waiting for it."""
        if self._opened_at is None:
            return float("inf")
        return self._opened_at + self._patience_s

    def next_probe_s(self, now: float) -> float | None:
        """Seconds until the next probe, 0.0 while one is on its way; ``None``: nobody waits."""
        if self._opened_at is None:
            return None
        return 0.0 if self.probing else max(0.0, self.next_probe_at - now)

    def gives_up_s(self, now: float) -> float | None:
        """Seconds until it ends the run; ``None``: nobody waits."""
        return None if self._opened_at is None else max(0.0, self.gives_up_at - now)

    def probe_due(self, now: float) -> bool:
        """Whether a probe may be sent now."""
        return not self.probing and now >= self.next_probe_at

    def start_probe(self) -> None:
        """Note that a probe is on its way."""
        self.probing = True

    def end_probe(self, now: float) -> None:
        """Note that the probe did not succeed, and put off the next one."""
        self.probing = False
        self.failed_probes += 1
        self.next_probe_at = now + self._delay_s
        self._delay_s = min(MAX_PROBE_DELAY_S, self._delay_s * 2)

    @property
    def is_calm(self) -> bool:
        """Whether a success would change nothing."""
        troubled = self._failures or self.failed_probes or self.is_open or self.probing
        return not troubled

    def on_success(self) -> None:
        """Close: the service answers."""
        self._failures = 0
        self._delay_s = FIRST_PROBE_DELAY_S
        self._opened_at = None
        self.failed_probes = 0
        self.is_open = False
        self.next_probe_at = float("-inf")

    def on_failure(self, now: float) -> None:
        """Count one transient failure."""
        self._failures += 1
        if self._failures >= self._threshold:
            self.open(now)

    def open(self, now: float) -> None:
        """Hold everything back from now on."""
        if not self.is_open:
            self.is_open = True
            self._opened_at = now
            self.next_probe_at = now + FIRST_PROBE_DELAY_S
            self._delay_s = 2 * FIRST_PROBE_DELAY_S

    def resume_waiting(self, now: float) -> None:
        """Start the patience anew for a run that comes to a breaker that has given up."""
        if self.is_open and self._opened_at is None:
            self._opened_at = now

    def give_up(self) -> None:
        """Stay open, but with nobody waiting."""
        self._opened_at = None
