"""The sweep over deadlines, and the clock that leaves blocked time out. On a virtual clock."""

import asyncio
from typing import Any, cast

import pytest
from sending import Line, get
from virtual_loop import VirtualLoop, block, virtual

from instantly_async import RequestTimeoutError
from instantly_async._clock import LONG_BLOCK_S, LoopClock
from instantly_async._http.attempt import Attempt, InFlight

READ_S = 2.0
TOTAL_S = 6.0
LATE_S = 0.26
"""What two sweeps take."""


def time() -> float:
    return asyncio.get_running_loop().time()


class Exchange:
    """One attempt of a task of its own, whose answer is a future."""

    def __init__(self, in_flight: InFlight, *, read_s: float = READ_S) -> None:
        loop = asyncio.get_running_loop()
        self.parts: asyncio.Queue[bool] = asyncio.Queue()
        self.attempt: Attempt | None = None
        self.ended_at = 0.0
        self._in_flight = in_flight
        self._request = get(read_s=read_s, total_s=TOTAL_S)
        self.task = loop.create_task(self._run())

    async def _run(self) -> str:
        attempt = self.attempt = self._in_flight.begin(asyncio.get_running_loop())
        try:
            attempt.begin(cast(Any, Line()), self._request)
            while not await self.parts.get():
                attempt.note_progress()
        except asyncio.CancelledError:
            assert isinstance(attempt.aborted(), RequestTimeoutError)
            return "timed out"
        else:
            return "answered"
        finally:
            self._in_flight.end(attempt)
            self.ended_at = time()


@virtual
async def test_silence_ends_in_about_its_timeout() -> None:
    exchange = Exchange(InFlight(READ_S))
    assert await exchange.task == "timed out"
    assert READ_S <= exchange.ended_at <= READ_S + LATE_S


@virtual
async def test_the_total_ends_what_progresses_slowly() -> None:
    exchange = Exchange(InFlight(READ_S))
    while not exchange.task.done():
        exchange.parts.put_nowait(item=False)
        await asyncio.sleep(0.5)
    assert await exchange.task == "timed out"
    assert TOTAL_S <= exchange.ended_at <= TOTAL_S + LATE_S


@pytest.mark.parametrize("before_s", [0.0, 1.0, 1.9])
def test_an_answer_that_arrived_in_a_block_is_read(before_s: float) -> None:
    """Also if the task needs some turns of the loop to read it, and another block follows."""

    async def main() -> None:
        exchange = Exchange(InFlight(READ_S))
        await asyncio.sleep(before_s)
        for _ in range(3):
            block(200.0)
            await asyncio.sleep(0)
        exchange.parts.put_nowait(item=False)
        block(200.0)
        await asyncio.sleep(1.0)
        exchange.parts.put_nowait(item=True)
        assert await exchange.task == "answered"
        assert exchange.attempt is not None
        assert exchange.attempt.spent_s < before_s + 2.0
        assert exchange.attempt.was_blocked

    virtual(main)()


@pytest.mark.parametrize("before_s", [0.1, 1.9])
def test_silence_after_a_block_still_times_out(before_s: float) -> None:
    """Of requests before the block, and of those that begin before the next tick."""

    async def main() -> None:
        in_flight = InFlight(READ_S)
        early = Exchange(in_flight)
        await asyncio.sleep(before_s)
        block(200.0)
        late = Exchange(in_flight)
        assert await early.task == await late.task == "timed out"
        assert early.ended_at <= 200 + READ_S + 2 * LATE_S
        assert 200 + before_s + READ_S <= late.ended_at <= 200 + before_s + READ_S + 2 * LATE_S

    virtual(main)()


@virtual
async def test_a_loop_that_is_blocked_all_the_time_still_judges() -> None:
    exchange = Exchange(InFlight(READ_S))
    while not exchange.task.done():
        block(0.3)
        await asyncio.sleep(0)
        assert time() < 60
    assert await exchange.task == "timed out"


@virtual
async def test_connecting_has_its_deadline_in_the_same_sweep() -> None:
    in_flight = InFlight(READ_S)
    attempt = in_flight.begin(asyncio.get_running_loop())
    with pytest.raises(TimeoutError):
        with in_flight.connecting(3.0):
            block(200.0)
            await asyncio.sleep(30.0)
    assert 203 - LATE_S <= time() <= 203 + LATE_S
    with in_flight.connecting(3.0):
        await asyncio.sleep(1.0)
    in_flight.end(attempt)


@virtual
async def test_connecting_may_be_cancelled() -> None:
    in_flight = InFlight(READ_S)

    async def connect() -> None:
        attempt = in_flight.begin(asyncio.get_running_loop())
        try:
            with in_flight.connecting(3.0):
                await asyncio.sleep(30.0)
        finally:
            in_flight.end(attempt)

    task = asyncio.create_task(connect())
    await asyncio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@virtual
async def test_the_sweep_ends_with_the_last_attempt() -> None:
    exchange = Exchange(InFlight(READ_S))
    exchange.parts.put_nowait(item=True)
    await exchange.task
    await asyncio.sleep(1.0)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    assert loop.pending_timers == 0


@virtual
async def test_the_clock_leaves_out_what_its_ticks_are_late() -> None:
    loop = asyncio.get_running_loop()
    clock = LoopClock(0.5)
    assert not clock.is_running
    clock.start(loop)
    await asyncio.sleep(1.0)
    assert clock.now(time()) == pytest.approx(1.0, abs=0.001)
    block(10.0)
    standing = clock.now(time())
    assert 1.0 <= standing < 1.6
    await asyncio.sleep(0.01)
    assert clock.long_blocks == 1
    assert clock.now(time()) == pytest.approx(standing + 0.01, abs=0.001)
    block(0.5 + LONG_BLOCK_S / 2)
    await asyncio.sleep(2.0)
    assert clock.long_blocks == 1
    clock.stop()
    clock.stop()
