"""The circuit breaker: when it opens, who probes, and when it gives up. On a virtual clock."""

import asyncio
import logging
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_loop import block, run_virtual, virtual

from instantly_async import ServiceUnavailableError
from instantly_async._pace import CircuitBreaker
from instantly_async.settings import RetryPolicy


def time() -> float:
    return asyncio.get_running_loop().time()


def fail(breaker: CircuitBreaker, times: int = 20) -> None:
    for _ in range(times):
        breaker.on_failure("HTTP 502")


def make_open() -> CircuitBreaker:
    breaker = CircuitBreaker(RetryPolicy(), lambda: 0.0)
    fail(breaker)
    return breaker


def require_idle(breaker: CircuitBreaker) -> None:
    assert breaker._waiting == 0
    assert not breaker._leading.locked()
    assert not breaker._probing.locked()
    assert breaker.next_probe_s(time()) is breaker.gives_up_s(time()) is None


@dataclass
class Outage:
    """A service that is down until ``ends_at``, and the probes that it gets."""

    breaker: CircuitBreaker = field(default_factory=make_open)
    ends_at: float = float("inf")
    latency_s: float = 0.0
    probes: list[float] = field(default_factory=list)
    in_flight: int = 0
    refused: list[float] = field(default_factory=list)
    served: list[float] = field(default_factory=list)

    async def probe(self) -> bool:
        self.probes.append(round(time(), 3))
        assert not self.in_flight
        self.in_flight += 1
        try:
            await asyncio.sleep(self.latency_s)
        finally:
            self.in_flight -= 1
        if time() >= self.ends_at:
            return True
        self.breaker.on_failure("HTTP 502")
        return False

    async def wait(self, *, patient: bool = True) -> None:
        try:
            await self.breaker.until_closed(self.probe, patient=patient)
            self.served.append(round(time(), 3))
        except ServiceUnavailableError:
            self.refused.append(round(time(), 3))


# --- opening and closing ---


@virtual
async def test_failures_of_requests_before_one_that_was_answered_do_not_count() -> None:
    """Of many answers that come at once, odd ones are read last, whenever they were sent."""
    for sent_at, is_open in ((1.0, False), (2.0, False), (2.1, True)):
        breaker = CircuitBreaker(RetryPolicy(), lambda: 0.0)
        breaker.on_success(2.0)
        for _ in range(20):
            breaker.on_failure("The answer is an HTML page", sent_at=sent_at)
        assert breaker.is_open == is_open


@virtual
async def test_twenty_failures_in_a_row_open_it() -> None:
    breaker = CircuitBreaker(RetryPolicy(), lambda: 0.0)
    fail(breaker, 19)
    breaker.on_success(time())
    fail(breaker, 19)
    assert not breaker.is_open
    fail(breaker, 1)
    assert breaker.is_open


@virtual
async def test_an_answer_to_an_older_request_does_not_close_it() -> None:
    """It shows that the service was alive before the failures."""
    await asyncio.sleep(5.0)
    breaker = make_open()
    breaker.on_success(4.9)
    assert breaker.is_open
    breaker.on_success(time())
    assert not breaker.is_open


def test_opening_and_closing_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        make_open().on_success(time())

    with caplog.at_level(logging.WARNING, "instantly_async"):
        run_virtual(main())
    assert [record.getMessage() for record in caplog.records] == [
        "The circuit breaker opens: HTTP 502",
        "The circuit breaker closes: the API answers again",
    ]


@virtual
async def test_the_repr_states_its_counts() -> None:
    outage = Outage()
    waiting = asyncio.create_task(outage.wait())
    await asyncio.sleep(0)
    assert repr(outage.breaker) == "<CircuitBreaker open waiting=1>"
    waiting.cancel()
    await asyncio.wait([waiting])
    outage.breaker.on_success(time())
    assert repr(outage.breaker) == "<CircuitBreaker closed waiting=0>"


# --- waiting ---


@virtual
async def test_probes_come_more_and_more_rarely_until_it_gives_up() -> None:
    """At once, then 1, 2, 4 … 30 s apart; after 120 s all who wait get an error."""
    outage = Outage()
    await asyncio.gather(*(outage.wait() for _ in range(5)))
    assert outage.probes == [0, 1, 3, 7, 15, 31, 61, 91]
    assert outage.refused == [120.0] * 5
    require_idle(outage.breaker)


@pytest.mark.parametrize("latency_s", [0.0, 5.0])
def test_blocked_time_uses_up_no_patience(latency_s: float) -> None:
    """The loop is blocked for an hour, between two probes or during one; then it still asks."""

    async def main() -> None:
        outage = Outage(ends_at=3_650.0, latency_s=latency_s)
        waiting = [asyncio.create_task(outage.wait()) for _ in range(3)]
        await asyncio.sleep(25.0)
        assert outage.in_flight == (latency_s > 0)
        block(3_600.0)
        await asyncio.wait(waiting)
        assert len(outage.served) == 3
        assert outage.probes[-1] > 3_625
        require_idle(outage.breaker)

    run_virtual(main())


