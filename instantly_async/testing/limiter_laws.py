"""What any ``Limiter`` must keep: functions that raise ``AssertionError`` if one does not.

Each makes limiters of its own and takes up to 3 seconds. They measure when a token was given, so a
busy machine makes them slower, but not fail.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import wraps
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
_END_S = 5.0  # in which a cancelled waiter has ended
_LONGEST_S = 60.0  # that a law may take
_SLACK = 2  # tokens by which rounding and a late timer may exceed a window


def _now() -> float:
    return asyncio.get_running_loop().time()


def _require(truth: bool, sentence: str) -> None:  # noqa: FBT001 - not an assert, which -O removes
    if not truth:
        raise AssertionError(f"{sentence}.")


def _require_below(times: list[float], limit: RateLimit) -> None:
    most = most_in_window(times, 1.0)
    _require(most <= limit.per_second * limit.share - 1, f"{most} tokens in a second")


def _law(check: Law) -> Law:
    """Let a check fail that would wait for ever."""

    @wraps(check)
    async def law(make: MakeLimiter) -> None:
        try:
            async with asyncio.timeout(_LONGEST_S):
                await check(make)
        except TimeoutError:
            raise AssertionError("A token was never given, or a call has not returned.") from None

    return law


def _rate(limiter: Limiter) -> float:
    rate = limiter.rate
    if rate is None:
        raise AssertionError("A limiter with a limit must have a rate.")
    return rate


async def _saturate(limiter: Limiter, seconds: float) -> list[float]:
    """Let many tasks take tokens for so long; return when they got them."""
    times: list[float] = []

    async def take() -> None:
        while True:
            taken = await limiter.acquire()
            _require(taken, "acquire() without is_ready must return True")
            times.append(_now())
            limiter.on_success(_now())

    tasks = [asyncio.create_task(take()) for _ in range(_WAITING)]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks:
        task.cancel()
    ended, left = await asyncio.wait(tasks, timeout=_END_S)
    _require(not left, "A waiter that is cancelled must end")
    for task in ended:
        if not task.cancelled():
            task.result()
    return times


async def windows(make: MakeLimiter) -> None:
    """No window holds more than capacity + rate × seconds, and the rate is used."""
    for limit in (RateLimit(), RateLimit(per_second=100, per_minute=1200), RateLimit(share=0.3)):
        async with make(limit) as limiter:
            times = await _saturate(limiter, 0.9)
        for width_s in (0.2, 0.5, 1.0):
            most = most_in_window(times, width_s)
            allowed = limit.capacity + limit.rate * width_s + _SLACK
            _require(most <= allowed, f"{most} tokens in {width_s} s; {allowed:.1f} are allowed")
        _require_below(times, limit)
        _require(len(times) >= 0.1 * limit.rate, f"Only {len(times)} tokens in 0.9 s")


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
        _require(order == sorted(order), f"The order was {order}")


async def readiness(make: MakeLimiter) -> None:
    """Ask ``is_ready`` at the caller's turn; if it says no, no token is taken."""
    async with make(RateLimit(per_minute=120)) as limiter:
        began = _now()
        refused = [asyncio.create_task(limiter.acquire(lambda: False)) for _ in range(50)]
        taken = await asyncio.gather(*refused)
        _require(not any(taken), "A token was given to one who is not ready")
        _require(await limiter.acquire(lambda: True), "One who is ready must get a token")
        _require(_now() - began < 20, "Those who were not ready have taken tokens")
        order: list[str] = []

        async def take() -> None:
            await limiter.acquire()
            order.append("a token")

        def is_ready() -> bool:
            order.append("is_ready")
            return True

        earlier = [asyncio.create_task(take()) for _ in range(3)]  # more than a burst
        await asyncio.sleep(0)
        await limiter.acquire(is_ready)
        await asyncio.gather(*earlier)
        _require(order[-1] == "is_ready", "is_ready was asked before its turn")


