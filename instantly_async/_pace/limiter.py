"""The adaptive limiter: aiolimiter's token bucket, with a rate that changes, and with pauses.

Theory of operation. A bucket of capacity c that refills at r/s lets at most c + r·t requests
through in any t seconds; ``RateLimit`` picks c and r so that both of the vendor's windows hold.
aiolimiter can neither change its rate nor pause. So one lock lets one task at a time wait for the
bucket (FIFO, safe to cancel). A new rate is a new bucket, emptied before its first use, because a
full one would allow a burst of c. After a change or a pause, the waiting task starts again.

A 429 to a request that was sent after the last cut means that the workspace is full, perhaps by
other clients: the rate is cut, sending pauses, and then the rate follows CUBIC. A 429 to an older
request is ignored, because the cut has already answered it.

A request takes its token with the connection in hand: otherwise requests that were well paced would
leave in bursts, because connections take different times to open. But only those whose token comes
within ``NEAR_S`` come *near* and take a connection. If all did, each connection would idle for
longer than many servers keep one.
"""

import asyncio
import logging
import random
import sys
from collections.abc import Callable
from itertools import count
from math import inf
from typing import Literal
from weakref import WeakSet

from aiolimiter import AsyncLimiter

from instantly_async._reprs import safe_repr
from instantly_async._telling import tell_all
from instantly_async.errors import ClosedError
from instantly_async.events import Observers, Paused, RateChanged
from instantly_async.settings import RateLimit, check_type

from .cubic import CUT_FACTOR, cubic_rate
from .places import Places

_log = logging.getLogger(__name__)
_NUMBERS = count(1)

CUT_INTERVAL_S = 1.0
"""Shortest time between two changes of the rate, in seconds (*choice*)."""

CUT_PAUSE_S = 0.5
"""How long nothing is sent after a cut, in seconds (*choice*)."""

NEAR_S = 0.25
"""How long a request may wait for its token with a connection in hand, in seconds (*choice*)."""

LOWEST_RATE = 1.0
"""The rate is never cut below this, in requests per second (*choice*)."""

PAUSE_JITTER = 0.1
"""A pause that the server asks for is extended by up to this share, so that clients that were
stopped together do not resume together (*choice*)."""


