"""``RemoteLimiter`` in virtual time: moments that are missed, outages, and the way back."""

import asyncio
import logging
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import pytest
from shared_limits import LocalLimiter
from virtual_loop import block, run_virtual, worst_window

from instantly_async import ClosedError, ConfigurationError, RateLimit
from instantly_async._pace import Ledger
from instantly_async.events import Event, Observers, Paused, RateChanged


def now() -> float:
    return asyncio.get_running_loop().time()


async def take(limiter: LocalLimiter, seconds: float) -> list[float]:
    times = []
    until = now() + seconds
    while now() < until:
        assert await limiter.acquire()
        times.append(now())
    return times


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    run_virtual(coroutine)


def test_processes_share_the_rate_evenly() -> None:
    """Four that always want more get a quarter each, and all but nothing of the rate is lost."""

    async def main() -> None:
        ledger = Ledger()
        limiters = [LocalLimiter(ledger=ledger, delay_s=0.001 * (n + 1)) for n in range(4)]
        each = await asyncio.gather(*(take(limiter, 61.0) for limiter in limiters))
        times = sorted(time for times in each for time in times)
        assert len(times) >= 94 * 60
        assert all(len(times) >= 60 * 95 / 4 * 0.95 for times in each)
        assert worst_window(times, 1.0) <= 99
        assert worst_window(times, 60.0) <= 5999
        # Each waits for four intervals, so a quarter as many hold a connection.
        assert {limiter.near.size for limiter in limiters} <= {5, 6}
        assert not any(limiter.is_slow for limiter in limiters)

    run(main())


def test_a_moment_that_is_missed_is_dropped() -> None:
    """The loop was blocked for more than 20 ms: it is for nobody, and a new one is asked for."""

    async def main() -> None:
        limiter = LocalLimiter()
        await take(limiter, 0.1)
        task = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0.001)
        asked = len(limiter.asked)
        block(0.3)
        assert await task
        assert len(limiter.asked) == asked + 1
        assert limiter.asked[-1] == "reserve"

    run(main())


def test_an_answer_that_was_held_up_is_dropped() -> None:
    """Not if all answers take as long, since then moments are only shifted."""

    async def main() -> None:
        far = LocalLimiter(delay_s=0.08)
        await take(far, 2.0)
        assert len(far.asked) == 22
        limiter = LocalLimiter(delay_s=0.001)
        await take(limiter, 1.0)
        limiter.asked.clear()
        limiter.delay_s = 0.05
        task = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0.01)
        limiter.delay_s = 0.001
        await task
        assert limiter.asked == ["reserve", "reserve"]
        # If the way stays longer, it does not stand still until that is the usual delay.
        limiter.delay_s = 0.05
        times = await take(limiter, 4.0)
        assert max(b - a for a, b in pairwise(times)) < 0.4
        assert len(times) > 60

    run(main())


def test_a_cancelled_waiter_leaves_its_moment_to_the_next() -> None:
    async def main() -> None:
        limiter = LocalLimiter(RateLimit(per_minute=600))
        await take(limiter, 0.3)
        limiter.asked.clear()
        first = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0.02)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await limiter.acquire()
        assert limiter.asked == ["reserve"]

    run(main())


# --- outages ---


def test_an_outage_of_all_keeps_within_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    """Each falls back on a tenth; one warning each; on return nobody sends before all know."""
    caplog.set_level(logging.INFO)

    async def main() -> None:
        limiters = [LocalLimiter(ledger=Ledger(), delay_s=0.001) for _ in range(4)]
        for limiter in limiters[1:]:
            limiter.ledger = limiters[0].ledger
        tasks = [asyncio.create_task(take(limiter, 30.0)) for limiter in limiters]
        await asyncio.sleep(10.0)
        for limiter in limiters:
            limiter.error = ConnectionError("no route")
        await asyncio.sleep(10.0)
        assert [limiter.rate for limiter in limiters] == [9.5] * 4
        lost = Ledger()  # it was restarted
        for limiter in limiters:
            limiter.ledger, limiter.error = lost, None
        times = sorted(time for times in await asyncio.gather(*tasks) for time in times)
        assert worst_window(times, 1.0) <= 99
        outage = [time for time in times if 10.2 < time < 20.0]
        assert 4 * 9.5 * 9.8 * 0.9 < len(outage) < 4 * 9.5 * 9.8 + 4
        after = [time for time in times if time > 22.0]
        assert len(after) > 8 * 93
        assert not [time for time in times if 20.6 < time < 21.0]

    run(main())
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    message = (
        "The shared limit of a test cannot be reached (ConnectionError: no route); until it can, "
        "this process sends at most 9.5/s"
    )
    assert [record.getMessage() for record in warnings] == [message] * 4
    assert sum("can be reached again" in record.getMessage() for record in caplog.records) == 4


def test_a_ledger_that_never_answers_is_unreachable() -> None:
    """After some time the process goes on alone, and looks twice a second."""

    async def main() -> None:
        limiter = LocalLimiter(delay_s=1e6)
        began = now()
        assert await limiter.acquire()
        assert 3.0 <= now() - began < 3.2  # the first call has to connect
        limiter.asked.clear()
        times = await take(limiter, 3.0)
        assert 24 <= len(times) <= 30
        assert limiter.asked in (["look"] * 5, ["look"] * 6)
        limiter.delay_s = 0.001
        await take(limiter, 3.0)
        assert limiter.rate == 95.0  # whatever becomes of the looks before
        assert not limiter._probes
        await limiter.aclose()

    run(main())


