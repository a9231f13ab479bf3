"""``Recorder``: counters that cost next to nothing, and whom to tell what happens."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate

import msgspec

from .events import Observers
from .stats import Counts, Stats

_BUCKETS_PER_OCTAVE = 8  # neighbours differ by 9 %: the precision of a percentile
_BUCKETS = 28 * _BUCKETS_PER_OCTAVE  # from 1 µs to 268 s
_BOUNDS_S = [2 ** (position / _BUCKETS_PER_OCTAVE) / 1e6 for position in range(1, _BUCKETS)]
_RATE_WINDOW_S = 5


class Histogram:
    """A histogram of durations with logarithmic buckets; its memory is constant."""

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._total = 0

    def record(self, seconds: float) -> None:
        """Count one duration in seconds."""
        self._counts[bisect_right(_BOUNDS_S, seconds)] += 1
        self._total += 1

    def add(self, other: "Histogram") -> None:
        """Count everything ``other`` has counted."""
        theirs = other._counts  # noqa: SLF001 - same class
        self._counts = [a + b for a, b in zip(self._counts, theirs, strict=True)]
        self._total = sum(self._counts)  # ``other`` may be counting in another thread

    def quantile(self, share: float) -> float | None:
        """Return a quantile in seconds; ``share`` is in [0, 1]. ``None``: nothing was recorded."""
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
        theirs = list(other._counts.items())  # noqa: SLF001 - same class
        for second, events in theirs:
            self.count(second, events)

    def rate(self, now: float, elapsed_s: float) -> float:
        """Events per second, over ``elapsed_s`` when that is less than the window."""
        oldest = int(now) - _RATE_WINDOW_S
        counts = list(self._counts.items())  # in one step, as another thread may be counting
        events = sum(count for second, count in counts if second > oldest)
        window_s = min(elapsed_s, _RATE_WINDOW_S - 1 + now % 1)
        return events / window_s if window_s > 0 else 0.0


def add_counts(total: Counts, more: Counts) -> None:
    """Add all counters of ``more``, which another thread may be counting up, to ``total``."""
    for name in Counts.__struct_fields__:
        mine, theirs = getattr(total, name), getattr(more, name)
        if isinstance(theirs, Mapping):
            theirs = Counter(theirs)  # in one step, as it may grow
        setattr(total, name, mine or theirs if isinstance(mine, bool) else mine + theirs)


class Recorder(Counts, kw_only=True):
    """The counters behind ``Stats``: plain attributes that the hot path increments.

    ``started_at`` and ``stopped_at`` are the loop's time, ``None`` until it happens. ``run``
    numbers a stream, ``None``: this counts what is done outside of streams. ``observers`` are told
    what happens.
    """

    failed: Counter[str] = msgspec.field(default_factory=Counter)
    latency: Histogram = msgspec.field(default_factory=Histogram)
    meter: RateMeter = msgspec.field(default_factory=RateMeter)
    started_at: float | None = None
    stopped_at: float | None = None
    run: int | None = None
    observers: Observers = msgspec.field(default_factory=Observers)

    def add(self, other: "Recorder") -> None:
        """Add all that ``other`` has counted, and may be counting in another thread."""
        add_counts(self, other)
        self.latency.add(other.latency)
        self.meter.add(other.meter)

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
        """Return the counters as of ``now``, or as of ``stopped_at`` when the run is over."""
        until = now if self.stopped_at is None else self.stopped_at
        elapsed_s = 0.0 if self.started_at is None else max(0.0, until - self.started_at)
        counts = {name: getattr(self, name) for name in Counts.__struct_fields__}
        return Stats(
            **counts | {"failed": dict(self.failed)},
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
        )
