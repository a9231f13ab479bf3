"""The circuit breaker: stops all requests after many failures in a row, then probes.

A probe is never the attempt of an id that waits, because an id that fails may itself be the
reason. It is a request that is known to be good, so its failure means an outage. One of those who
wait sends the probes; if it leaves, the next one continues.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from math import inf

from instantly_async._clock import LoopClock
from instantly_async._reprs import safe_repr
from instantly_async.errors import ServiceUnavailableError
from instantly_async.events import BreakerChanged, Observers
from instantly_async.settings import RetryPolicy

_log = logging.getLogger(__name__)

FIRST_DELAY_S = 1.0
"""Seconds between the first two probes; doubles after each. The first is sent at once, because a
service that is alive may have reset all connections (*choice*)."""

MAX_DELAY_S = 30.0
"""The longest time between two probes, in seconds (*choice*)."""

JITTER = 0.25
"""A delay is shortened by up to this share, so that probes do not keep meeting a service that fails
periodically when it is down (*choice*)."""

TICK_S = 1.0
"""How long the event loop may be blocked at once before that no longer counts towards the patience,
in seconds (*choice*)."""

Probe = Callable[[], Awaitable[bool]]
"""Sends a request that is known to be good, and returns whether the service is alive."""


class CircuitBreaker:
    """Closed or open, for one endpoint. Those who wait bring the probe.

    ``method`` is how its endpoint is named to ``observers`` and in logs.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        rng: Callable[[], float],
        *,
        method: str = "GET",
        observers: Observers | None = None,
    ) -> None:
        self._rng = rng
        self._method = method
        self._observers = observers or Observers()
        self._threshold = policy.breaker_threshold
        self._patience_s = policy.breaker_patience_s
        self._failures = 0  # in a row
        self._last_failure = "no answer that shows it is alive"
        self._alive_at = -inf
        self.is_open = False
        self._opened_at = -inf
        self._closed = asyncio.Event()
        self._delay_s = FIRST_DELAY_S
        self._next_probe_at = -inf
        self._probing = asyncio.Lock()
        self._leading = asyncio.Lock()
        self._waiting = 0
        self._clock = LoopClock(TICK_S)  # patience: a process that was stopped has not asked
        self._waits_since = inf  # in its time
        self._surrenders = 0

    @safe_repr
    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<CircuitBreaker {state} waiting={self._waiting}>"

    def next_probe_s(self, now: float) -> float | None:
        """Seconds until the next probe, 0.0 while one is in flight; ``None``: nobody waits."""
        if not (self.is_open and self._waiting):
            return None
        return 0.0 if self._probing.locked() else max(0.0, self._next_probe_at - now)

    def gives_up_s(self, now: float) -> float | None:
        """Seconds until those who wait get an error; ``None``: nobody waits."""
        if not (self.is_open and self._waiting):
            return None
        return max(0.0, self._patience_left_s(now))

    def on_success(self, sent_at: float) -> None:
        """Note an answer, even a 404, which shows that the service was alive at ``sent_at``."""
        self._alive_at = max(self._alive_at, sent_at)
        self._failures = 0
        if self.is_open and sent_at >= self._opened_at:
            self.is_open = False
            self._closed.set()
            _log.warning(
                "The circuit breaker closes: the API answers again", extra={"method": self._method}
            )
            self._observers(BreakerChanged(method=self._method, is_open=False))

    def on_failure(self, what: str, *, sent_at: float = inf, is_down: bool = False) -> None:
        """Note a transient failure. ``is_down``: the server itself says that it is down.

        ``what`` happened is quoted to those who wait in vain. A failure of a request that was sent
        at ``sent_at`` does not count if a later one was answered: of many answers that come at the
        same time, those that are odd are read last.
        """
        self._last_failure = what
        self._failures += sent_at > self._alive_at
        if is_down or self._failures >= self._threshold:
            self._open()

    def _open(self) -> None:
        if not self.is_open:
            self.is_open = True
            self._opened_at = asyncio.get_running_loop().time()
            self._waits_since = self._clock.now(self._opened_at)
            self._closed.clear()
            self._delay_s = FIRST_DELAY_S
            self._next_probe_at = -inf
            _log.warning(
                "The circuit breaker opens: %s",
                self._last_failure,
                extra={"method": self._method, "reason": self._last_failure},
            )
            self._observers(BreakerChanged(method=self._method, is_open=True))

    async def is_alive(self, since: float, probe: Probe) -> bool:
        """Whether a request that was sent at ``since`` or later has been answered.

        If no such request is known, a probe is sent; if that fails, the breaker opens. While it is
        open, only a probe that is due is sent.
        """
        async with self._probing:
            if self._is_due if self.is_open else self._alive_at < since:
                await self._send(probe)
            return self._alive_at >= since

    async def until_closed(self, probe: Probe, *, patient: bool) -> None:
        """Wait until the breaker is closed; meanwhile one of those who wait sends probes.

        Raises:
            ServiceUnavailableError: after the policy's patience. ``patient=False``: at once,
                unless a probe is due, and succeeds.
        """
        is_probed = self._waiting or self._probing.locked()
        if not patient and (is_probed or not self._is_due):
            raise self._unavailable()
        if not self._waiting:
            loop = asyncio.get_running_loop()
            self._waits_since = self._clock.now(loop.time())
            self._clock.start(loop)
        self._waiting += 1
        surrenders = self._surrenders
        try:
            async with self._leading:
                while self.is_open:
                    if surrenders < self._surrenders:
                        raise self._unavailable()
                    await self._lead(probe)
                    if self.is_open and not patient:
                        raise self._unavailable()
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._clock.stop()

    @property
    def _is_due(self) -> bool:
        return asyncio.get_running_loop().time() >= self._next_probe_at

    def _patience_left_s(self, now: float) -> float:
        return self._waits_since + self._patience_s - self._clock.now(now)

    async def _lead(self, probe: Probe) -> None:
        """Wait until a probe is due, and send it; or give up for all who wait."""
        now = asyncio.get_running_loop().time()
        left_s = self._patience_left_s(now)
        if self._is_due:
            async with self._probing:
                if self.is_open and self._is_due:
                    await self._send(probe)
        elif left_s <= 0:
            self._surrenders += 1
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(self._next_probe_at, now + left_s)):
                    await self._closed.wait()

    async def _send(self, probe: Probe) -> None:
        sent_at = asyncio.get_running_loop().time()
        self._postpone()  # also if this one is cancelled
        if await probe():
            self.on_success(sent_at)
        else:
            self._open()
            self._postpone()
            self._delay_s = min(MAX_DELAY_S, self._delay_s * 2)

    def _postpone(self) -> None:
        jitter = 1 - JITTER * self._rng()
        self._next_probe_at = asyncio.get_running_loop().time() + jitter * self._delay_s

    def _unavailable(self) -> ServiceUnavailableError:
        return ServiceUnavailableError(
            "The API keeps failing, so no more requests are sent; "
            f"try again later. Last failure: {self._last_failure}."
        )
