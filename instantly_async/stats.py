"""What a run has done so far: counters that cost next to nothing, and frozen snapshots."""

import math
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate

import msgspec

_BUCKETS_PER_OCTAVE = 8  # neighbours differ by 9 %: the precision of a percentile
_BUCKETS = 28 * _BUCKETS_PER_OCTAVE  # from 1 µs to 268 s
_RATE_WINDOW_S = 5


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of one stream, or of a client since it was made.

    ``requests`` counts wire attempts (aiohttp's own re-sends included), ``retries`` those
    that repeat an id or a page, ``throttled`` the 429s. ``failed`` maps an error's class name to
    its count. ``rate`` is requests per second over the last 5 s; ``allowed_rate`` what the
    limiter allows now (``None``: no limit). Latencies are seconds from a request's sending
    to its last byte, within 9 %; ``None`` before the first answer. ``paused_s`` is how long
    nothing will be sent because the server asked for a pause. ``breaker_open`` says whether
    the circuit breaker holds everything back; then ``next_probe_s`` is how long until the next
    attempt to get through (0.0: one is on its way), and ``gives_up_s`` how long until the run
    ends if none does, in seconds; both ``None`` when it is closed or nobody waits. By list,
    ``fallbacks`` counts the ids that had to be asked for one by one, and ``list_distrusted``
    says that the strategy was given up because a page held a lead that was not asked for.
    """

    requested: int
    found: int
    not_found: int
    failed: Mapping[str, int]
    in_flight: int
    requests: int
    retries: int
    throttled: int
    bytes_received: int
    rate: float
    allowed_rate: float | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    latency_p99_s: float | None
    elapsed_s: float
    paused_s: float = 0.0
    breaker_open: bool = False
    next_probe_s: float | None = None
    gives_up_s: float | None = None
    fallbacks: int = 0
    list_distrusted: bool = False

    @property
    def done(self) -> int:
        """Ids that have their outcome."""
        return self.found + self.not_found + sum(self.failed.values())


class Histogram:
    """Durations in buckets of equal ratio, of fixed size whatever is recorded."""

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._total = 0

    def record(self, seconds: float) -> None:
        """Count one duration in seconds."""
        position = int(math.log2(max(seconds * 1e6, 1.0)) * _BUCKETS_PER_OCTAVE)
        self._counts[min(position, _BUCKETS - 1)] += 1
        self._total += 1

    def add(self, other: "Histogram") -> None:
        """Count everything ``other`` has counted."""
        theirs = other._counts  # noqa: SLF001 - same class
        self._counts = [a + b for a, b in zip(self._counts, theirs, strict=True)]
        self._total += other._total  # noqa: SLF001 - same class

    def quantile(self, share: float) -> float | None:
        """Seconds that ``share`` of the durations stay below; ``None`` when there are none."""
        if not self._total:
            return None
        rank = share * self._total
        position = next(i for i, below in enumerate(accumulate(self._counts)) if below >= rank)
        return float(2 ** ((position + 0.5) / _BUCKETS_PER_OCTAVE) / 1e6)


class RateMeter:
    """Events per second over the last few seconds, counted by whole seconds."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def count(self, now: float, events: int = 1) -> None:
        """Count events at ``now``, in seconds of a monotonic clock."""
        second = int(now)
        if second in self._counts:
            self._counts[second] += events
            return
        self._counts[second] = events
        if len(self._counts) > 2 * _RATE_WINDOW_S:
            del self._counts[min(self._counts)]

    def add(self, other: "RateMeter") -> None:
        """Count everything ``other`` still remembers."""
        for second, events in other._counts.items():  # noqa: SLF001 - same class
            self.count(second, events)

    def rate(self, now: float, elapsed_s: float) -> float:
        """Events per second, over ``elapsed_s`` when that is less than the window."""
        oldest = int(now) - _RATE_WINDOW_S
        events = sum(count for second, count in self._counts.items() if second > oldest)
        window_s = min(elapsed_s, _RATE_WINDOW_S - 1 + now % 1)
        return events / window_s if window_s > 0 else 0.0


class Recorder:
    """The counters behind ``Stats``: plain attributes that the hot path increments.

    ``started_at`` and ``stopped_at`` are the loop's time, ``None`` until it happens.
    """

    __slots__ = (
        "bytes_received",
        "failed",
        "fallbacks",
        "found",
        "in_flight",
        "latency",
        "list_distrusted",
        "meter",
        "not_found",
        "requested",
        "requests",
        "retries",
        "started_at",
        "stopped_at",
        "throttled",
    )

    def __init__(self) -> None:
        self.started_at: float | None = None
        self.stopped_at: float | None = None
        self.requested = 0
        self.found = 0
        self.in_flight = 0
        self.not_found = 0
        self.failed: Counter[str] = Counter()
        self.requests = 0
        self.retries = 0
        self.fallbacks = 0
        self.list_distrusted = False
        self.throttled = 0
        self.bytes_received = 0
        self.latency = Histogram()
        self.meter = RateMeter()

    def add(self, other: "Recorder") -> None:
        """Take over what ``other`` has counted."""
        self.requested += other.requested
        self.found += other.found
        self.not_found += other.not_found
        self.failed += other.failed
        self.requests += other.requests
        self.retries += other.retries
        self.throttled += other.throttled
        self.bytes_received += other.bytes_received
        self.latency.add(other.latency)
        self.meter.add(other.meter)
        self.in_flight += other.in_flight
        self.fallbacks += other.fallbacks
        self.list_distrusted |= other.list_distrusted

    def snapshot(
        self,
        now: float,
        *,
        allowed_rate: float | None,
        paused_s: float = 0.0,
        breaker_open: bool = False,
        next_probe_s: float | None = None,
        gives_up_s: float | None = None,
    ) -> Stats:
        """Freeze the counters as of ``now``, or as of ``stopped_at`` when the run is over."""
        until = now if self.stopped_at is None else self.stopped_at
        elapsed_s = 0.0 if self.started_at is None else max(0.0, until - self.started_at)
        return Stats(
            requested=self.requested,
            found=self.found,
            not_found=self.not_found,
            failed=dict(self.failed),
            in_flight=self.in_flight,
            requests=self.requests,
            retries=self.retries,
            throttled=self.throttled,
            bytes_received=self.bytes_received,
            rate=self.meter.rate(until, elapsed_s),
            allowed_rate=allowed_rate,
            latency_p50_s=self.latency.quantile(0.50),
            latency_p95_s=self.latency.quantile(0.95),
            latency_p99_s=self.latency.quantile(0.99),
            elapsed_s=elapsed_s,
            paused_s=paused_s,
            breaker_open=breaker_open,
            next_probe_s=next_probe_s,
            gives_up_s=gives_up_s,
            fallbacks=self.fallbacks,
            list_distrusted=self.list_distrusted,
        )
