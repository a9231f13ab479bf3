"""Tokens and connections: a request waits for its token with a connection only if it is near."""

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sending import GOOD, CountingPacer, Line, Sender, sender
from virtual_loop import run_virtual, worst_window
from wire import CLOSE, HANG, READ, RESET, scripted

from instantly_async import RateLimit, errors
from instantly_async._clock import LoopClock
from instantly_async._http import Response
from instantly_async._http.attempt import Attempt
from instantly_async._http.connection import Connection
from instantly_async._http.pool import Pool
from instantly_async._http.transport import _take_with_token
from instantly_async._pace import AdaptiveLimiter


class DyingPacer(CountingPacer):
    """Before (or after) the token is paid, it waits until the connection in hand is dead."""

    def __init__(self, *, before: bool) -> None:
        super().__init__()
        self.before = before
        self.waits_for: list[Connection] = []

    async def acquire(self, is_ready: Callable[[], bool]) -> bool:
        if self.before:
            await self.wait_for_the_end()
        paid = await super().acquire(is_ready)
        await self.wait_for_the_end()
        return paid

    async def wait_for_the_end(self) -> None:
        while self.waits_for:
            while self.waits_for[-1].is_alive:
                await asyncio.sleep(0)
            self.waits_for.pop()


def connections(s: Sender) -> list[Connection]:
    return list(s.pool._open)


async def test_a_connection_that_dies_in_the_queue_costs_no_token() -> None:
    """It is looked at before the token is paid, and another is taken."""
    pacer = DyingPacer(before=True)
    async with scripted([[READ, GOOD, CLOSE], [READ, GOOD]]) as wire:
        async with sender(wire.url, pacer=pacer) as s:
            await s.send()
            pacer.waits_for = connections(s)
            await s.send()
            assert (pacer.paid, len(s.sent), wire.connections) == (2, 2, 2)


async def test_a_token_outlives_its_connection_if_another_is_idle() -> None:
    class Killer(CountingPacer):
        victim: Connection | None = None

        async def acquire(self, is_ready: Callable[[], bool]) -> bool:
            paid = await super().acquire(is_ready)
            if self.victim is not None:
                self.victim.close()
            return paid

    pacer = Killer()
    async with scripted([[READ, GOOD, READ, GOOD]] * 2) as wire:
        async with sender(wire.url, pacer=pacer) as s:
            await asyncio.gather(s.send(), s.send())
            other, pacer.victim = s.pool._idle
            await s.send()
            assert list(s.pool._idle) == [other]
            assert (pacer.paid, len(s.sent), wire.connections) == (3, 3, 2)


async def test_without_an_idle_one_the_token_is_lost() -> None:
    """If tokens waited for new connections, requests would leave in bursts."""
    pacer = DyingPacer(before=False)
    async with scripted([[READ, GOOD, 0.05, CLOSE], [READ, GOOD]]) as wire:
        async with sender(wire.url, pacer=pacer) as s:
            await s.send()
            pacer.waits_for = connections(s)
            await s.send()
            assert (pacer.paid, len(s.sent), wire.connections) == (3, 2, 2)