@virtual
async def test_after_a_block_the_patience_still_ends() -> None:
    outage = Outage()
    waiting = asyncio.create_task(outage.wait())
    await asyncio.sleep(50.0)
    block(3_600.0)
    await asyncio.sleep(0)  # before the tick, the clock stands still
    assert outage.breaker.gives_up_s(time()) == pytest.approx(70.0, abs=1.0)
    await waiting
    assert outage.refused == [pytest.approx(3_720.0, abs=2.0)]
    require_idle(outage.breaker)


@virtual
async def test_connections_that_were_all_reset_cost_no_time() -> None:
    """The first probe is sent at once, and shows that the service is alive."""
    outage = Outage(ends_at=0.0, latency_s=0.05)
    await asyncio.gather(*(outage.wait() for _ in range(50)))
    assert outage.probes == [0]
    assert set(outage.served) == {0.05}
    require_idle(outage.breaker)


@virtual
async def test_a_probe_ends_an_outage() -> None:
    """A 20 s outage: all wait, none fails, and then all go at once."""
    outage = Outage(ends_at=20.0)
    await asyncio.gather(*(outage.wait() for _ in range(50)))
    assert outage.probes == [0, 1, 3, 7, 15, 31]
    assert set(outage.served) == {31.0}
    require_idle(outage.breaker)


@virtual
async def test_an_answer_from_elsewhere_ends_the_wait() -> None:
    outage = Outage()
    waiting = asyncio.gather(*(outage.wait() for _ in range(3)))
    await asyncio.sleep(5.0)
    outage.breaker.on_success(time())
    await waiting
    assert outage.served == [5.0] * 3


@virtual
async def test_a_probe_on_its_way_may_still_save_everybody() -> None:
    """The patience is over, but the probe may succeed: nobody fails before it ends."""
    outage = Outage(latency_s=150.0, ends_at=150.0)
    early = asyncio.create_task(outage.wait())
    await asyncio.sleep(140.0)
    late = asyncio.create_task(outage.wait())
    await asyncio.wait([early, late])
    assert outage.served == [150.0, 150.0]


@virtual
async def test_patience_starts_anew_for_the_next_run() -> None:
    outage = Outage()
    await outage.wait()
    await asyncio.sleep(100.0)
    await outage.wait()
    assert outage.refused == [120.0, 340.0]
    outage.ends_at = 0.0
    await outage.wait()
    assert outage.served == [340.0]
    require_idle(outage.breaker)


@virtual
async def test_patience_starts_anew_for_the_next_outage() -> None:
    """Also if some have not yet noticed that the last one is over."""
    outage = Outage()
    waiting = asyncio.gather(*(outage.wait() for _ in range(3)))
    await asyncio.sleep(100.0)
    outage.breaker.on_success(time())
    fail(outage.breaker)
    await waiting
    assert outage.refused == [220.0] * 3


@virtual
async def test_what_is_told_while_it_waits() -> None:
    outage = Outage()
    breaker = outage.breaker
    assert (breaker.next_probe_s(0), breaker.gives_up_s(0)) == (None, None)
    waiting = asyncio.create_task(outage.wait())
    await asyncio.sleep(0.5)
    assert breaker.next_probe_s(time()) == pytest.approx(0.5, abs=0.001)
    assert breaker.gives_up_s(time()) == pytest.approx(119.5, abs=0.001)
    outage.latency_s = 0.3
    await asyncio.sleep(0.6)
    assert breaker.next_probe_s(time()) == 0.0  # one is in flight
    waiting.cancel()
    await asyncio.wait([waiting])
    require_idle(breaker)


# --- the impatient ---


@virtual
async def test_the_impatient_fail_at_once_unless_a_probe_is_due() -> None:
    outage = Outage(latency_s=0.1)
    await outage.wait(patient=False)
    assert (outage.probes, outage.refused) == ([0], [0.1])
    await outage.wait(patient=False)
    assert (outage.probes, outage.refused) == ([0], [0.1, 0.1])
    await asyncio.sleep(1.0)
    outage.ends_at = 0.0
    probing = asyncio.create_task(outage.wait(patient=False))
    await asyncio.sleep(0.05)
    await outage.wait(patient=False)  # does not even wait for the one on its way
    assert len(outage.refused) == 3
    await probing
    assert outage.served == [1.2]
    require_idle(outage.breaker)


@virtual
async def test_the_impatient_do_not_wait_behind_the_patient() -> None:
    """Not even in the moment in which one that leads hands over to the next."""
    outage = Outage(latency_s=15.0)
    first, second = (asyncio.create_task(outage.wait()) for _ in range(2))
    await asyncio.sleep(5.0)
    first.cancel()
    await outage.wait(patient=False)
    assert outage.refused == [5.0]
    second.cancel()
    await asyncio.wait([first, second])


@virtual
async def test_probes_are_jittered() -> None:
    """Each delay is shortened by up to a quarter."""
    outage = Outage(CircuitBreaker(RetryPolicy(), lambda: 1.0))
    fail(outage.breaker)
    await outage.wait()
    assert outage.probes[:4] == [0, 0.75, 2.25, 5.25]
    assert outage.refused == [120.0]


