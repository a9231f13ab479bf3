"""``Totals``: the counters of all clients that one series of metrics is about."""

import time
from collections.abc import Iterable
from threading import RLock

import msgspec

from instantly_async._recorder import add_counts
from instantly_async.events import Closed, Opened, Paused
from instantly_async.stats import Counts, Stats


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What the metrics say at one time. Each sum is over all clients, closed ones included.

    ``rate``: requests per second that are allowed now, ``limit``: that the settings allow; of the
    open clients that have a limit, ``None``: there is none. ``open_breakers``: how many clients
    have a circuit breaker that is open. ``wait_s``, ``paused_s``: seconds.
    """

    counts: Counts
    rate: float | None
    limit: float | None
    open_breakers: int
    wait_s: float
    paused_s: float


class Totals:
    """Sums up clients. Exporters read it in threads of their own."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._open: dict[int, Opened] = {}
        self._ended = Counts()
        self._wait_s = 0.0
        self._paused_s = 0.0
        self._paused_until: dict[int, float] = {}

    def open(self, opened: Opened) -> None:
        with self._lock:
            self._open[opened.client] = opened

    def close(self, closed: Closed) -> None:
        self._end(closed.client, closed.stats)

    def _end(self, client: int, stats: Stats) -> None:
        """Keep the last counters of a client, of which nothing is in flight any more."""
        with self._lock:
            if self._open.pop(client, None) is not None:
                self._ended = sum_of([self._ended, stats])
                self._ended.in_flight = self._ended.waiting = 0

    def add_wait(self, seconds: float) -> None:
        with self._lock:
            self._wait_s += seconds

    def add_pause(self, paused: Paused) -> None:
        """Add what is new of a pause: each client of a limiter tells the same one."""
        now = time.monotonic()
        with self._lock:
            known_until = max(now, self._paused_until.get(paused.limiter, now))
            until = now + paused.pause_s
            self._paused_s += max(0.0, until - known_until)
            pauses = {number: end for number, end in self._paused_until.items() if end > now}
            self._paused_until = pauses | {paused.limiter: max(until, known_until)}

    def read(self) -> Reading:
        with self._lock:
            clients, ended = list(self._open.values()), self._ended
            wait_s, paused_s = self._wait_s, self._paused_s
        # Outside of the lock, for which a loop may wait: with many clients, this takes a while.
        now = [(each, each.is_alive(), each.read()) for each in clients]
        limits: dict[int, float] = {}  # by the number of the limiter, which clients can share
        rates: dict[int, float] = {}
        for client, is_alive, stats in now:
            if is_alive and client.limit is not None and stats.allowed_rate is not None:
                limits[client.limiter] = client.limit
                rates[client.limiter] = stats.allowed_rate
            elif not is_alive:  # it was never closed, and says no more
                self._end(client.client, stats)
        return Reading(
            counts=sum_of([ended, *(stats for _, _, stats in now)]),
            rate=sum(rates.values()) if rates else None,
            limit=sum(limits.values()) if limits else None,
            open_breakers=sum(is_alive and stats.breaker_open for _, is_alive, stats in now),
            wait_s=wait_s,
            paused_s=paused_s,
        )


def sum_of(parts: Iterable[Counts]) -> Counts:
    """Add up counters."""
    total = Counts()
    for part in parts:
        add_counts(total, part)
    return total
