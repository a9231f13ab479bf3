"""The adaptive limiter: aiolimiter's token bucket, with a rate that changes, and with pauses.

Theory of operation. A bucket of capacity c that refills at r/s lets at most c + r·t requests
through in any t seconds; ``RateLimit`` picks c and r so that both of the vendor's windows hold.
aiolimiter can neither change its rate nor pause. So one lock lets one task at a time wait for the
bucket (FIFO, safe to cancel). A new rate is a new bucket, emptied before its first use, because a
full one would allow a burst of c. After a change or a pause, the waiting task starts again.

A 429 to a request that was sent after the last cut means that the workspace is full, perhaps by
other clients: the rate is cut, sending pauses, and then the rate follows CUBIC. A 429 to an older
request is ignored, because the cut has already answered it.
"""

import logging
import random
from collections.abc import Callable
from math import inf

from aiolimiter import AsyncLimiter

from instantly_async._reprs import safe_repr
from instantly_async.events import RateReason
from instantly_async.settings import RateLimit

from .cubic import CUT_FACTOR, CUT_INTERVAL_S, CUT_PAUSE_S, LOWEST_RATE, cubic_rate
from .limiter import BaseLimiter

_log = logging.getLogger(__name__)


class AdaptiveLimiter(BaseLimiter):
    """Paces the requests of one workspace; may be shared by several of its clients.

    ``limit=None``: no rate limit, but pauses that the server asks for still hold. Belongs to
    the event loop in which it is first used; when that is closed, to that of its next use, where
    rate and pauses go on. A ``Limiter``.
    """

    def __init__(
        self, limit: RateLimit | None = RateLimit(), *, rng: Callable[[], float] = random.random
    ) -> None:
        super().__init__(limit, rng)
        self._drained = True  # the very first bucket may start full
        self._last_cut_at = -inf
        self._rate_at_cut = self._rate
        self._rises_since = -inf
        self._changed_at = -inf

    @safe_repr
    def __repr__(self) -> str:
        return f"<AdaptiveLimiter rate={self.rate!r} of {self.limit!r}>"

    def _start(self) -> None:
        super()._start()
        self._renew_bucket()

    async def acquire(self, is_ready: Callable[[], bool] | None = None) -> bool:
        """As ``Limiter.acquire``."""
        self.join()
        async with self._turn:
            while True:
                if is_ready is None:
                    await self.wait_out_pause()
                elif self.is_paused or not is_ready():
                    return False
                bucket = self._bucket
                if bucket is None:
                    return True
                if not self._drained:
                    self._drained = True
                    await bucket.acquire(bucket.max_rate)  # at once: the bucket is new
                await bucket.acquire()
                # A token of an old bucket, or one that waited through a pause, is void.
                if bucket is self._bucket and not self.is_paused:
                    return True

    def on_success(self, now: float) -> None:
        """As ``Limiter.on_success``."""
        if self.limit is None or self._rate >= self.limit.rate:
            return
        if now - self._changed_at >= CUT_INTERVAL_S:
            rate = cubic_rate(self._rate_at_cut, now - self._rises_since)
            if rate > self._rate:
                self._changed_at = now
                self.change_rate(min(self.limit.rate, rate), "recovering")

    def on_throttled(self, now: float, *, sent_at: float, retry_after_s: float | None) -> None:
        """As ``Limiter.on_throttled``."""
        if retry_after_s is not None:
            self.pause(now, retry_after_s)
        if sent_at <= self._last_cut_at or now - self._last_cut_at < CUT_INTERVAL_S:
            return
        self._last_cut_at = now
        self._rises_since = max(now, self._paused_until)
        self._pause_until(now, now + CUT_PAUSE_S)
        if self.limit is not None:
            self._rate_at_cut = self._rate
            lowest = min(LOWEST_RATE, self.limit.rate)
            self._changed_at = now
            self.change_rate(max(lowest, self._rate * CUT_FACTOR), "throttled")
            _log.info(
                "429: the rate is reduced to %.1f/s",
                self._rate,
                extra={"rate": self._rate, "limit": self.limit.rate},
            )

    def _pause_until(self, now: float, until: float) -> float:
        """Extend the pause; meanwhile the rate does not rise."""
        added_s = super()._pause_until(now, until)
        self._rises_since += added_s
        return added_s

    def change_rate(self, rate: float, reason: RateReason) -> None:
        """As ``BaseLimiter.change_rate``."""
        super().change_rate(rate, reason)
        self._renew_bucket()

    def drain(self) -> None:
        """Let no burst through, as others may have sent just now."""
        self._renew_bucket()

    def _renew_bucket(self) -> None:
        limit = self.limit
        self._bucket = AsyncLimiter(limit.capacity, limit.capacity / self._rate) if limit else None
        self._drained = False
