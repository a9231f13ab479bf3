"""The limiter's laws, in virtual time: hours of pacing without a real second."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from virtual_loop import StuckError, block, run_virtual, worst_window

from instantly_async._pace import AdaptiveLimiter
from instantly_async._pace.cubic import LOWEST_RATE
from instantly_async.settings import RateLimit


def no_jitter() -> float:
    return 0.0


def make_limiter(limit: RateLimit | None = RateLimit()) -> AdaptiveLimiter:
    return AdaptiveLimiter(limit, rng=no_jitter)


def time() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Grants:
    """What the limiter let through: when, to whom, and whether it should have."""

    limiter: AdaptiveLimiter
    times: list[float] = field(default_factory=list)
    tickets: list[int] = field(default_factory=list)
    during_pause: int = 0

    async def take(self, ticket: int = 0) -> None:
        await self.limiter.acquire()
        now = time()
        self.times.append(now)
        self.tickets.append(ticket)
        self.during_pause += self.limiter.paused_s(now) > 0

    def assert_within(self, limit: RateLimit) -> None:
        assert worst_window(self.times, 1.0) <= limit.per_second * limit.share - 1
        assert worst_window(self.times, 60.0) <= limit.per_minute * limit.share - 1


async def saturate(limiter: AdaptiveLimiter, seconds: float) -> Grants:
    grants = Grants(limiter)

    async def taker() -> None:
        while time() < seconds:
            await grants.take()

    await asyncio.gather(*(taker() for _ in range(20)))
    return grants


# --- the two windows ---


def test_under_saturation_both_windows_hold_and_nearly_all_is_used() -> None:
    """At most 97 in any second and 5,702 in any minute; at least 94.9 a second on average."""
    grants = run_virtual(saturate(make_limiter(), 130.0))
    assert worst_window(grants.times, 1.0) <= 97
    assert worst_window(grants.times, 60.0) <= 5702
    assert len(grants.times) / 130.0 >= 94.9


def test_half_a_share_is_half_the_rate() -> None:
    limit = RateLimit(share=0.5)
    grants = run_virtual(saturate(make_limiter(limit), 65.0))
    assert worst_window(grants.times, 1.0) <= 49
    assert worst_window(grants.times, 60.0) <= 2999
    assert len(grants.times) / 65.0 >= 46.9


LIMITS = [RateLimit(), RateLimit(share=0.5), RateLimit(per_second=30, per_minute=300)]
SECONDS = st.floats(0, 3)
STEPS = st.lists(
    st.tuples(st.just("arrive"), st.integers(1, 150))
    | st.tuples(st.just("wait"), SECONDS | st.sampled_from([0.0, 1e-3, 0.01, 1.0, 20.0]))
    | st.tuples(st.just("cancel"), st.lists(st.floats(0, 1), min_size=1, max_size=30))
    | st.tuples(st.just("429"), SECONDS, st.none() | SECONDS)
    | st.tuples(st.just("successes"), st.integers(1, 20)),
    min_size=1,
    max_size=25,
)


@dataclass
class Play:
    """Plays a script of arrivals, waits, cancellations, 429s and successes."""

    limiter: AdaptiveLimiter
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self, steps: Sequence[tuple[Any, ...]]) -> tuple[Grants, int]:
        """Return the grants, and how many were requested and not cancelled."""
        grants = Grants(self.limiter)
        for step in steps:
            await self.take_step(grants, *step)
            limit, rate = self.limiter.limit, self.limiter.rate
            if limit is not None and rate is not None:
                assert min(LOWEST_RATE, limit.rate) <= rate <= limit.rate
        results = await asyncio.gather(*self.tasks, return_exceptions=True)
        assert all(r is None or isinstance(r, asyncio.CancelledError) for r in results)
        return grants, sum(result is None for result in results)

    async def take_step(self, grants: Grants, what: str, *values: Any) -> None:
        match what, *values:
            case "arrive", count:
                tickets = range(len(self.tasks), len(self.tasks) + count)
                self.tasks += [asyncio.create_task(grants.take(ticket)) for ticket in tickets]
            case "wait", seconds:
                await asyncio.sleep(seconds)
            case "cancel", picks:
                pending = [task for task in self.tasks if not task.done()]
                for pick in picks if pending else []:
                    pending[int(pick * (len(pending) - 1))].cancel()
            case "429", age, asked_s:
                now = time()
                self.limiter.on_throttled(now, sent_at=now - age, retry_after_s=asked_s)
            case "successes", count:
                for _ in range(count):
                    self.limiter.on_success(time())
                    await asyncio.sleep(1.0)


def play(
    steps: Sequence[tuple[Any, ...]],
    limit: RateLimit | None = RateLimit(),
) -> tuple[Grants, int]:
    return run_virtual(Play(make_limiter(limit)).run(steps))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(limit=st.sampled_from(LIMITS), steps=STEPS)
@example(RateLimit(), [("arrive", 150), ("wait", 1.0), ("successes", 1)] * 8)
@example(RateLimit(), [("arrive", 150), ("429", 0.0, None), ("successes", 3)] * 6)
@example(RateLimit(), [("arrive", 150), ("wait", 0.01), ("cancel", [0.0] * 30)] * 8)
def test_no_pattern_breaks_the_laws(limit: RateLimit, steps: list[tuple[Any, ...]]) -> None:
    """Bursts, gaps, cancelled waiters, cuts, rises, pauses: windows, order and pauses hold.

    Each waiter that is not cancelled is granted exactly once.
    """
    grants, asked = play(steps, limit)
    grants.assert_within(limit)
    assert grants.tickets == sorted(set(grants.tickets))
    assert len(grants.tickets) == asked
    assert grants.during_pause == 0


def test_changing_rates_do_not_add_up_to_a_burst() -> None:
    """A new bucket is emptied before use; a full one at each change gave 108 in a window."""
    steps: list[tuple[Any, ...]] = [("429", 0.0, None)]
    steps += [("arrive", 100), ("successes", 1)] * 40
    grants, _ = play(steps)
    assert worst_window(grants.times, 1.0) <= 99
    assert grants.limiter.rate == 95.0


def test_a_loop_that_was_blocked_sends_no_burst() -> None:
    """Those who wait meanwhile do not get the tokens of that time."""

    async def main() -> None:
        grants = Grants(make_limiter())
        waiting = [asyncio.create_task(grants.take()) for _ in range(500)]
        for _ in range(4):
            await asyncio.sleep(1.0)
            block(60.0)
        await asyncio.wait(waiting)
        grants.assert_within(RateLimit())

    run_virtual(main())


# --- first come, first served ---


def test_waiters_go_in_order_of_arrival() -> None:
    grants, _ = play([("arrive", 50), ("wait", 0.1)] * 4)
    assert grants.tickets == list(range(200))


def test_cancelled_waiters_lose_nobody_a_turn() -> None:
    """Those behind move up as if the cancelled ones had never queued."""
    steps = [("arrive", 150), ("wait", 0.001), ("cancel", [i / 400 for i in range(1, 400)])]
    grants, asked = play(steps)
    alone, _ = play([("arrive", asked)])
    assert 2 <= asked < 75
    assert grants.times == pytest.approx(alone.times, abs=0.002)


def test_a_waiter_cancelled_as_its_turn_comes_passes_it_on() -> None:
    """At every moment around the refill; the next one loses nothing but its own wait."""

    async def main(cancel_at: float) -> float:
        grants = Grants(make_limiter())
        for _ in range(2):
            await grants.take()
        first, second = (asyncio.create_task(grants.take(ticket)) for ticket in (1, 2))
        asyncio.get_running_loop().call_at(cancel_at, first.cancel)
        await asyncio.wait([first, second])
        assert second.exception() is None
        return grants.times[-1]

    refill = 1 / 95
    for microseconds in range(-20, 21):
        granted_at = run_virtual(main(refill + microseconds * 1e-6))
        assert granted_at <= 2 * refill + 1e-4


# --- pauses ---


def test_a_pause_holds_everything_and_then_lets_go() -> None:
    async def main() -> None:
        grants = Grants(make_limiter())
        tasks = [asyncio.create_task(grants.take()) for _ in range(10)]
        await asyncio.sleep(0.02)
        before = len(grants.times)
        assert 2 <= before < 10
        grants.limiter.pause(time(), 5.0)
        assert grants.limiter.paused_s(time()) == 5.0
        await asyncio.gather(*tasks)
        assert grants.times[before] == pytest.approx(5.02, abs=0.001)
        assert grants.limiter.paused_s(time()) == 0.0

    run_virtual(main())


def test_the_longer_pause_counts() -> None:
    """Also when it comes while somebody already waits for the shorter."""

    async def main() -> None:
        limiter = make_limiter()
        limiter.pause(0.0, 4.0)
        limiter.pause(0.0, 1.0)
        assert limiter.paused_s(0.0) == 4.0
        waiting = asyncio.create_task(limiter.wait_out_pause())
        acquiring = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(2.0)
        limiter.pause(time(), 10.0)
        await asyncio.gather(waiting, acquiring)
        assert time() == pytest.approx(12.0, abs=0.001)

    run_virtual(main())


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_a_pause_is_drawn_out_by_up_to_a_tenth(jitter: float) -> None:
    limiter = AdaptiveLimiter(rng=lambda: jitter)
    limiter.pause(100.0, 60.0)
    assert limiter.paused_s(100.0) == pytest.approx(60 + 6 * jitter)


def test_without_a_limit_pauses_still_hold() -> None:
    """``rate_limit=None``: anything goes at once, except during a pause."""

    async def main() -> None:
        grants = Grants(make_limiter(None))
        assert grants.limiter.rate is None
        for _ in range(1000):
            await grants.take()
        assert time() < 0.01
        grants.limiter.on_success(time())
        grants.limiter.on_throttled(time(), sent_at=time(), retry_after_s=None)
        await grants.take()
        assert time() == pytest.approx(0.5, abs=0.01)
        grants.limiter.on_throttled(time(), sent_at=time(), retry_after_s=30.0)
        await asyncio.gather(*(grants.take() for _ in range(1000)))
        assert grants.times[1001] == pytest.approx(30.5, abs=0.01)
        assert time() < 30.6
        assert grants.during_pause == 0
        assert grants.limiter.rate is None

    run_virtual(main())


# --- the rate ---


def test_a_429_cuts_the_rate_and_pauses_half_a_second() -> None:
    limiter = make_limiter()
    limiter.on_throttled(10.0, sent_at=9.9, retry_after_s=None)
    assert limiter.rate == pytest.approx(76)
    assert limiter.paused_s(10.0) == 0.5


def test_after_a_cut_the_new_bucket_is_empty() -> None:
    """No burst into a workspace that is full: one at a time from the first on."""

    async def main() -> None:
        grants = Grants(make_limiter())
        grants.limiter.on_throttled(0.0, sent_at=0.0, retry_after_s=None)
        await asyncio.gather(*(grants.take() for _ in range(10)))
        gaps = [b - a for a, b in pairwise(grants.times)]
        assert grants.times[0] == pytest.approx(0.5 + 1 / 76, abs=0.001)
        assert gaps == pytest.approx([1 / 76] * 9, abs=0.001)

    run_virtual(main())


def test_a_429_to_a_request_from_before_the_cut_is_stale() -> None:
    """It is ignored, however late it comes: the cut has already answered it."""
    limiter = make_limiter()
    limiter.on_throttled(10.0, sent_at=9.9, retry_after_s=None)
    for sent_at in (1.0, 9.95, 10.0):
        limiter.on_throttled(15.0, sent_at=sent_at, retry_after_s=None)
    assert limiter.rate == pytest.approx(76)
    assert limiter.paused_s(15.0) == 0.0
    limiter.on_throttled(15.0, sent_at=10.001, retry_after_s=None)
    assert limiter.rate == pytest.approx(76 * 0.8)


def test_a_stale_429_may_still_ask_for_a_pause() -> None:
    limiter = make_limiter()
    limiter.on_throttled(10.0, sent_at=9.9, retry_after_s=None)
    limiter.on_throttled(15.0, sent_at=9.0, retry_after_s=7.0)
    assert limiter.rate == pytest.approx(76)
    assert limiter.paused_s(15.0) == 7.0


@given(st.lists(st.floats(0, 30), max_size=60).map(sorted))
def test_there_is_at_most_one_cut_a_second(times: list[float]) -> None:
    limiter = make_limiter()
    cuts: list[float] = []
    for now in times:
        before = limiter.rate
        limiter.on_throttled(now, sent_at=now, retry_after_s=None)
        if limiter.rate != before:
            cuts.append(now)
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(cuts))


@pytest.mark.parametrize(
    ("limit", "floor"), [(RateLimit(), 1.0), (RateLimit(per_second=10, per_minute=20), 0.3)]
)
def test_the_rate_has_a_floor(limit: RateLimit, floor: float) -> None:
    """1/s, or the whole rate where that is less; a client at the floor still gets through."""

    async def main() -> None:
        limiter = make_limiter(limit)
        for now in range(0, 100, 2):
            limiter.on_throttled(now, sent_at=now, retry_after_s=None)
        assert limiter.rate == pytest.approx(floor)
        await asyncio.sleep(100)
        await limiter.acquire()
        await limiter.acquire()
        assert time() == pytest.approx(100 + 2 / floor, abs=0.01)

    run_virtual(main())


def test_after_one_429_the_rate_is_soon_back() -> None:
    """95 % of the ceiling within 6 s, all of it within 12 s, one change a second at most."""
    limiter = make_limiter()
    limiter.on_throttled(0.0, sent_at=0.0, retry_after_s=None)
    rates = []
    for tenth in range(200):
        limiter.on_success(tenth / 10)
        rates.append(limiter.rate or 0.0)
    assert rates == sorted(rates)
    assert rates[9] == 76.0
    assert rates[59] >= 0.95 * 95
    assert rates[119] == rates[-1] == 95.0
    changes = [tenth for tenth in range(1, 200) if rates[tenth] != rates[tenth - 1]]
    assert all(later - earlier >= 10 for earlier, later in pairwise(changes))


def test_the_rate_does_not_rise_during_a_pause() -> None:
    """Neither the pause of the 429 itself nor a later one counts as time without a 429."""
    limiter = make_limiter()
    limiter.on_throttled(0.0, sent_at=0.0, retry_after_s=60.0)
    limiter.on_success(60.0)
    assert limiter.rate == 76.0
    limiter.on_success(63.0)
    rate = limiter.rate
    limiter.pause(63.0, 100.0)
    limiter.on_success(163.0)
    assert limiter.rate == rate
    limiter.on_success(170.0)
    assert limiter.rate == 95.0


def test_a_later_pause_does_not_lower_the_rate() -> None:
    limiter = make_limiter()
    limiter.on_throttled(0.0, sent_at=0.0, retry_after_s=None)
    limiter.on_success(5.0)
    rate = limiter.rate
    limiter.pause(90.0, 1.0)
    limiter.on_success(91.0)
    assert rate is not None
    assert rate < 95.0 == limiter.rate


def test_the_rate_is_looked_at_only_when_something_succeeds() -> None:
    limiter = make_limiter()
    limiter.on_throttled(0.0, sent_at=0.0, retry_after_s=None)
    assert limiter.rate == 76.0
    limiter.on_success(600.0)
    assert limiter.rate == 95.0


def test_who_is_not_ready_pays_nothing() -> None:
    """It is asked in its turn, before it pays; in a pause nobody is ready."""

    async def main() -> None:
        limiter = make_limiter()
        asked: list[float] = []

        def is_ready() -> bool:
            asked.append(time())
            return len(asked) > 50

        while not await limiter.acquire(is_ready):
            pass
        assert len(asked) == 51
        await limiter.acquire()
        assert time() < 0.001  # a full bucket of two
        limiter.pause(time(), 9.0)
        assert not await limiter.acquire(is_ready)
        assert len(asked) == 51

    run_virtual(main())


def test_who_waits_for_a_token_when_a_pause_begins_gets_none() -> None:
    async def main() -> None:
        limiter = make_limiter()
        for _ in range(2):
            await limiter.acquire()
        waiting = asyncio.create_task(limiter.acquire(lambda: True))
        await asyncio.sleep(0)
        limiter.pause(time(), 9.0)
        assert not await waiting
        assert time() < 0.1

    run_virtual(main())


def test_a_limiter_may_be_made_before_its_loop() -> None:
    limiter = make_limiter()
    assert run_virtual(saturate(limiter, 1.0)).times


def test_the_repr_names_rate_and_limit() -> None:
    assert repr(make_limiter(None)) == "<AdaptiveLimiter rate=None of None>"
    assert repr(make_limiter()).startswith("<AdaptiveLimiter rate=95.0 of RateLimit(")


# --- against a strict server ---


class StrictServer:
    """Both of the vendor's windows as sliding logs; rejected calls count, or not."""

    def __init__(self, *, count_rejected: bool = True) -> None:
        self._second: deque[float] = deque()
        self._minute: deque[float] = deque()
        self._count_rejected = count_rejected

    def accepts(self, now: float) -> bool:
        for log, length in ((self._second, 1.0), (self._minute, 60.0)):
            while log and log[0] <= now - length:
                log.popleft()
        is_accepted = len(self._second) < 100 and len(self._minute) < 6000
        if is_accepted or self._count_rejected:
            self._second.append(now)
            self._minute.append(now)
        return is_accepted


