"""The adaptive limiter: aiolimiter's token bucket, with a rate that changes, and with pauses.

Theory of operation. A bucket of capacity c that refills at r/s lets at most c + r·t requests
through in any t seconds; ``RateLimit`` picks c and r so that both of the vendor's windows hold.
aiolimiter can neither change its rate nor pause. So one lock lets one task at a time wait for the
bucket (FIFO, safe to cancel). A new rate is a new bucket, emptied before its first use, because a
full one would allow a burst of c. After a change or a pause, the waiting task starts again.

The rate follows AIMD. A 429 to a request that was sent after the last cut means that the workspace
is full, perhaps by other clients: the rate is cut, sending pauses, and then the rate rises slowly
until the next 429. A 429 to an older request is ignored, because the cut has already answered it.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from math import inf

from aiolimiter import AsyncLimiter

from instantly_async.settings import RateLimit

_log = logging.getLogger(__name__)

CUT_FACTOR = 0.7
"""A 429 multiplies the rate by this (*choice*)."""

CUT_INTERVAL_S = 1.0
"""Shortest time between two cuts, and the pause after a cut, in seconds (*choice*)."""

RISE_PER_S = 1.0
"""How much the rate rises per second of success, in requests per second (*choice*)."""

LOWEST_RATE = 1.0
"""The rate is never cut below this, in requests per second (*choice*)."""

PAUSE_JITTER = 0.1
"""A pause that the server asks for is extended by up to this share, so that clients that were
stopped together do not resume together (*choice*)."""


class AdaptiveLimiter:
    """Paces the requests of one workspace; may be shared by several of its clients.

    ``limit=None``: no rate limit, but pauses that the server asks for still hold. Belongs to
    the event loop in which it is first used.
    """

    def __init__(
        self, limit: RateLimit | None = RateLimit(), *, rng: Callable[[], float] = random.random
    ) -> None:
        self.limit = limit
        self._rng = rng
        self._rate = limit.rate if limit else inf
        self._bucket = self._make_bucket() if limit else None
        self._drained = True  # the very first bucket may start full
        self._turn = asyncio.Lock()
        self._paused_until = -inf
        self._last_cut_at = -inf
        self._changed_at = -inf

    def __repr__(self) -> str:
        return f"<AdaptiveLimiter rate={self.rate!r} of {self.limit!r}>"

    @property
    def rate(self) -> float | None:
        """Requests per second allowed now; ``None``: no limit."""
        return None if self._bucket is None else self._rate

    def paused_s(self, now: float) -> float:
        """Seconds until the pause ends; 0 when there is none. ``now``: the loop's time."""
        return max(0.0, self._paused_until - now)

    def is_paused(self, now: float) -> bool:
        """Whether nothing may be sent at ``now``, the loop's time."""
        return self._paused_until > now

    async def wait_out_pause(self) -> None:
        """Wait until no pause is in effect."""
        loop = asyncio.get_running_loop()
        while (seconds := self.paused_s(loop.time())) > 0:
            await asyncio.sleep(seconds)

    async def acquire(self) -> None:
        """Take one token: the right to send one request now. First come, first served."""
        async with self._turn:
            while True:
                await self.wait_out_pause()
                bucket = self._bucket
                if bucket is None:
                    return
                if not self._drained:
                    self._drained = True
                    await bucket.acquire(bucket.max_rate)  # at once: the bucket is new
                await bucket.acquire()
                paused = self.paused_s(asyncio.get_running_loop().time()) > 0
                # A token of an old bucket, or one that waited through a pause, is void.
                if bucket is self._bucket and not paused:
                    return

    def on_success(self, now: float) -> None:
        """Note that a request was answered with anything but 429."""
        if self.limit is None or self._rate >= self.limit.rate:
            return
        quiet_since = max(self._changed_at, self._paused_until)
        if now - quiet_since >= 1.0:
            self._change_rate(min(self.limit.rate, self._rate + RISE_PER_S), now)

    def on_throttled(self, now: float, *, sent_at: float, retry_after_s: float | None) -> None:
        """Note a 429 to the request that was sent at ``sent_at``.

        ``retry_after_s``: the pause that the server asks for; ``None``: it names none.
        """
        if retry_after_s is not None:
            self.pause(now, retry_after_s)
        if sent_at <= self._last_cut_at or now - self._last_cut_at < CUT_INTERVAL_S:
            return
        self._last_cut_at = now
        self._paused_until = max(self._paused_until, now + CUT_INTERVAL_S)
        if self.limit is not None:
            lowest = min(LOWEST_RATE, self.limit.rate)
            self._change_rate(max(lowest, self._rate * CUT_FACTOR), now)
            _log.info("429: the rate is reduced to %.1f/s", self._rate)

    def pause(self, now: float, seconds: float) -> None:
        """Send nothing for ``seconds``, as ``Retry-After`` asks."""
        until = now + seconds * (1 + PAUSE_JITTER * self._rng())
        self._paused_until = max(self._paused_until, until)

    def _change_rate(self, rate: float, now: float) -> None:
        self._rate = rate
        self._changed_at = now
        self._bucket = self._make_bucket()
        self._drained = False

    def _make_bucket(self) -> AsyncLimiter:
        assert self.limit is not None
        return AsyncLimiter(self.limit.capacity, self.limit.capacity / self._rate)
