"""The façade: in what order an attempt waits, what it holds, and what it learns."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from virtual_loop import run_virtual, virtual

from instantly_async import ServiceUnavailableError, errors
from instantly_async._pace import (
    AdaptiveLimiter,
    CircuitBreaker,
    Pace,
    Places,
    RetryBudget,
    Trust,
    may_be_outage,
    shows_life,
)
from instantly_async._pace.breaker import Probe
from instantly_async.settings import RateLimit, RetryPolicy


def time() -> float:
    return asyncio.get_running_loop().time()


async def dead() -> bool:
    return False


async def alive() -> bool:
    return True


class Parts:
    """A pace, and what it is made of."""

    def __init__(
        self,
        limit: RateLimit | None = RateLimit(),
        policy: RetryPolicy = RetryPolicy(),
        slots: int = 2,
    ) -> None:
        self.limiter = AdaptiveLimiter(limit, rng=lambda: 0.0)
        self.slots = Places(slots)
        self.budget = RetryBudget(policy)
        self.breaker = CircuitBreaker(policy, lambda: 0.0)
        self.trust = Trust()

    def pace(self, probe: Probe | None = alive, *, patient: bool = True) -> Pace:
        return Pace(
            self.limiter,
            self.slots,
            self.budget,
            self.breaker,
            max_pause_s=120.0,
            trust=self.trust,
            probe=probe,
            patient=patient,
        )

    def open(self) -> None:
        for _ in range(20):
            self.breaker.on_failure("HTTP 502")

    def require_free(self, slots: int = 2) -> None:
        assert (self.slots.size, self.slots.taken) == (slots, 0)
        assert self.limiter.near.taken == 0
        assert not self.limiter.near._waiting


@virtual
async def test_an_attempt_holds_a_slot_and_is_near_until_it_is_sent() -> None:
    parts = Parts()
    with await parts.pace().enter() as permit:
        assert (parts.slots.taken, parts.limiter.near.taken) == (1, 1)
        permit.note_sent(time())
        assert (parts.slots.taken, parts.limiter.near.taken) == (1, 0)
        permit.note_sent(time())  # again, after its connection had died
        assert (permit.sends, parts.limiter.near.taken) == (2, 0)
    parts.require_free()


@virtual
async def test_what_was_not_sent_gives_everything_back() -> None:
    parts = Parts()
    with pytest.raises(LookupError):
        with await parts.pace().enter():
            raise LookupError
    parts.require_free()


@virtual
async def test_without_a_limit_nobody_is_near() -> None:
    parts = Parts(limit=None)
    with await parts.pace().enter() as permit:
        permit.note_sent(time())
        assert parts.slots.taken == 1
    parts.require_free()


@virtual
async def test_a_pause_is_waited_out_also_one_that_begins_meanwhile() -> None:
    """Nothing is held while it lasts."""
    parts = Parts(slots=1)
    parts.limiter.pause(time(), 3.0)
    pace = parts.pace()

    async def hold() -> float:
        with await pace.enter() as permit:
            at = time()
            permit.note_sent(at)
            await asyncio.sleep(2.0)
            return at

    tasks = [asyncio.create_task(hold()) for _ in range(2)]
    await asyncio.sleep(2.0)
    parts.require_free(1)
    await asyncio.sleep(2.0)
    parts.limiter.pause(time(), 6.0)  # the second waits for the slot
    await asyncio.sleep(2.0)
    parts.require_free(1)
    assert sorted([round(await task, 2) for task in tasks]) == [3.0, 10.0]


@virtual
async def test_an_open_breaker_is_waited_for_by_the_patient() -> None:
    parts = Parts()
    parts.open()
    with await parts.pace().enter():
        assert not parts.breaker.is_open
    parts.open()
    with pytest.raises(ServiceUnavailableError):
        with await parts.pace(dead, patient=False).enter():
            pass
    parts.require_free()


@virtual
async def test_probes_pass_an_open_breaker() -> None:
    parts = Parts()
    parts.open()
    with await parts.pace(None).enter() as permit:
        assert parts.breaker.is_open
        permit.note_sent(time())
        permit.learn("an answer", time())
    assert not parts.breaker.is_open


@virtual
async def test_who_waited_for_a_slot_sees_that_the_breaker_has_opened() -> None:
    parts = Parts(slots=1)
    blocked: list[bool] = []

    async def second() -> None:
        with await parts.pace(dead).enter():
            blocked.append(parts.breaker.is_open)

    with await parts.pace().enter():
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.1)
        parts.open()
    await asyncio.sleep(1.0)
    assert (blocked, parts.slots.taken) == ([], 0)
    parts.breaker.on_success(time())
    await waiting
    assert blocked == [False]


async def block(parts: Parts, where: str) -> Callable[[], None]:
    """Make every attempt wait there; return what ends that."""
    if where == "near":
        size = parts.limiter.near.size
        for _ in range(size):
            await parts.limiter.near.enter()

        def unblock() -> None:
            for _ in range(size):
                parts.limiter.near.leave()

        return unblock
    if where == "slot":
        await parts.slots.enter()
        return parts.slots.leave
    if where == "pause":
        parts.limiter.pause(time(), 100.0)
    else:
        parts.open()
    return lambda: None


@pytest.mark.parametrize("where", ["near", "slot", "pause", "breaker"])
def test_leaving_while_it_waits_leaves_nothing(where: str) -> None:
    async def main() -> None:
        parts = Parts(slots=1)
        pace = parts.pace(dead)
        unblock = await block(parts, where)

        async def attempt() -> None:
            with await pace.enter():
                pytest.fail("it must wait")

        tasks = [asyncio.create_task(attempt()) for _ in range(3)]
        await asyncio.sleep(1.0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        unblock()
        parts.require_free(1)
        assert parts.breaker._waiting == 0

    run_virtual(main())


@pytest.mark.parametrize(
    ("result", "lives", "fails"),
    [
        ("an answer", True, False),
        (errors.NotFoundError("x"), True, False),
        (errors.RequestRejectedError("x"), True, False),
        (errors.RateLimitedError("x"), True, False),
        (errors.DecodeError("the lead, but not valid"), True, False),
        (errors.DecodeError("x", reason="other lead"), False, False),
        (errors.DecodeError("x", reason="oversized"), False, False),
        (errors.DecodeError("x", reason="truncated"), False, True),
        (errors.DecodeError("x", reason="foreign"), False, True),
        (errors.AuthenticationError("x"), False, False),
        (errors.ServerError("x"), False, True),
        (errors.ProtocolError("x", status=302), False, True),
        (errors.ConnectionFailedError("x"), False, True),
    ],
    ids=repr,
)
def test_what_an_attempt_teaches_the_breaker(result: Any, *, lives: bool, fails: bool) -> None:
    async def main() -> None:
        parts = Parts(policy=RetryPolicy(breaker_threshold=1))
        with await parts.pace().enter() as permit:
            permit.note_sent(5.0)
            permit.learn(result, 6.0)
        assert (parts.breaker._alive_at == 5.0) is lives
        assert parts.breaker.is_open is fails
        assert shows_life(result) is lives

    run_virtual(main())


@pytest.mark.parametrize("kind", [errors.RateLimitedError, errors.ServerError])
def test_a_pause_that_the_server_asks_for_is_capped(kind: type[errors.TransientError]) -> None:
    async def main() -> None:
        parts = Parts()
        error = kind("busy")
        error.retry_after_s = 1e9
        with await parts.pace().enter() as permit:
            permit.note_sent(time())
            permit.learn(error, time())
        assert parts.limiter.paused_s(time()) == pytest.approx(120.0, abs=0.001)
        is_throttled = kind is errors.RateLimitedError
        assert (parts.limiter.rate == 95.0 * 0.8) is is_throttled

    run_virtual(main())


def test_which_errors_may_be_an_outage() -> None:
    """Not a 429, not a lead that does not decode: what says nothing about the lead."""
    assert may_be_outage(errors.ServerError("x"))
    assert may_be_outage(errors.ProtocolError("broken HTTP"))
    assert may_be_outage(errors.ProtocolError("x", status=302))
    assert may_be_outage(errors.DecodeError("x", reason="foreign"))
    assert may_be_outage(errors.DecodeError("x", reason="truncated"))
    assert not may_be_outage(errors.RateLimitedError("x"))
    for reason in ("malformed", "oversized", "other lead"):
        assert not may_be_outage(errors.DecodeError("x", reason=reason))


@virtual
async def test_a_retry_without_a_token_asks_whether_the_service_is_alive() -> None:
    """Only if nothing was answered for 10 s; then it waits for its token all the same."""
    parts = Parts(policy=RetryPolicy(budget_capacity=1))
    asked: list[float] = []

    async def probe() -> bool:
        asked.append(round(time(), 2))
        return False

    await asyncio.sleep(20.0)
    pace = parts.pace(probe)
    assert await pace.pay()
    parts.breaker.on_success(15.0)
    assert await pace.pay()
    assert (asked, round(time(), 2)) == ([], 21.0)
    await asyncio.sleep(5.0)
    assert await pace.pay()
    assert await pace.pay()
    assert asked == [26.0]
    assert parts.breaker.is_open


@virtual
async def test_the_impatient_do_not_wait_for_a_token() -> None:
    parts = Parts(policy=RetryPolicy(budget_capacity=1))
    pace = parts.pace(patient=False)
    assert await pace.pay()
    assert not await pace.pay()
    parts.budget.deposit(5)  # first attempts fill it
    assert await pace.pay()
    free = Pace(parts.limiter, parts.slots, None, parts.breaker, max_pause_s=1.0, trust=parts.trust)
    assert await free.pay()
