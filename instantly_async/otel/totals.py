"""``Totals``: the counters of all clients that one series of metrics is about."""

from collections import Counter
from collections.abc import Iterable
from threading import Lock

import msgspec

from instantly_async.events import Closed, Opened
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
        self._lock = Lock()
        self._open: dict[int, Opened] = {}
        self._ended = Counts(failed=Counter())
        self._wait_s = 0.0
        self._paused_s = 0.0

    def open(self, opened: Opened) -> None:
        with self._lock:
            self._open[opened.client] = opened

    def close(self, closed: Closed) -> None:
        with self._lock:
            if self._open.pop(closed.client, None) is not None:
                self._ended = sum_of([self._ended, closed.stats])

    def add_wait(self, seconds: float) -> None:
        with self._lock:
            self._wait_s += seconds

    def add_pause(self, seconds: float) -> None:
        with self._lock:
            self._paused_s += seconds

    def read(self) -> Reading:
        with self._lock:
            clients, ended = list(self._open.values()), self._ended
            wait_s, paused_s = self._wait_s, self._paused_s
        # Outside of the lock, for which a loop may wait: with many clients, this takes a while.
        now = [each.read() for each in clients]
        limits = [each.limit for each in clients if each.limit is not None]
        rates = [each.allowed_rate for each in now if each.allowed_rate is not None]
        return Reading(
            counts=sum_of([ended, *now]),
            rate=sum(rates) if rates else None,
            limit=sum(limits) if limits else None,
            open_breakers=sum(each.breaker_open for each in now),
            wait_s=wait_s,
            paused_s=paused_s,
        )


def sum_of(parts: Iterable[Counts | Stats]) -> Counts:
    """Add up counters."""
    total = Counts(failed=Counter())
    for part in parts:
        for name in Counts.__struct_fields__:
            value = getattr(part, name)
            mine = getattr(total, name)
            setattr(total, name, mine + (Counter(value) if name == "failed" else value))
    return total
