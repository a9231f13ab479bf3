"""``RemoteLimiter``: a limiter whose ledger is elsewhere, so that several processes can share it.

Theory of operation. One lock lets one task at a time wait (FIFO). It asks the ledger for a moment,
waits for it, and goes. A process has one reservation at a time, so a process that is killed wastes
one moment; one whose waiter was cancelled keeps it for the next. A moment that the process has
missed by more than ``LATE_S``, because it or the answer was held up, is dropped: together with the
moments of others it would be one request too many. Never two in a row, or a slow machine would
stand still.

What the API says (a 429, ``Retry-After``) is reported in the background, and the next reservation
waits for the report. Each answer tells of what others have reported.

If the ledger cannot be reached, each process falls back on a limiter of its own, at a small share
of the limit. When it can again, a process sends nothing for ``RETURN_PAUSE_S``, until all others
have noticed it, too.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from math import inf
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from instantly_async.errors import ClosedError, ConfigurationError
from instantly_async.settings import MAX_USE, RateLimit, check_type

from .adaptive import AdaptiveLimiter
from .cubic import CUT_INTERVAL_S
from .ledger import Grant
from .limiter import BaseLimiter

_log = logging.getLogger(__name__)

Act = Literal["reserve", "look", "pause", "throttled"]

LATE_S = 0.02
"""A reserved moment may be used this many seconds late (*choice*)."""

ANSWER_S = 0.5
"""Seconds that the ledger has to answer (*choice*)."""

PROBE_INTERVAL_S = 0.5
"""Seconds from one look to the next at a ledger that could not be reached (*choice*)."""

CONNECT_S = 3.0
"""Seconds that such a look, and the first call, may take, as they have to connect (*choice*)."""

LOWEST_ALONE = 0.1
"""Requests per second that a process sends alone at least, if the limit is as high (*choice*)."""

RETURN_PAUSE_S = 1.0
"""How long nothing is sent after it can be reached again: the others notice it within
``PROBE_INTERVAL_S`` and the time of an answer."""

_QUICKEST_OF = 16  # answers that the usual delay is taken from
_SMOOTHING = 0.2  # the weight of the newest wait in their mean


class Moment(NamedTuple):
    """When a request may be sent, in the loop's time: not before ``at``, best at ``due``."""

    at: float
    due: float