@dataclass
class Market:
    """A hundred workers behind our limiter, and a competitor on the same workspace."""

    limiter: AdaptiveLimiter
    until: float
    rng: Random
    server: StrictServer = field(default_factory=StrictServer)
    accepted: list[float] = field(default_factory=list)
    rejected: list[float] = field(default_factory=list)
    full_speed_at: float = 0.0  # since when the rate has been at its ceiling

    async def worker(self) -> None:
        while time() < self.until:
            await self.limiter.acquire()
            sent_at = time()
            await asyncio.sleep(self.rng.uniform(0.020, 0.030))  # 50 ms ± 10 there and back
            accepted = self.server.accepts(time())
            await asyncio.sleep(self.rng.uniform(0.020, 0.030))
            if accepted:
                self.accepted.append(time())
                was = self.limiter.rate
                self.limiter.on_success(time())
                if was != self.limiter.rate == 95.0:
                    self.full_speed_at = time()
            else:
                self.rejected.append(time())
                self.limiter.on_throttled(time(), sent_at=sent_at, retry_after_s=None)

    async def competitor(self, rate: float, until: float) -> None:
        calls = 0
        while time() < until:
            self.server.accepts(time())
            calls += 1
            await asyncio.sleep(calls / rate - time())

    async def run(self, *others: Coroutine[Any, Any, None]) -> None:
        await asyncio.gather(*others, *(self.worker() for _ in range(100)))


