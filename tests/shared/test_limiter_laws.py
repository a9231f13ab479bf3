"""The laws of limiters: ours keep them, and each broken one is found by a law."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from shared_limits import LocalLimiter
from virtual_loop import run_virtual

from instantly_async import AdaptiveLimiter, Limiter, RateLimit
from instantly_async.events import Observers
from instantly_async.testing import LIMITER_LAWS, MakeLimiter

Law = Callable[[MakeLimiter], Awaitable[None]]


def maker(kind: Callable[[RateLimit], Limiter]) -> MakeLimiter:
    @asynccontextmanager
    async def make(limit: RateLimit) -> AsyncIterator[Limiter]:
        limiter = kind(limit)
        yield limiter
        if isinstance(limiter, LocalLimiter):
            await limiter.aclose()

    return make


async def keep(law: Law, kind: Callable[[RateLimit], Limiter]) -> None:
    await law(maker(kind))


@pytest.mark.parametrize("law", LIMITER_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("kind", [AdaptiveLimiter, LocalLimiter])
def test_ours_keep_the_laws(kind: Callable[[RateLimit], Limiter], law: Law) -> None:
    """In virtual time, but for the one that needs a thread."""
    run = asyncio.run if law.__name__ == "loops" else run_virtual
    run(keep(law, kind))


class Unlimited(AdaptiveLimiter):
    async def acquire(self, is_ready: Any = None) -> bool:
        await asyncio.sleep(0.001)
        return True


class Bursting(AdaptiveLimiter):
    """A full bucket after each cut."""

    def _renew_bucket(self) -> None:
        super()._renew_bucket()
        self._bucket = self._bucket and type(self._bucket)(self._rate, 1.0)
        self._drained = True


class Unfair(AdaptiveLimiter):
    """Lets later callers overtake."""

    _calls = 0

    async def acquire(self, is_ready: Any = None) -> bool:
        self._calls += 1
        await asyncio.sleep(0.05 * (self._calls % 3))
        return await super().acquire(is_ready)


class Wasteful(AdaptiveLimiter):
    """Asks after the token."""

    async def acquire(self, is_ready: Any = None) -> bool:
        async with asyncio.timeout(None):
            taken = await super().acquire(is_ready and (lambda: True))
        return taken and (is_ready is None or is_ready())


class Restless(AdaptiveLimiter):
    def pause(self, now: float, seconds: float) -> None:
        pass


class Shortening(AdaptiveLimiter):
    def pause(self, now: float, seconds: float) -> None:
        self._paused_until = now + seconds


class Stubborn(AdaptiveLimiter):
    def on_throttled(self, now: float, *, sent_at: float, retry_after_s: float | None) -> None:
        if retry_after_s is not None:
            self.pause(now, retry_after_s)


class Nervous(AdaptiveLimiter):
    """Cuts at each 429."""

    def on_throttled(self, now: float, *, sent_at: float, retry_after_s: float | None) -> None:
        self._last_cut_at = float("-inf")
        super().on_throttled(now, sent_at=now, retry_after_s=retry_after_s)


class Resigned(AdaptiveLimiter):
    def on_success(self, now: float) -> None:
        pass


class Forgetful(AdaptiveLimiter):
    """A cancelled waiter keeps the lock."""

    async def acquire(self, is_ready: Any = None) -> bool:
        self.join()
        await self._turn.acquire()
        bucket = self._bucket
        assert bucket is not None
        await bucket.acquire()
        self._turn.release()
        return True


class Silent(AdaptiveLimiter):
    def watch(self, observers: Observers) -> None:
        pass


class Crowded(AdaptiveLimiter):
    @property
    def is_slow(self) -> bool:
        return False


class Anywhere(AdaptiveLimiter):
    def join(self) -> None:
        self._loop = asyncio.get_running_loop()


class Spinning(AdaptiveLimiter):
    async def wait_out_pause(self) -> None:
        await asyncio.sleep(0)


class Heedless(AdaptiveLimiter):
    """Gives tokens in a pause to those who were waiting already."""

    async def acquire(self, is_ready: Any = None) -> bool:
        if self.is_paused:
            return await super().acquire(is_ready)
        self.join()
        async with self._turn:
            assert self._bucket is not None
            await self._bucket.acquire()
            return is_ready is None or bool(is_ready())


class Early(AdaptiveLimiter):
    """Asks before the turn."""

    async def acquire(self, is_ready: Any = None) -> bool:
        if is_ready is not None and not is_ready():
            return False
        return await super().acquire(is_ready and (lambda: True))


class Hurried(AdaptiveLimiter):
    def pause(self, now: float, seconds: float) -> None:
        super().pause(now, min(seconds, 0.35))


class Rigid(AdaptiveLimiter):
    """Lets as many come near as at first."""

    def _resize_near(self) -> None:
        pass


class Mean(AdaptiveLimiter):
    async def acquire(self, is_ready: Any = None) -> bool:
        await asyncio.sleep(1e6)
        return True


class Deaf(AdaptiveLimiter):
    """Goes on after a cancellation."""

    async def acquire(self, is_ready: Any = None) -> bool:
        while True:
            try:
                return await super().acquire(is_ready)
            except asyncio.CancelledError:
                await asyncio.sleep(20)


BROKEN = [
    (Spinning, "pauses"),
    (Heedless, "pauses"),
    (Early, "readiness"),
    (Hurried, "pauses"),
    (Rigid, "near_stage"),
    (Mean, "first_come_first_served"),
    (Deaf, "cancellation"),
    (Unlimited, "windows"),
    (Bursting, "windows"),
    (Unfair, "first_come_first_served"),
    (Wasteful, "readiness"),
    (Restless, "pauses"),
    (Shortening, "pauses"),
    (Stubborn, "cuts"),
    (Nervous, "cuts"),
    (Resigned, "recovery"),
    (Forgetful, "cancellation"),
    (Silent, "observers"),
    (Crowded, "near_stage"),
    (Anywhere, "loops"),
]


@pytest.mark.parametrize(("kind", "name"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_limiter_is_found(kind: type[AdaptiveLimiter], name: str) -> None:
    (law,) = (law for law in LIMITER_LAWS if law.__name__ == name)
    run = asyncio.run if name == "loops" else run_virtual
    with pytest.raises(AssertionError):
        run(keep(law, kind))