@pytest.mark.parametrize("end", [RESET, CLOSE, b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
async def test_a_new_connection_that_ends_unused_is_a_failed_attempt(end: object) -> None:
    """Otherwise a server that accepts and closes at once would keep a run going for ever."""

    class Patient(CountingPacer):
        async def acquire(self, is_ready: Callable[[], bool]) -> bool:
            while is_ready():
                await asyncio.sleep(0)
            return await super().acquire(is_ready)

    pacer = Patient()
    async with scripted([[end, HANG]]) as wire, sender(wire.url, pacer=pacer) as s:  # type: ignore[list-item]
        with pytest.raises(errors.ConnectionFailedError, match="before it was used"):
            await s.send()
        assert (pacer.paid, s.sent, s.pool._open) == (0, [], set())


async def test_cancelled_at_the_limiter_the_connection_goes_back() -> None:
    class NeverPacer(CountingPacer):
        async def acquire(self, is_ready: Callable[[], bool]) -> bool:
            return await asyncio.Event().wait()

    async with scripted([[READ, GOOD]]) as wire, sender(wire.url, pacer=NeverPacer()) as s:
        waiting = asyncio.create_task(s.reply())
        while not (s.connections._pool and s.pool._open):
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(s.pool._idle) == 1
        s.transport._pacer = None
        assert isinstance((await s.reply()).result, Response)
        assert (wire.connections, len(wire.requests)) == (1, 1)


async def test_in_a_pause_nobody_keeps_a_connection() -> None:
    """Those that are near give theirs back, and take one again afterwards."""
    limiter = AdaptiveLimiter(RateLimit(per_second=20, per_minute=1200), rng=lambda: 0.0)
    async with scripted([[READ, GOOD] * 9] * 9) as wire:
        async with sender(wire.url, pacer=limiter) as s:
            requests = [asyncio.create_task(s.send_paced(limiter)) for _ in range(8)]
            while len(s.sent) < 2:
                await asyncio.sleep(0.01)
            limiter.pause(asyncio.get_running_loop().time(), 0.5)
            await asyncio.sleep(0.3)
            assert len(s.pool._idle) == len(s.pool._open) > 0
            await asyncio.gather(*requests)
            gap = max(after - before for before, after in zip(s.sent, s.sent[1:], strict=False))
            assert gap >= 0.5
            assert "0 of" in repr(limiter.near)


async def test_at_a_low_rate_the_token_comes_first() -> None:
    """A connection that waited a second for it could be dead by then."""
    limiter = AdaptiveLimiter(RateLimit(per_second=100, per_minute=180), rng=lambda: 0.0)
    assert limiter.is_slow
    async with scripted([[READ, GOOD] * 9] * 9) as wire:
        async with sender(wire.url, pacer=limiter) as s:
            requests = [asyncio.create_task(s.send_paced(limiter)) for _ in range(3)]
            await asyncio.sleep(0.2)
            assert (len(s.sent), wire.connections) == (2, 2)  # the bucket holds two at first
            assert len(s.pool._idle) == 2
            await asyncio.gather(*requests)
            assert wire.connections == 2


def test_a_pause_that_begins_while_a_connection_opens_is_kept() -> None:
    """At a low rate the token comes first; it is void then."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        limiter = AdaptiveLimiter(RateLimit(per_minute=180), rng=lambda: 0.0)

        async def connect() -> Line:
            await asyncio.sleep(0.5)
            return Line()

        pool = Pool(cast(Any, connect), loop)
        loop.call_at(0.2, limiter.pause, 0.2, 5.0)
        assert (
            await _take_with_token(limiter, pool, Attempt(loop, LoopClock(1)), fresh=False) is None
        )
        assert len(pool._idle) == 1
        await limiter.wait_out_pause()
        assert (
            await _take_with_token(limiter, pool, Attempt(loop, LoopClock(1)), fresh=False)
            is not None
        )
        assert loop.time() >= 5.2

    run_virtual(main())


async def test_few_wait_with_a_connection() -> None:
    """At 40/s ten of a hundred, and those that wait for an answer; the others hold none."""
    limiter = AdaptiveLimiter(RateLimit(per_second=45, per_minute=9999), rng=lambda: 0.0)
    async with scripted([[READ, GOOD] * 99] * 99) as wire:
        async with sender(wire.url, pacer=limiter) as s:
            requests = [asyncio.create_task(s.send_paced(limiter)) for _ in range(100)]
            while len(s.sent) < 40:
                await asyncio.sleep(0.01)
                assert len(s.pool._open) <= 25
            for each in requests:
                each.cancel()
            await asyncio.gather(*requests, return_exceptions=True)
            assert "0 of" in repr(limiter.near)


LIMITS = [RateLimit(), RateLimit(share=0.1), RateLimit(per_minute=180), RateLimit(per_minute=63)]


@settings(max_examples=30)
@given(
    st.sampled_from(LIMITS),
    # Seconds that connecting takes, and until the server ends the connection.
    st.lists(st.floats(0, 3), min_size=1, max_size=9),
    st.lists(
        st.none() | st.floats(0, 2), min_size=1, max_size=9
    ),  # seconds until the server ends it
    st.lists(st.floats(0, 60), max_size=3),  # times of 429s
)
@example(RateLimit(), [0.0, 3.0], [None], [])
@example(RateLimit(per_minute=180), [0.0, 3.0, 0.0], [0.3], [])
def test_no_connections_make_requests_leave_in_a_burst(
    limit: RateLimit,
    connecting_s: list[float],
    ending_s: list[float | None],
    throttled_at: list[float],
) -> None:
    """However long each takes to open, and whenever it ends: both windows hold for what is sent."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        limiter = AdaptiveLimiter(limit, rng=lambda: 0.0)
        sent: list[float] = []
        delays, ends = cycle(connecting_s), cycle(ending_s)

        async def connect() -> Line:
            await asyncio.sleep(next(delays))
            line = Line()
            if (end := next(ends)) is not None:
                loop.call_later(end, line.close)
            return line

        pool = Pool(cast(Any, connect), loop)

        async def work() -> None:
            while loop.time() < 64:
                await limiter.wait_out_pause()
                await limiter.near.enter()
                try:
                    connection = await _take_with_token(
                        limiter, pool, Attempt(loop, LoopClock(1)), fresh=False
                    )
                except errors.ConnectionFailedError:
                    continue
                finally:
                    limiter.near.leave()
                if connection is None:
                    continue
                sent.append(loop.time())
                await asyncio.sleep(0.03)
                pool.answered(connection)
                pool.release(connection)
                limiter.on_success(loop.time())

        for at in throttled_at:
            loop.call_at(at, partial(limiter.on_throttled, at, sent_at=at, retry_after_s=None))
        await asyncio.gather(*(work() for _ in range(40)))
        assert "0 of" in repr(limiter.near)
        return sent

    sent = run_virtual(main())
    assert worst_window(sent, 1.0) <= limit.per_second * limit.share - 1
    # One token may be held while its connection opens, at a rate below 4/s.
    assert worst_window(sent, 60.0) <= limit.per_minute * limit.share - (limit.rate >= 4)