class AdaptiveLimiter:
    """Paces the requests of one workspace; may be shared by several of its clients.

    ``limit=None``: no rate limit, but pauses that the server asks for still hold. Belongs to
    the event loop in which it is first used; when that is closed, to that of its next use, where
    rate and pauses go on.
    """

    def __init__(
        self, limit: RateLimit | None = RateLimit(), *, rng: Callable[[], float] = random.random
    ) -> None:
        check_type("rate_limit", limit, RateLimit, optional=True)
        self.limit = limit
        self._rng = rng
        self._rate = limit.rate if limit else inf
        self.near = Places(self._near_size)
        self._bucket = self._make_bucket() if limit else None
        self._drained = True  # the very first bucket may start full
        self._turn = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._paused_until = -inf
        self._last_cut_at = -inf
        self._rate_at_cut = self._rate
        self._rises_since = -inf
        self._changed_at = -inf
        self.number = next(_NUMBERS)
        self.watched_by: WeakSet[Observers] = WeakSet()
        """Those who are told of its changes; not kept alive."""

    @safe_repr
    def __repr__(self) -> str:
        return f"<AdaptiveLimiter rate={self.rate!r} of {self.limit!r}>"

    def join(self) -> None:
        """Note that it is used in the running loop.

        Raises:
            ClosedError: it belongs to another loop, which is still open.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move_to(loop)

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None:
            if not self._loop.is_closed():
                raise ClosedError(
                    "The limiter belongs to another event loop; make one limiter per loop."
                )
            # New ones, as nobody wakes those who wait in a loop that is closed.
            self.near = Places(self._near_size)
            self._turn = asyncio.Lock()
            if self.limit is not None:
                self._renew_bucket()
        self._loop = loop

    @property
    def rate(self) -> float | None:
        """Requests per second that are allowed now; ``None`` stands for no limit."""
        return None if self._bucket is None else self._rate

    def paused_s(self, now: float) -> float:
        """Seconds until the pause ends; 0 when there is none. ``now``: the loop's time."""
        return max(0.0, self._paused_until - now)

    @property
    def is_paused(self) -> bool:
        """Whether nothing may be sent now."""
        return (
            self._paused_until > -inf
            and self._loop is not None
            and self._loop.time() < self._paused_until
        )

    async def wait_out_pause(self) -> None:
        """Wait until no pause is in effect."""
        loop = asyncio.get_running_loop()
        while (seconds := self.paused_s(loop.time())) > 0:
            await asyncio.sleep(seconds)

    @property
    def is_slow(self) -> bool:
        """Whether a connection could die before the token comes, so that the token comes first."""
        return self._rate < 1 / NEAR_S

    @property
    def _near_size(self) -> int:
        # If the token comes first, then only one request at a time may hold one: while it waits
        # for a connection, the bucket fills again, and two would exceed the window.
        if self.limit is None:
            return sys.maxsize
        return 1 if self.is_slow else max(2, int(NEAR_S * self._rate))

    async def acquire(self, is_ready: Callable[[], bool] | None = None) -> bool:
        """Take one token: the right to send one request now. First come, first served.

        ``is_ready`` is asked when it is this caller's turn. If it returns ``False``, or a pause is
        in effect, no token is taken and the result is ``False``; ``None``: pauses are waited out,
        and the result is ``True``.

        Raises:
            ClosedError: as ``join``.
        """
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
        """Note that a request was answered with anything but 429."""
        if self.limit is None or self._rate >= self.limit.rate:
            return
        if now - self._changed_at >= CUT_INTERVAL_S:
            rate = cubic_rate(self._rate_at_cut, now - self._rises_since)
            if rate > self._rate:
                self._change_rate(min(self.limit.rate, rate), now, "recovering")

    def on_throttled(self, now: float, *, sent_at: float, retry_after_s: float | None) -> None:
        """Note a 429 to the request that was sent at ``sent_at``.

        ``retry_after_s``: the pause that the server asks for; ``None``: it names none.
        """
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
            self._change_rate(max(lowest, self._rate * CUT_FACTOR), now, "throttled")
            _log.info(
                "429: the rate is reduced to %.1f/s",
                self._rate,
                extra={"rate": self._rate, "limit": self.limit.rate},
            )

    def pause(self, now: float, seconds: float) -> None:
        """Send nothing for ``seconds``, as ``Retry-After`` asks."""
        self._pause_until(now, now + seconds * (1 + PAUSE_JITTER * self._rng()))

    def _pause_until(self, now: float, until: float) -> None:
        """Extend the pause; meanwhile the rate does not rise."""
        paused_until = max(self._paused_until, now)
        if until > paused_until:
            self._rises_since += until - paused_until
            self._paused_until = until
            added_s = until - paused_until
            tell_all(
                self.watched_by, Paused(limiter=self.number, pause_s=until - now, added_s=added_s)
            )

    def _change_rate(
        self, rate: float, now: float, reason: Literal["throttled", "recovering"]
    ) -> None:
        assert self.limit is not None
        self._rate = rate
        self._changed_at = now
        self._renew_bucket()
        self.near.resize(self._near_size)
        tell_all(
            self.watched_by,
            RateChanged(limiter=self.number, rate=rate, limit=self.limit.rate, reason=reason),
        )

    def _renew_bucket(self) -> None:
        self._bucket = self._make_bucket()
        self._drained = False

    def _make_bucket(self) -> AsyncLimiter:
        assert self.limit is not None
        return AsyncLimiter(self.limit.capacity, self.limit.capacity / self._rate)