class RemoteLimiter(BaseLimiter):
    """Shares a limit between processes. Subclasses say how the ledger is asked.

    Must be closed. ``fallback_share``: of the rate, for each process that cannot reach the ledger.
    """

    limit: RateLimit

    def __init__(
        self,
        limit: RateLimit,
        fallback_share: float,
        rng: Callable[[], float] = random.random,
    ) -> None:
        check_type("limit", limit, RateLimit)
        if not (isinstance(fallback_share, int | float) and 0 < fallback_share <= 1):
            raise ConfigurationError("fallback_share must be a number above 0, and 1 at most.")
        self._fallback = AdaptiveLimiter(_part_of(limit, fallback_share))
        self._is_alone = False
        self._is_closed = False
        self._wait_s = 1 / limit.rate
        self._cuts: int | None = None
        self._changed_at = -inf
        self._reported_at = -inf
        super().__init__(limit, rng)

    def _start(self) -> None:
        super()._start()
        self._reserving: asyncio.Task[Moment | None] | None = None
        self._reports: set[asyncio.Task[Grant | None]] = set()
        self._probes: set[asyncio.Task[Grant | None]] = set()
        self._probed_at = -inf
        self._took_s: deque[float] = deque(maxlen=_QUICKEST_OF)
        self._has_dropped = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def _where(self) -> str:
        """Which limiter this is, for logs."""
        raise NotImplementedError

    async def _ask(self, act: Act, seconds: float) -> Grant:
        """Let the ledger do this; whatever it raises means that it cannot be reached."""
        raise NotImplementedError

    async def _disconnect(self) -> None:
        """Release what ``_ask`` uses."""

    @property
    def rate(self) -> float:
        """Requests per second that all processes may send now; in an outage, this one."""
        return self._fallback._rate if self._is_alone else self._rate  # noqa: SLF001 - a base of ours

    @property
    def _own_rate(self) -> float:
        return self.rate if self._is_alone else 1 / self._wait_s

    async def acquire(self, is_ready: Callable[[], bool] | None = None) -> bool:
        """As ``Limiter.acquire``."""
        self.join()
        async with self._turn:
            while True:
                if is_ready is None:
                    await self.wait_out_pause()
                elif self.is_paused or not is_ready():
                    return False
                if self._is_closed:
                    raise ClosedError("The limiter is closed; close it after its clients.")
                if await (self._take_alone() if self._is_alone else self._meet_moment()):
                    return True

    async def _take_alone(self) -> bool:
        """Wait for a token of the fallback; return whether it came before the next look is due."""
        self._probe_in_time()
        try:
            async with asyncio.timeout(PROBE_INTERVAL_S):
                await self._fallback.acquire()
        except TimeoutError:
            return False
        return self._is_alone and not self.is_paused

    async def _meet_moment(self) -> bool:
        """Wait for a moment that is reserved; return whether this is the moment."""
        if self._reports:
            await asyncio.wait(self._reports)
        if self._reserving is None or self._reserving.cancelled():
            self._reserving = asyncio.create_task(self._reserve())
        # In a task of its own, which no cancellation of a waiter reaches: not all versions of
        # redis-py survive one, and the next waiter can use the moment.
        moment = await asyncio.shield(self._reserving)
        if moment is None:
            self._reserving = None
            return False
        loop = asyncio.get_running_loop()
        while (seconds := moment.at - loop.time()) > 0:
            await asyncio.sleep(seconds)
        self._reserving = None
        if self.is_paused:
            return False
        self._has_dropped = not self._has_dropped and loop.time() - moment.due > LATE_S
        return not self._has_dropped

    async def _reserve(self) -> Moment | None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        grant = await self._call("reserve")
        if grant is None or grant.pause_s > 0:
            return None
        now = loop.time()
        self._took_s.append(now - began)
        self._wait_s += _SMOOTHING * (max(grant.wait_s, 1 / self.limit.rate) - self._wait_s)
        self._resize_near()
        return Moment(now + grant.wait_s, began + min(self._took_s) + grant.wait_s)

    async def _call(self, act: Act, seconds: float = 0.0) -> Grant | None:
        """Ask the ledger, and learn from its answer; ``None``: it cannot be reached."""
        has_to_connect = act == "look" or self._cuts is None
        try:
            async with asyncio.timeout(CONNECT_S if has_to_connect else ANSWER_S):
                grant = await self._ask(act, seconds)
        except Exception as error:  # noqa: BLE001 - whatever it is, work goes on without the ledger
            if act != "look":  # which may have been answered by another look since
                self._fall_back(error)
            return None
        self._learn(grant)
        return grant

    def _learn(self, grant: Grant) -> None:
        now = asyncio.get_running_loop().time()
        if self._is_alone:
            self._return(now)
        if grant.pause_s > 0:
            self._pause_until(now, now + grant.pause_s)
        is_cut = self._cuts is not None and grant.cuts > self._cuts
        self._cuts = grant.cuts
        is_over = grant.rate == self.limit.rate != self._rate
        is_old = grant.rate != self._rate and now - self._changed_at >= CUT_INTERVAL_S
        if is_cut or is_over or is_old:
            self._changed_at = now
            self.change_rate(grant.rate, "throttled" if is_cut else "recovering")
        if is_cut:
            _log.info(
                "429: the shared rate is reduced to %.1f/s",
                grant.rate,
                extra={"rate": grant.rate, "limit": self.limit.rate},
            )

    def _fall_back(self, error: Exception) -> None:
        if self._is_alone or self._is_closed:
            return
        self._is_alone = True
        self._fallback.drain()
        self._tell_rate("fallback")
        _log.warning(
            "The shared limit %s cannot be reached (%s); until it can, this process sends at most "
            "%.1f/s",
            self._where,
            f"{type(error).__name__}: {error}" if str(error) else type(error).__name__,
            self.rate,
            extra={"rate": self.rate, "limit": self.limit.rate, "error": type(error).__name__},
        )

    def _return(self, now: float) -> None:
        self._is_alone = False
        if left_s := self.paused_s(now):
            self._report("pause", left_s)
        self._pause_until(now, now + RETURN_PAUSE_S)
        self._tell_rate("recovering")
        _log.info(
            "The shared limit %s can be reached again",
            self._where,
            extra={"limit": self.limit.rate},
        )

    def _probe_in_time(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._probed_at >= PROBE_INTERVAL_S:
            self._probed_at = now
            # Beside those that have no answer yet: what they have sent may be lost.
            _keep(self._probes, self._call("look"))

    def on_success(self, now: float) -> None:
        """As ``Limiter.on_success``."""
        if self._is_alone:
            before = self.rate
            self._fallback.on_success(now)
            if self.rate > before:
                self._tell_rate("recovering")

    def on_throttled(self, now: float, *, sent_at: float, retry_after_s: float | None) -> None:
        """As ``Limiter.on_throttled``, for all processes."""
        if retry_after_s is not None:
            self.pause(now, retry_after_s)
        if self._is_alone:
            before = self.rate
            self._fallback.on_throttled(now, sent_at=sent_at, retry_after_s=None)
            self._pause_until(now, now + self._fallback.paused_s(now))
            if self.rate < before:
                self._tell_rate("throttled")
        elif sent_at > self._reported_at and now - self._reported_at >= CUT_INTERVAL_S:
            self._reported_at = now
            self._report("throttled", now - sent_at)

    def pause(self, now: float, seconds: float) -> None:
        """As ``Limiter.pause``, for all processes."""
        before_s = self.paused_s(now)
        super().pause(now, seconds)
        if self.paused_s(now) > before_s and not self._is_alone:
            self._report("pause", self.paused_s(now))

    def _report(self, act: Act, seconds: float) -> None:
        if not self._is_closed:
            _keep(self._reports, self._call(act, seconds))

    async def aclose(self) -> None:
        """Let calls under way end, some seconds at most, and close the connection. Idempotent.

        Raises:
            ClosedError: it belongs to another loop, which is still open.
        """
        self.join()
        self._is_closed = True
        for probe in self._probes:
            probe.cancel()
        tasks: list[asyncio.Task[Any]] = [*self._reports, *self._probes]
        if self._reserving is not None:
            tasks.append(self._reserving)
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(Exception):  # a handshake at the end may wait for a server that is gone
            async with asyncio.timeout(ANSWER_S):
                await self._disconnect()


def _part_of(limit: RateLimit, share: float) -> RateLimit:
    """Return a limit whose rate is this share of the rate, without a reserve for others."""
    rate = min(limit.rate, max(LOWEST_ALONE, limit.rate * share))
    per_second = max(rate + 4, rate / MAX_USE + 1)
    capacity = RateLimit(per_second=per_second, per_minute=600 * per_second).capacity
    return RateLimit(per_second=per_second, per_minute=60 * rate + 1 + capacity)


def _keep(tasks: set[asyncio.Task[Grant | None]], call: Coroutine[Any, Any, Grant | None]) -> None:
    """Run a call in the background; the set keeps its task until it is done."""
    task = asyncio.create_task(call)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