def test_nobody_who_waits_means_no_look() -> None:
    async def main() -> None:
        limiter = LocalLimiter()
        limiter.error = OSError("gone")
        assert await limiter.acquire()
        asked = len(limiter.asked)
        await asyncio.sleep(60.0)
        assert len(limiter.asked) <= asked + 1

    run(main())


def test_what_the_api_says_in_an_outage_is_told_later() -> None:
    """429s cut this process; a pause that is left at the return is for all."""

    async def main() -> None:
        ledger = Ledger()
        told: list[Event] = []
        limiter, other = LocalLimiter(ledger=ledger), LocalLimiter(ledger=ledger)
        await asyncio.gather(limiter.acquire(), other.acquire())
        observers = Observers(told.append)
        limiter.watch(observers)
        limiter.error = ConnectionError()
        assert await limiter.acquire()
        limiter.on_throttled(now(), sent_at=now() - 0.01, retry_after_s=None)
        assert limiter.rate == pytest.approx(7.6)
        assert limiter.is_paused
        limiter.on_success(now() + 20)
        assert limiter.rate == 9.5
        assert await limiter.acquire()
        limiter.pause(now(), 3.0)
        limiter.error = None
        await asyncio.sleep(0.6)
        limiter._probe_in_time()
        await asyncio.sleep(0.01)
        assert limiter.rate == 95.0
        assert not await other.acquire(lambda: True)
        assert 2.0 < other.paused_s(now()) <= 3.0
        changes = [event.reason for event in told if isinstance(event, RateChanged)]
        assert changes == ["fallback", "throttled", "recovering", "recovering"]
        assert any(isinstance(event, Paused) for event in told)

    run(main())


def test_a_429_of_one_cuts_and_pauses_all() -> None:
    """A dozen 429s at once are one report, and one cut."""

    async def main() -> None:
        ledger = Ledger()
        limiter, other = LocalLimiter(ledger=ledger), LocalLimiter(ledger=ledger)
        await asyncio.gather(limiter.acquire(), other.acquire())
        sent_at = now()
        await asyncio.sleep(0.02)
        for _ in range(12):
            limiter.on_throttled(now(), sent_at=sent_at, retry_after_s=None)
        assert await limiter.acquire()
        assert limiter.asked.count("throttled") == 1
        assert limiter.rate == pytest.approx(76.0, abs=0.5)
        assert await other.acquire()
        assert other.rate == pytest.approx(76.0, abs=0.5)
        times = await asyncio.gather(take(limiter, 12.0), take(other, 12.0))
        assert limiter.rate == other.rate == 95.0
        assert worst_window(sorted(times[0] + times[1]), 1.0) <= 99

    run(main())


@pytest.mark.parametrize("share", [1.0, 0.5, 0.2, 0.05])
def test_any_share_survives_an_outage(share: float) -> None:
    """Alone it has a tenth of the rate, however low, and soon notices the end of the outage."""

    async def main() -> None:
        limit = RateLimit(share=share)
        limiter = LocalLimiter(limit)
        limiter.error = ConnectionError()
        times = await take(limiter, 60.0)
        assert limiter.rate == pytest.approx(max(0.1, limit.rate / 10))
        assert len(times) == pytest.approx(60 * limiter.rate, abs=2)
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        limiter.error = None
        await asyncio.sleep(1.1)
        assert limiter.rate == limit.rate
        assert await waiting

    run(main())


def test_many_429s_with_retry_after_are_few_reports() -> None:
    async def main() -> None:
        limiter = LocalLimiter()
        await limiter.acquire()
        for _ in range(200):
            limiter.on_throttled(now(), sent_at=now() - 0.01, retry_after_s=2.0)
        assert len(limiter._reports) == 2
        assert await limiter.acquire()
        assert now() >= 2.0

    run(main())


def test_a_reservation_that_was_cancelled_from_outside_is_made_again() -> None:
    async def main() -> None:
        limiter = LocalLimiter(delay_s=0.1)
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0.01)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.wait([waiting])
        assert await limiter.acquire()

    run(main())


# --- the end, and what is refused ---


def test_closed_is_closed() -> None:
    async def main() -> None:
        limiter = LocalLimiter(delay_s=0.1)
        waiters = [asyncio.create_task(limiter.acquire()) for _ in range(2)]
        await asyncio.sleep(0.01)
        limiter.pause(now(), 0.01)
        await limiter.aclose()
        await limiter.aclose()
        ends = await asyncio.gather(*waiters, return_exceptions=True)
        assert ends[0] is True
        assert isinstance(ends[1], ClosedError)
        with pytest.raises(ClosedError, match="limiter is closed"):
            await limiter.acquire()

    run(main())


@pytest.mark.parametrize("share", [0, -1, 1.1, float("nan"), "x", None])
def test_a_wrong_share_is_refused(share: Any) -> None:
    class Other(LocalLimiter):
        def __init__(self) -> None:
            super(LocalLimiter, self).__init__(RateLimit(), share)

    with pytest.raises(ConfigurationError, match="fallback_share must be a number above 0"):
        Other()


def test_no_limit_cannot_be_shared() -> None:
    with pytest.raises(ConfigurationError, match="limit must be RateLimit; NoneType is not"):
        LocalLimiter(None)  # type: ignore[arg-type]
