"""What any ``Limiter`` must keep: functions that raise ``AssertionError`` if one does not.

Each makes limiters of its own and takes up to 3 seconds. They measure when a token was given, so a
busy machine makes them slower, but not fail.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from threading import Thread

from instantly_async.errors import ClosedError
from instantly_async.events import Event, Observers, Paused, RateChanged
from instantly_async.limiters import Limiter
from instantly_async.settings import RateLimit

from .windows import most_in_window

MakeLimiter = Callable[[RateLimit], AbstractAsyncContextManager[Limiter]]
"""Returns an async context manager of a new limiter with this limit, which nobody else uses."""

Law = Callable[[MakeLimiter], Awaitable[None]]

_WAITING = 20  # tasks that wait at once
_SLACK = 2  # tokens by which rounding and a late timer may exceed a window


def _now() -> float:
    return asyncio.get_running_loop().time()


def _rate(limiter: Limiter) -> float:
    assert limiter.rate is not None, "A limiter with a limit has a rate."
    return limiter.rate


async def _saturate(limiter: Limiter, seconds: float) -> list[float]:
    """Let many tasks take tokens for so long; return when they got them."""
    times: list[float] = []

    async def take() -> None:
        while True:
            assert await limiter.acquire(), "acquire() without is_ready must return True."
            times.append(_now())
            limiter.on_success(_now())

    tasks = [asyncio.create_task(take()) for _ in range(_WAITING)]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if result and not isinstance(result, asyncio.CancelledError):
            raise result
    return times


async def windows(make: MakeLimiter) -> None:
    """No window holds more than capacity + rate × seconds, and the rate is used."""
    for limit in (RateLimit(), RateLimit(per_second=100, per_minute=1200), RateLimit(share=0.3)):
        async with make(limit) as limiter:
            times = await _saturate(limiter, 0.9)
        for width_s in (0.2, 0.5, 1.0):
            most = most_in_window(times, width_s)
            allowed = limit.capacity + limit.rate * width_s + _SLACK
            assert most <= allowed, f"{most} tokens in {width_s} s; {allowed:.1f} are allowed."
        assert most_in_window(times, 1.0) <= limit.per_second * limit.share - 1
        assert len(times) >= 0.1 * limit.rate, f"Only {len(times)} tokens in 0.9 s."


async def first_come_first_served(make: MakeLimiter) -> None:
    """Tokens are given in the order in which they were asked for."""
    async with make(RateLimit()) as limiter:
        order: list[int] = []

        async def take(number: int) -> None:
            await limiter.acquire()
            order.append(number)

        tasks = []
        for number in range(30):
            tasks.append(asyncio.create_task(take(number)))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert order == sorted(order), f"The order was {order}."


async def readiness(make: MakeLimiter) -> None:
    """``is_ready`` is asked; if it says no, no token is taken, and the others go on."""
    async with make(RateLimit(per_minute=120)) as limiter:
        began = _now()
        refused = [asyncio.create_task(limiter.acquire(lambda: False)) for _ in range(50)]
        assert not any(await asyncio.gather(*refused)), "A token was given to one who is not ready."
        assert await limiter.acquire(lambda: True)
        assert _now() - began < 20, "Those who were not ready have taken tokens."


async def pauses(make: MakeLimiter) -> None:
    """During a pause no token is given, a caller that may be refused is, and then it goes on."""
    async with make(RateLimit()) as limiter:
        await limiter.acquire()
        began = _now()
        limiter.pause(began, 0.3)
        assert limiter.is_paused
        assert 0.2 < limiter.paused_s(began) <= 0.4
        limiter.pause(began, 0.1)
        assert limiter.paused_s(began) > 0.2, "A shorter pause must not end a longer one."
        assert not await limiter.acquire(lambda: True)
        await limiter.acquire()
        assert _now() - began >= 0.3, "A token was given during a pause."
        assert not limiter.is_paused
        assert limiter.paused_s(_now()) == 0
        await limiter.wait_out_pause()
        later = _now()
        limiter.on_throttled(later, sent_at=began - 60, retry_after_s=0.3)
        await limiter.acquire()
        assert _now() - later >= 0.3, "Retry-After of a 429 was ignored."


async def cuts(make: MakeLimiter) -> None:
    """Cut once after a 429, not after one to an older request, and again after a newer one."""
    async with make(RateLimit()) as limiter:
        await limiter.acquire()
        full, sent_at = _rate(limiter), _now()
        await asyncio.sleep(0.01)
        for _ in range(5):
            limiter.on_throttled(_now(), sent_at=sent_at, retry_after_s=None)
        await limiter.acquire()
        cut, cut_at = _rate(limiter), _now()
        assert 0.5 * full <= cut < full, f"From {full}/s to {cut}/s."
        limiter.on_throttled(_now(), sent_at=sent_at, retry_after_s=None)
        await limiter.acquire()
        assert _rate(limiter) >= cut, "A 429 to a request from before the cut has cut again."
        while _now() < cut_at + 1.2:
            await limiter.acquire()
        before = _rate(limiter)
        limiter.on_throttled(_now(), sent_at=_now() - 0.001, retry_after_s=None)
        await limiter.acquire()
        assert _rate(limiter) < before, "A 429 to a new request must cut again."


async def recovery(make: MakeLimiter) -> None:
    """After a cut the rate rises again, and never above the limit."""
    limit = RateLimit()
    async with make(limit) as limiter:
        await limiter.acquire()
        limiter.on_throttled(_now() + 0.001, sent_at=_now(), retry_after_s=None)
        await limiter.acquire()
        cut = _rate(limiter)
        times = await _saturate(limiter, 1.5)
        assert cut < _rate(limiter) <= limit.rate, f"From {cut}/s to {_rate(limiter)}/s."
        assert most_in_window(times, 1.0) <= limit.per_second - 1


async def cancellation(make: MakeLimiter) -> None:
    """End cancelled waiters at once; the others get their tokens, within the windows."""
    limit = RateLimit()
    async with make(limit) as limiter:
        times: list[float] = []

        async def take() -> None:
            await limiter.acquire()
            times.append(_now())

        for round_ in range(8):
            tasks = [asyncio.create_task(take()) for _ in range(12)]
            await asyncio.sleep(0.004 * round_)
            for task in tasks[round_ % 3 :: 3]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            wrong = [r for r in results if r and not isinstance(r, asyncio.CancelledError)]
            assert not wrong, f"A waiter ended with {wrong[0]!r}."
        assert len(times) >= 8 * 8, "A waiter that was not cancelled got no token."
        assert most_in_window(times, 1.0) <= limit.per_second - 1


async def observers(make: MakeLimiter) -> None:
    """Those who watch are told of pauses and of changes of the rate, with the limiter's number."""
    events: list[Event] = []
    told = Observers(events.append)
    async with make(RateLimit()) as limiter, make(RateLimit()) as other:
        assert limiter.number != other.number
        limiter.watch(told)
        await limiter.acquire()
        limiter.pause(_now(), 0.05)
        limiter.on_throttled(_now(), sent_at=_now() - 0.001, retry_after_s=None)
        await limiter.acquire()
        assert limiter.limit is not None
        limiter_events = [e for e in events if isinstance(e, Paused | RateChanged)]
        assert {type(event) for event in limiter_events} == {Paused, RateChanged}
        assert {event.limiter for event in limiter_events} == {limiter.number}
        changes = [e for e in limiter_events if isinstance(e, RateChanged)]
        assert changes[0].reason == "throttled"
        assert changes[0].rate < changes[0].limit == limiter.limit.rate


async def near_stage(make: MakeLimiter) -> None:
    """``near`` has a place, also when the rate is low; then tokens come before connections."""
    async with make(RateLimit()) as limiter:
        assert not limiter.is_slow
        assert limiter.near.size >= 2
    async with make(RateLimit(per_minute=60)) as limiter:
        assert limiter.is_slow
        assert limiter.near.size == 1


async def loops(make: MakeLimiter) -> None:
    """Refuse another event loop while the first is open."""
    raised: list[BaseException] = []
    async with make(RateLimit()) as limiter:
        limiter.join()
        await limiter.acquire()

        async def join_elsewhere() -> None:
            try:
                limiter.join()
            except ClosedError as error:
                raised.append(error)

        thread = Thread(target=asyncio.run, args=(join_elsewhere(),))
        thread.start()
        await asyncio.to_thread(thread.join)
        await limiter.acquire()
    assert raised, "join() in a second loop must raise ClosedError."


LIMITER_LAWS: tuple[Law, ...] = (
    windows,
    first_come_first_served,
    readiness,
    pauses,
    cuts,
    recovery,
    cancellation,
    observers,
    near_stage,
    loops,
)
"""The laws of ``Limiter``, each a coroutine function of ``MakeLimiter``; for parametrized tests."""