@virtual
async def test_a_tiny_patience_allows_a_probe() -> None:
    outage = Outage(CircuitBreaker(RetryPolicy(breaker_patience_s=1e-6), lambda: 0.0))
    fail(outage.breaker)
    await outage.wait()
    assert outage.probes == [0]


@virtual
async def test_the_error_says_what_happened_last() -> None:
    outage = Outage(make_open())
    await outage.wait(patient=False)
    with pytest.raises(ServiceUnavailableError, match=r"Last failure: HTTP 502\."):
        await outage.breaker.until_closed(outage.probe, patient=False)


# --- asking ---


@virtual
async def test_an_answer_since_then_spares_the_probe() -> None:
    breaker = CircuitBreaker(RetryPolicy(), lambda: 0.0)
    outage = Outage(breaker, ends_at=0.0)
    await asyncio.sleep(5.0)
    breaker.on_success(3.0)
    assert await breaker.is_alive(3.0, outage.probe)
    assert outage.probes == []
    assert await breaker.is_alive(3.1, outage.probe)
    assert outage.probes == [5.0]


@virtual
async def test_a_failed_probe_opens_it() -> None:
    """One answer for all who ask meanwhile."""
    outage = Outage(CircuitBreaker(RetryPolicy(), lambda: 0.0), latency_s=0.1)
    ask = [outage.breaker.is_alive(time(), outage.probe) for _ in range(5)]
    assert await asyncio.gather(*ask) == [False] * 5
    assert outage.probes == [0]
    assert outage.breaker.is_open
    await asyncio.sleep(0.5)
    assert not await outage.breaker.is_alive(time(), outage.probe)
    assert outage.probes == [0]  # none is due
    outage.ends_at = 0.0
    await asyncio.sleep(0.6)
    assert await outage.breaker.is_alive(time(), outage.probe)
    assert not outage.breaker.is_open


@virtual
async def test_many_who_ask_share_a_successful_probe() -> None:
    outage = Outage(CircuitBreaker(RetryPolicy(), lambda: 0.0), ends_at=0.0, latency_s=0.1)
    await asyncio.sleep(1.0)
    ask = [outage.breaker.is_alive(0.9, outage.probe) for _ in range(5)]
    assert await asyncio.gather(*ask) == [True] * 5
    assert outage.probes == [1]


# --- leaving ---


@virtual
async def test_if_the_one_that_probes_leaves_the_next_continues() -> None:
    outage = Outage(latency_s=10.0)
    first, second = (asyncio.create_task(outage.wait()) for _ in range(2))
    await asyncio.sleep(0.5)
    first.cancel()
    await asyncio.wait([first])
    outage.latency_s, outage.ends_at = 0.0, 0.0
    await second
    assert outage.probes == [0, 1]
    assert outage.served == [1.0]
    require_idle(outage.breaker)


@virtual
async def test_probes_that_are_given_up_do_not_flood_the_service() -> None:
    """Impatient callers that leave at once start one probe a second, not one each."""
    outage = Outage(latency_s=10.0)
    for _ in range(100):
        caller = asyncio.create_task(outage.wait(patient=False))
        await asyncio.sleep(0.05)
        caller.cancel()
        await asyncio.wait([caller])
    assert len(outage.probes) == 5


STEPS = st.lists(
    st.tuples(st.floats(0, 60), st.booleans(), st.none() | st.floats(0, 60)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(
    callers=STEPS,
    ends_at=st.floats(0, 200),
    latency_s=st.sampled_from([0.0, 0.05, 7.0]),
    patience_s=st.sampled_from([5.0, 30.0, 120.0]),
    seed=st.integers(0, 2**32),
)
def test_whoever_waits_and_leaves_nobody_is_forgotten(
    callers: list[tuple[float, bool, float | None]],
    ends_at: float,
    latency_s: float,
    patience_s: float,
    seed: int,
) -> None:
    """Each is served, refused or cancelled, in bounded time; one probe at a time."""

    async def main() -> None:
        breaker = CircuitBreaker(RetryPolicy(breaker_patience_s=patience_s), lambda: 0.0)
        fail(breaker)
        outage = Outage(breaker, ends_at=ends_at, latency_s=latency_s)
        rng = Random(seed)
        latest = 0.0

        async def call(at: float, *, patient: bool, leaves_after: float | None) -> None:
            nonlocal latest
            await asyncio.sleep(at)
            try:
                async with asyncio.timeout(leaves_after):
                    if rng.random() < 0.3:
                        await breaker.is_alive(time(), outage.probe)
                    if breaker.is_open:
                        await outage.wait(patient=patient)
            except TimeoutError:
                pass
            latest = max(latest, time())

        await asyncio.gather(
            *(call(at, patient=patient, leaves_after=after) for at, patient, after in callers)
        )
        assert latest <= 60 + 2 * patience_s + 2 * latency_s + 31
        require_idle(breaker)

    run_virtual(main())
