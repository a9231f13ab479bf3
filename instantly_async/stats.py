"""``Stats``: what a stream or a client has counted, as a frozen snapshot."""

from collections import Counter
from collections.abc import Mapping
from math import ceil

import msgspec

from ._reprs import Brief


class Counts(msgspec.Struct, kw_only=True):
    """What is counted."""

    requested: int = 0
    """Ids (or emails) taken from the input."""
    found: int = 0
    """Leads that were found."""
    not_found: int = 0
    """Ids that the workspace does not have."""
    failed: Mapping[str, int] = msgspec.field(default_factory=Counter)
    """Failed ids by the class name of their error."""
    in_flight: int = 0
    """Ids that were taken and have no outcome yet."""
    waiting: int = 0
    """Ids and pages that wait for their next attempt."""
    requests: int = 0
    """Requests that were sent; see ``Timeouts`` for re-sends."""
    retries: int = 0
    """Attempts that repeat an id or a page, also if they got no connection."""
    throttled: int = 0
    """Answers with status 429."""
    bytes_received: int = 0
    """Bytes of the bodies of answers, as they were sent."""
    fallbacks: int = 0
    """Ids that had to be fetched one by one, with strategy ``"list"``."""
    list_distrusted: bool = False
    """Strategy ``"list"`` was given up, because a page held a lead that was not requested."""


class Stats(Counts, Brief, frozen=True, kw_only=True):  # type: ignore[misc]  # msgspec allows it
    """A snapshot of one stream, or of a client since it was made.

    ``str(stats)`` is two lines: what became of the ids, then the traffic. Latencies are within 9 %.
    """

    rate: float
    """Requests per second over the last 5 s."""
    allowed_rate: float | None
    """Requests per second that the limiter allows now; ``None`` stands for no limit."""
    latency_p50_s: float | None
    """Median of the seconds from sending a request to its last byte; ``None`` before the first."""
    latency_p95_s: float | None
    """The same, 95th percentile."""
    latency_p99_s: float | None
    """The same, 99th percentile."""
    elapsed_s: float
    """Seconds since the first request was wanted, or of the whole run if it is over."""
    paused_s: float = 0.0
    """Seconds until sending resumes after a pause that the server asked for."""
    breaker_open: bool = False
    """The circuit breaker stops all requests but probes."""
    next_probe_s: float | None = None
    """Seconds until the next probe; 0.0 while one is in flight. ``None`` if nobody waits."""
    gives_up_s: float | None = None
    """Seconds until the run ends if no probe succeeds. ``None`` if nobody waits."""

    @property
    def done(self) -> int:
        """Ids that have their outcome."""
        return self.found + self.not_found + sum(self.failed.values())

    def __repr__(self) -> str:
        failed = sum(self.failed.values())
        ids = _listed((self.found, "found"), (self.not_found, "not found"), (failed, "failed"))
        traffic = f"{_requests(self.requests)}, {self.throttled:,} × 429, {self.elapsed_s:,.1f} s"
        return f"<Stats {self._progress()}{ids and f': {ids}'}; {traffic}>"

    def __str__(self) -> str:
        return f"{self._outcomes()}\n{self._traffic()}"

    def _progress(self) -> str:
        return f"{self.done:,} of {self.requested:,} done"

    def _outcomes(self) -> str:
        failed = sum(self.failed.values())
        kinds = ", ".join(f"{count:,} {name}" for name, count in sorted(self.failed.items()))
        ids = _listed((self.found, "found"), (self.not_found, "not found"))
        trouble = f"{failed:,} failed ({kinds})" if failed else ""
        parts = (ids, trouble, _listed((self.in_flight, "in flight")))
        details = ", ".join(filter(None, parts))
        return f"{self._progress()}{details and f': {details}'}"

    def _traffic(self) -> str:
        limit = "no limit" if self.allowed_rate is None else f"{self.allowed_rate:.1f}/s allowed"
        p50, p95 = self.latency_p50_s, self.latency_p95_s
        known = p50 is not None and p95 is not None
        parts = (
            f"{_requests(self.requests)} in {self.elapsed_s:,.1f} s",
            _listed((self.retries, "retry" if self.retries == 1 else "retries")),
            f"{self.throttled:,} × 429",
            f"{self.rate:.1f}/s ({limit})" if self.elapsed_s >= 1 else "",  # else the first burst
            f"p50 {_milliseconds(p50)}, p95 {_milliseconds(p95)}" if known else "",
            why_held(self),
        )
        return ", ".join(filter(None, parts))


def why_held(stats: Stats) -> str:
    """Return why nothing is sent now, in a few words; empty if there is no reason."""
    if stats.breaker_open:
        left = stats.gives_up_s
        return "API is down" if left is None else f"API is down, giving up in {ceil(left)} s"
    return f"paused for {ceil(stats.paused_s)} s" if stats.paused_s > 0 else ""


def _listed(*counts: tuple[int, str]) -> str:
    return ", ".join(f"{count:,} {what}" for count, what in counts if count)


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count:,} requests"


def _milliseconds(seconds: float | None) -> str:
    return f"{(seconds or 0) * 1000:,.0f} ms"
