"""The circuit breaker: stops sending after many failures in a row, then probes. Pure."""

from instantly_async.settings import RetryPolicy

FIRST_PROBE_DELAY_S = 1.0
"""Seconds from the breaker's opening to its first probe; doubles after each (*choice*)."""

MAX_PROBE_DELAY_S = 30.0
"""The longest time between two probes, in seconds (*choice*)."""


class CircuitBreaker:
    """Opens after many transient failures in a row; then one probe at a time.

    ``now`` is always a monotonic clock in seconds. Closed or open; in both
    states at most one probe is in flight.
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
        """The time when an open breaker ends the run; infinity while no attempt waits for it."""
        if self._opened_at is None:
            return float("inf")
        return self._opened_at + self._patience_s

    def next_probe_s(self, now: float) -> float | None:
        """Seconds until the next probe, 0.0 while one is in flight; ``None``: no attempt waits."""
        if self._opened_at is None:
            return None
        return 0.0 if self.probing else max(0.0, self.next_probe_at - now)

    def gives_up_s(self, now: float) -> float | None:
        """Seconds until the breaker ends the run; ``None``: no attempt waits."""
        return None if self._opened_at is None else max(0.0, self.gives_up_at - now)

    def probe_due(self, now: float) -> bool:
        return not self.probing and now >= self.next_probe_at

    def start_probe(self) -> None:
        self.probing = True

    def end_probe(self, now: float) -> None:
        """Note that the probe failed, and postpone the next one."""
        self.probing = False
        self.failed_probes += 1
        self.next_probe_at = now + self._delay_s
        self._delay_s = min(MAX_PROBE_DELAY_S, self._delay_s * 2)

    @property
    def is_calm(self) -> bool:
        """Whether a success would change nothing."""
        return not (self._failures or self.failed_probes or self.is_open or self.probing)

    def on_success(self) -> None:
        """Close: the service answers."""
        self._failures = 0
        self._delay_s = FIRST_PROBE_DELAY_S
        self._opened_at = None
        self.failed_probes = 0
        self.is_open = False
        self.next_probe_at = float("-inf")

    def on_failure(self, now: float) -> None:
        self._failures += 1
        if self._failures >= self._threshold:
            self.open(now)

    def open(self, now: float) -> None:
        """Stop sending, from now on."""
        if not self.is_open:
            self.is_open = True
            self._opened_at = now
            self.next_probe_at = now + FIRST_PROBE_DELAY_S
            self._delay_s = 2 * FIRST_PROBE_DELAY_S

    def resume_waiting(self, now: float) -> None:
        """Start the patience again, for a new run, after the breaker gave up."""
        if self.is_open and self._opened_at is None:
            self._opened_at = now

    def give_up(self) -> None:
        """Stay open. No attempt waits any more."""
        self._opened_at = None