async def pauses(make: MakeLimiter) -> None:
    """Give nothing during a pause, refuse callers that may be refused, and then go on."""
    async with make(RateLimit()) as limiter:
        await limiter.acquire()
        began = _now()
        limiter.pause(began, 0.6)
        _require(limiter.is_paused, "is_paused must be true in a pause")
        _require(0.5 < limiter.paused_s(began) <= 0.7, "paused_s must be the length of the pause")
        limiter.pause(began, 0.1)
        _require(limiter.paused_s(began) > 0.5, "A shorter pause must not end a longer one")
        _require(not await limiter.acquire(lambda: True), "A caller with is_ready must be refused")
        await limiter.wait_out_pause()
        _require(_now() - began >= 0.6, "wait_out_pause has returned in the pause")
        _require(not limiter.is_paused, "is_paused must be false after the pause")
        _require(limiter.paused_s(_now()) == 0, "paused_s must be 0 after the pause")
    async with make(RateLimit()) as limiter:
        await limiter.acquire()
        times: list[float] = []

        async def take() -> None:
            await limiter.acquire()
            times.append(_now())

        waiting = [asyncio.create_task(take()) for _ in range(_WAITING)]
        await asyncio.sleep(0.03)
        began = _now()
        limiter.on_throttled(began, sent_at=began - 60, retry_after_s=0.3)
        await asyncio.gather(*waiting)
        early = [time for time in times if began < time < began + 0.3]
        _require(not early, "A token was given in a pause that Retry-After asked for")


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
        _require(0.5 * full <= cut < full, f"A 429 has changed the rate from {full} to {cut}/s")
        limiter.on_throttled(_now(), sent_at=sent_at, retry_after_s=None)
        await limiter.acquire()
        _require(_rate(limiter) >= cut, "A 429 to a request from before the cut has cut again")
        while _now() < cut_at + 1.2:
            await limiter.acquire()
        before = _rate(limiter)
        limiter.on_throttled(_now(), sent_at=_now() - 0.001, retry_after_s=None)
        await limiter.acquire()
        _require(_rate(limiter) < before, "A 429 to a new request must cut again")


async def recovery(make: MakeLimiter) -> None:
    """After a cut the rate rises again within 1.5 s, and never above the limit."""
    limit = RateLimit()
    async with make(limit) as limiter:
        await limiter.acquire()
        limiter.on_throttled(_now() + 0.001, sent_at=_now(), retry_after_s=None)
        await limiter.acquire()
        cut = _rate(limiter)
        times = await _saturate(limiter, 1.5)
        rate = _rate(limiter)
        _require(cut < rate <= limit.rate, f"After 1.5 s, the rate is {rate}/s; it was {cut}/s")
        _require_below(times, limit)


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
            _, left = await asyncio.wait(tasks, timeout=_END_S)
            _require(not left, "A waiter has not ended")
            for task in tasks:
                if not task.cancelled():
                    task.result()
        _require(len(times) >= 8 * 8, "A waiter that was not cancelled got no token")
        _require_below(times, limit)


async def observers(make: MakeLimiter) -> None:
    """Those who watch are told of pauses and of changes of the rate, with the limiter's number."""
    events: list[Event] = []
    told = Observers(events.append)
    async with make(RateLimit()) as limiter, make(RateLimit()) as other:
        _require(limiter.number != other.number, "Each limiter must have a number of its own")
        limiter.watch(told)
        await limiter.acquire()
        limiter.pause(_now(), 0.05)
        limiter.on_throttled(_now(), sent_at=_now() - 0.001, retry_after_s=None)
        await limiter.acquire()
        pauses_told = [event for event in events if isinstance(event, Paused)]
        changes = [event for event in events if isinstance(event, RateChanged)]
        _require(bool(pauses_told), "Those who watch must be told of a pause")
        _require(bool(changes), "Those who watch must be told of a cut")
        numbers = {each.limiter for each in pauses_told} | {each.limiter for each in changes}
        _require(numbers == {limiter.number}, "Events must have the limiter's number")
        cut = changes[0]
        _require(cut.reason == "throttled", "The reason of a cut is throttled")
        _require(cut.rate < cut.limit == RateLimit().rate, f"A cut was told as {cut}")


async def near_stage(make: MakeLimiter) -> None:
    """``near`` has a quarter of a second's places, and one if tokens come before connections."""
    async with make(RateLimit()) as limiter:
        _require(not limiter.is_slow, "95/s are not slow")
        _require(limiter.near.size >= 2, "At 95/s, two or more may be near")
        full = limiter.near.size
        for _ in range(3):
            limiter.on_throttled(_now(), sent_at=_now() - 0.001, retry_after_s=None)
            await limiter.acquire()
            await asyncio.sleep(1.0)
        _require(limiter.near.size < full, "near must become smaller after cuts")
    async with make(RateLimit(per_minute=60)) as limiter:
        _require(limiter.is_slow, "One in a second is slow")
        _require(limiter.near.size == 1, "If it is slow, only one may be near")


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
    _require(bool(raised), "join() in a second loop must raise ClosedError")


LIMITER_LAWS: tuple[Law, ...] = tuple(
    map(
        _law,
        (
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
        ),
    )
)
"""The laws of ``Limiter``, each a coroutine function of ``MakeLimiter``; for parametrized tests."""