@pytest.mark.soak
def test_alone_it_is_never_throttled() -> None:
    """12,000 requests, latencies that bunch what was well paced: no 429."""
    market = Market(make_limiter(), until=127.0, rng=Random(1))
    run_virtual(market.run())
    assert market.rejected == []
    assert len(market.accepted) >= 12_000


@pytest.mark.soak
@pytest.mark.parametrize("count_rejected", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_beside_a_competitor_it_takes_what_is_left_and_comes_back(
    seed: int, *, count_rejected: bool
) -> None:
    """Half of the workspace taken by somebody else for three minutes, then free again.

    After the first minute at least 82 % of what is left, with at most 0.7 % 429s; back at the
    ceiling at most 30 s after the competitor has stopped.
    """
    server = StrictServer(count_rejected=count_rejected)
    market = Market(make_limiter(), 256.0, Random(seed), server)
    run_virtual(market.run(market.competitor(50.0, until=180.0)))
    accepted = sum(60 <= at < 180 for at in market.accepted)
    rejected = sum(60 <= at < 180 for at in market.rejected)
    assert accepted / (120 * 50) >= 0.82
    assert rejected / (accepted + rejected) <= 0.007
    assert not [at for at in market.rejected if at > 181]
    assert 180 < market.full_speed_at <= 210
    assert market.limiter.rate == 95.0


@pytest.mark.soak
@pytest.mark.parametrize("delay_s", [0.0, 20.0])
def test_two_of_us_share_what_there_is(delay_s: float) -> None:
    """No split is worse than 35 to 65, at most 3 % are 429s, and nearly all is used."""
    server, until = StrictServer(), delay_s + 120
    markets = [Market(make_limiter(), until, Random(seed), server) for seed in (3, 4)]

    async def later() -> None:
        await asyncio.sleep(delay_s)
        await markets[1].run()

    async def main() -> None:
        await asyncio.gather(markets[0].run(), later())

    run_virtual(main())
    since = delay_s + 10
    accepted = [sum(at >= since for at in market.accepted) for market in markets]
    rejected = [sum(at >= since for at in market.rejected) for market in markets]
    assert min(accepted) >= 0.35 * sum(accepted)
    assert sum(rejected) <= 0.03 * sum(accepted)
    assert sum(accepted) >= 85 * 110


# --- the helper itself ---


def test_the_virtual_loop_reports_what_would_hang() -> None:
    async def hang() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(StuckError, match="no timer is set"):
        run_virtual(hang())


def test_the_virtual_loop_jumps() -> None:
    async def sleep() -> float:
        await asyncio.sleep(1e6)
        return time()

    assert run_virtual(sleep()) == pytest.approx(1e6)


def test_the_worst_window_is_half_open() -> None:
    assert worst_window([0.0, 0.5, 1.0, 1.4, 1.5], 1.0) == 3
    assert worst_window([], 1.0) == 0
