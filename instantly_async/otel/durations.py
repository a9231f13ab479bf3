"""``Durations``: the histogram of attempts, recorded in batches.

An SDK needs about 15 µs for one record in a batch, and more if it is alone, because its code and
data are not in the processor's caches then. All else that a lead by GET takes is 85 µs. See
``python -m benchmarks run telemetry``.
"""

import time
from collections import deque
from contextlib import suppress
from threading import RLock

from opentelemetry.context import Context
from opentelemetry.metrics import Histogram

from instantly_async.events import Attempt

from .totals import Totals
from .values import Attributes, attributes_of

BATCH = 64
"""Attempts that are recorded together (*choice*)."""

Pending = tuple[Attempt, Context]


class Durations:
    """Takes the attempts of one observer.

    At most ``per_s`` a second are recorded, evenly chosen; ``None``: all of them.
    """

    def __init__(
        self, histogram: Histogram, totals: Totals, attributes: Attributes, per_s: float | None
    ) -> None:
        self._histogram = histogram
        self._totals = totals
        self._attributes = attributes
        self._per_s = per_s
        self._most = max(1.0, per_s) if per_s else 0.0
        self._credit = self._most
        self._credited_at = time.monotonic()
        self._known: dict[tuple[object, ...], Attributes] = {}
        self._pending: deque[Pending] = deque()
        self._flushing = RLock()  # exporters have threads of their own, or come by a signal

    def take(self, attempt: Attempt, context: Context) -> None:
        """Record an attempt, soon. ``context`` is what an SDK may link it to."""
        self._pending.append((attempt, context))
        if len(self._pending) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Record those that wait. Any thread may call this."""
        with self._flushing:
            batch: list[Pending] = []
            with suppress(IndexError):  # a signal handler may flush in the middle of this
                batch.extend(self._pending.popleft() for _ in range(len(self._pending)))
            affordable = self._affordable(batch)
        self._totals.add_wait(sum(attempt.wait_s for attempt, _ in batch))
        for attempt, context in affordable:
            attributes = self.attributes_of(attempt)
            self._histogram.record(attempt.duration_s, attributes, context)

    def _affordable(self, batch: list[Pending]) -> list[Pending]:
        """Return as many of them as may be recorded now, evenly chosen."""
        if self._per_s is None:
            return batch
        now = time.monotonic()
        earned = (now - self._credited_at) * self._per_s
        self._credit, self._credited_at = min(self._most, self._credit + earned), now
        count = min(len(batch), int(self._credit))
        self._credit -= count
        return [batch[number * len(batch) // count] for number in range(count)]

    def attributes_of(self, attempt: Attempt) -> Attributes:
        """Return the attributes of an attempt, with those of the observer."""
        key = (
            attempt.status, attempt.error, attempt.method, attempt.route,
            attempt.server_address, attempt.server_port,
        )  # fmt: skip
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = {**self._attributes, **attributes_of(attempt)}
        return known
