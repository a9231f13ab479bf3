"""The queue before an attempt, in virtual time: budget, breaker, probes, and nothing left over."""

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from virtual_loop import VirtualLoop, run_virtual

from instantly_async._pace import AttemptKind, Gate
from instantly_async.errors import ServiceUnavailableError
from instantly_async.settings import RetryPolicy


def time() -> float:
    return asyncio.get_running_loop().time()


def fail(admission: Gate, times: int = 1, *, probe: bool = False) -> None:
    for _ in range(times):
        admission.on_failure("HTTP 502", time(), probe=probe)


def make_open() -> Gate:
    """Return a gate whose breaker opens now."""
    admission = Gate(RetryPolicy())
    fail(admission, 20)
    assert admission.breaker.is_open
    return admission


def make_broke(at_work: int) -> Gate:
    """Return a gate with an empty budget and that many ids at work."""
    admission = Gate(RetryPolicy())
    while admission.budget.withdraw():
        pass
    for _ in range(at_work):
        admission.enter()
    return admission


def admit(
    admission: Gate, kind: AttemptKind = AttemptKind.FIRST, *, patient: bool = True
) -> asyncio.Task[bool]:
    return asyncio.create_task(admission.admit(kind, patient=patient))


async def passes() -> None:
    """Let every task run as far as it can without the clock."""
    for _ in range(5):
        await asyncio.sleep(0)


async def fall_due(admission: Gate) -> None:
    """Wait until the timer of a probe would fire; the test fires it, in the order it needs."""
    assert admission._timer is not None
    admission._timer.cancel()
    await asyncio.sleep(admission.breaker.next_probe_at - time())


def assert_nothing_left(admission: Gate) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    assert admission.waiting == 0
    assert not admission.breaker.probing
    assert loop.pending_timers == 0


def virtual(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Run an async test on a virtual loop of its own, without arguments."""

    def run() -> None:
        run_virtual(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


# --- closed ---


@virtual
async def test_first_attempts_pass_at_once_and_fill_the_budget() -> None:
    admission = make_broke(1)
    assert admission.is_clear
    for _ in range(5):
        assert await admission.admit(AttemptKind.FIRST, patient=True) is False
    assert admission.budget.level == pytest.approx(1.0)
    assert time() < 0.001


@virtual
async def test_a_repeat_after_a_429_is_free() -> None:
    admission = make_broke(1)
    for _ in range(50):
        assert await admission.admit(AttemptKind.REPEAT, patient=True) is False
    assert admission.budget.level == pytest.approx(0.0)


@virtual
async def test_a_retry_is_paid_from_the_budget() -> None:
    admission = Gate(RetryPolicy())
    admission.enter()
    for _ in range(100):
        assert await admission.admit(AttemptKind.RETRY, patient=True) is False
    assert admission.budget.level == 0.0


@virtual
async def test_an_empty_budget_makes_retries_wait_for_first_attempts() -> None:
    """Five of them pay for one; the breaker stays closed meanwhile."""
    admission = make_broke(5)
    retries = [admit(admission, AttemptKind.RETRY) for _ in range(2)]
    await passes()
    assert (admission.waiting, admission.is_clear) == (2, False)
    for turn in range(2):
        for _ in range(5):
            assert not retries[turn].done()
            assert await admission.admit(AttemptKind.FIRST, patient=True) is False
        admission.on_success(time(), probe=False)  # one of them is answered
        await passes()
        assert retries[turn].result() is False
    assert not admission.breaker.is_open
    assert_nothing_left(admission)


@virtual
async def test_a_waiting_retry_holds_up_nobody_else() -> None:
    admission = make_broke(5)
    retry = admit(admission, AttemptKind.RETRY)
    await passes()
    assert await admission.admit(AttemptKind.FIRST, patient=False) is False
    assert await admission.admit(AttemptKind.REPEAT, patient=False) is False
    assert not retry.done()
    retry.cancel()
    await asyncio.wait([retry])
    assert_nothing_left(admission)


@virtual
async def test_if_all_wait_for_the_budget_the_first_goes_as_a_probe() -> None:
    """Nothing else could ever refill it. The next follows when the first has its outcome."""
    admission = make_broke(3)
    retries = [admit(admission, AttemptKind.RETRY) for _ in range(3)]
    await passes()
    assert retries[0].result() is True
    assert not retries[1].done()
    admission.on_success(time(), probe=True)
    await passes()
    assert not retries[1].done()  # the first may still be a first attempt's id
    admission.leave()
    await passes()
    assert retries[1].result() is True
    admission.on_success(time(), probe=True)
    admission.leave()
    await passes()
    assert retries[2].result() is True
    admission.on_success(time(), probe=True)
    admission.leave()
    assert time() < 0.001
    assert_nothing_left(admission)


@virtual
async def test_probes_for_the_budget_slow_down_too_when_they_fail() -> None:
    """After 1, 2, 4 s, each time another id."""
    admission = make_broke(2)
    waiting = {name: admit(admission, AttemptKind.RETRY) for name in "ab"}
    seen = []
    for _ in range(5):
        await asyncio.wait(waiting.values(), return_when=asyncio.FIRST_COMPLETED)
        (name,) = (name for name, task in waiting.items() if task.done())
        seen.append((name, round(time(), 3)))
        fail(admission, probe=True)
        waiting[name] = admit(admission, AttemptKind.RETRY)
    assert seen == [("a", 0), ("b", 1), ("a", 3), ("b", 7), ("a", 15)]
    for task in waiting.values():
        task.cancel()
    await asyncio.wait(waiting.values())
    assert_nothing_left(admission)


@virtual
async def test_when_the_others_finish_the_waiting_one_is_all_there_is() -> None:
    admission = make_broke(2)
    retry = admit(admission, AttemptKind.RETRY)
    await passes()
    assert not retry.done()
    admission.leave()
    assert await retry is True


# --- open ---


@dataclass
class Outage:
    """Ids that meet an outage as a stream's do: a failed probe queues again at the end."""

    admission: Gate
    ends_at: float = float("inf")
    latency_s: float = 0.0
    probes: list[tuple[int, float]] = field(default_factory=list)
    served: list[int] = field(default_factory=list)
    refused: list[tuple[int, float]] = field(default_factory=list)

    async def run(self, number: int) -> None:
        self.admission.enter()
        try:
            while True:
                probe = await self.admission.admit(AttemptKind.FIRST, patient=True)
                if probe:
                    self.probes.append((number, round(time(), 3)))
                await asyncio.sleep(self.latency_s)
                if time() >= self.ends_at:
                    self.admission.on_success(time(), probe=probe)
                    self.served.append(number)
                    return
                fail(self.admission, probe=probe)
        except ServiceUnavailableError:
            self.refused.append((number, round(time(), 3)))
        finally:
            self.admission.leave()


@virtual
async def test_an_open_breaker_releases_probes_only_more_and_more_rarely() -> None:
    """1, 2, 4 … 30 s apart, each another id; after 120 s it gives up, and all fail."""
    outage = Outage(make_open())
    await asyncio.gather(*(outage.run(number) for number in range(5)))
    assert outage.probes == [(0, 1), (1, 3), (2, 7), (3, 15), (4, 31), (0, 61), (1, 91)]
    assert sorted(outage.refused) == [(number, 120.0) for number in range(5)]
    assert_nothing_left(outage.admission)


@virtual
async def test_it_closes_when_a_probe_succeeds() -> None:
    """A 20 s outage: all wait, none fails, and then all go at once."""
    outage = Outage(make_open(), ends_at=20.0)
    await asyncio.gather(*(outage.run(number) for number in range(50)))
    assert [at for _, at in outage.probes] == [1, 3, 7, 15, 31]
    assert sorted(outage.served) == list(range(50))
    assert outage.refused == []
    assert time() < 31.01
    assert outage.admission.is_clear
    assert_nothing_left(outage.admission)


@virtual
async def test_the_probe_s_time_counts_as_an_interval_of_its_own() -> None:
    """The next comes 2 s after the end of the last; giving up waits for a probe in flight."""
    outage = Outage(make_open(), latency_s=30.0)
    tasks = [asyncio.create_task(outage.run(number)) for number in range(2)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert [at for _, at in outage.probes] == [1, 33, 67, 105]
    assert outage.refused == [(0, 135)]
    for task in tasks:  # as a stream does with the others when one id ends the run
        task.cancel()
    await asyncio.wait(tasks)
    assert_nothing_left(outage.admission)


@virtual
async def test_a_probe_on_its_way_may_still_save_everybody() -> None:
    """The patience is over, but the probe may succeed: no id fails before it ends."""
    admission = make_open()
    probe, early = admit(admission), admit(admission)
    assert await probe is True
    await asyncio.sleep(150.0)
    late = admit(admission)
    await passes()
    assert not early.done()
    assert not late.done()
    admission.on_success(time(), probe=True)
    assert [await early, await late] == [False, False]
    assert_nothing_left(admission)


@virtual
async def test_after_giving_up_a_later_run_may_probe_again() -> None:
    outage = Outage(make_open())
    await outage.run(0)
    assert outage.refused == [(0, 120)]
    assert outage.admission.breaker.is_open
    await asyncio.sleep(1000.0)
    later = Outage(outage.admission, ends_at=0.0)
    await later.run(7)
    assert later.probes == [(7, 1120)]
    assert later.served == [7]
    assert outage.admission.is_clear


@virtual
async def test_after_giving_up_patience_starts_anew() -> None:
    outage = Outage(make_open())
    await outage.run(0)
    await outage.run(1)
    assert outage.refused == [(0, 120), (1, 240)]
    assert_nothing_left(outage.admission)


@virtual
async def test_the_impatient_fail_at_once_while_it_is_open() -> None:
    admission = make_open()
    with pytest.raises(ServiceUnavailableError, match=r"Last failure: HTTP 502\."):
        await admission.admit(AttemptKind.FIRST, patient=False)
    assert time() < 0.001
    assert_nothing_left(admission)


@virtual
async def test_the_impatient_may_be_the_probe_that_is_due() -> None:
    admission = make_open()
    await asyncio.sleep(1.5)
    assert await admission.admit(AttemptKind.FIRST, patient=False) is True
    with pytest.raises(ServiceUnavailableError):  # it is on its way: one at a time
        await admission.admit(AttemptKind.FIRST, patient=False)
    admission.on_success(time(), probe=True)
    assert await admission.admit(AttemptKind.FIRST, patient=False) is False


@virtual
async def test_the_impatient_who_wait_for_the_budget_fail_when_it_opens() -> None:
    admission = make_broke(5)
    impatient = admit(admission, AttemptKind.RETRY, patient=False)
    patient = admit(admission, AttemptKind.RETRY)
    await passes()
    fail(admission, 20)
    with pytest.raises(ServiceUnavailableError):
        await impatient
    assert await patient is True
    assert time() == pytest.approx(1.0, abs=0.001)


@virtual
async def test_an_unclear_probe_is_followed_by_another() -> None:
    """An answer that does not decode says nothing about the service."""
    admission = make_open()
    first, second = admit(admission), admit(admission)
    assert await first is True
    admission.on_no_verdict(time(), probe=True)
    assert await second is True
    assert time() == pytest.approx(3.0, abs=0.001)


@virtual
async def test_an_outage_can_be_declared() -> None:
    """By an id that is out of attempts while nothing at all has succeeded."""
    admission = Gate(RetryPolicy())
    admission.declare_outage(time())
    assert not admission.is_clear
    assert await admission.admit(AttemptKind.RETRY, patient=True) is True
    assert time() == pytest.approx(1.0, abs=0.001)


@virtual
async def test_any_success_closes_it() -> None:
    """Even that of a request which was in flight when it opened."""
    admission = make_open()
    waiting = [admit(admission) for _ in range(3)]
    await asyncio.sleep(0.5)
    admission.on_success(time(), probe=False)
    assert await asyncio.gather(*waiting) == [False] * 3
    assert admission.last_success_sent_at == pytest.approx(0.5, abs=0.001)
    assert_nothing_left(admission)


@virtual
async def test_the_last_success_is_the_one_that_was_sent_last() -> None:
    """Answers may overtake each other; what counts is when the service was alive."""
    admission = Gate(RetryPolicy())
    assert admission.last_success_sent_at == float("-inf")
    for sent_at, last in ((5.0, 5.0), (3.0, 5.0), (8.0, 8.0)):
        admission.on_success(sent_at, probe=False)
        assert admission.last_success_sent_at == last


def test_opening_and_closing_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        make_open().on_success(time(), probe=False)

    with caplog.at_level(logging.WARNING, "instantly_async"):
        run_virtual(main())
    assert [record.getMessage() for record in caplog.records] == [
        "The circuit breaker opens: HTTP 502",
        "The circuit breaker closes: the API answers again",
    ]


@virtual
async def test_the_repr_states_its_counts() -> None:
    admission = make_open()
    admission.enter()
    waiting = admit(admission)
    await passes()
    assert repr(admission) == "<Gate breaker=open waiting=1 at_work=1>"
    admission.on_success(time(), probe=False)
    assert await waiting is False
    assert repr(admission) == "<Gate breaker=closed waiting=0 at_work=1>"


# --- cancellation ---


@virtual
async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    admission = make_open()
    first, second = admit(admission), admit(admission)
    await passes()
    first.cancel()
    await asyncio.wait([first])
    assert admission.waiting == 1
    assert await second is True


@virtual
async def test_a_waiter_cancelled_as_the_probe_falls_due_passes_it_on() -> None:
    """Cancelled, but not yet run, when the timer fires: the next one goes at once."""
    admission = make_open()
    first, second = admit(admission), admit(admission)
    await passes()

    await fall_due(admission)
    first.cancel()
    admission._pump()
    assert await second is True
    assert time() == pytest.approx(1.0, abs=0.001)
    assert first.cancelled()


@virtual
async def test_a_probe_cancelled_before_it_ran_passes_its_turn_on() -> None:
    """Admitted and cancelled in the same pass of the loop."""
    admission = make_open()
    first, second = admit(admission), admit(admission)
    await passes()

    await fall_due(admission)
    admission._pump()
    first.cancel()
    assert await second is True
    assert time() == pytest.approx(1.0, abs=0.001)
    assert first.cancelled()


@virtual
async def test_a_probe_given_up_on_its_way_passes_its_turn_on() -> None:
    admission = make_open()
    first, second = admit(admission), admit(admission)
    assert await first is True
    await asyncio.sleep(5.0)
    assert not second.done()
    admission.abandon_probe()
    assert await second is True
    assert time() == pytest.approx(6.0, abs=0.001)


@virtual
async def test_a_waiter_cancelled_as_it_is_refused_leaves_no_error_behind() -> None:
    """Its ``ServiceUnavailableError`` is retrieved, not reported to the loop."""
    admission = make_open()
    admission.breaker.start_probe()  # of another id, until after the patience is over
    waiting = admit(admission)
    await asyncio.sleep(125.0)
    fail(admission, probe=True)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    del waiting
    gc.collect()
    assert_nothing_left(admission)


@virtual
async def test_a_cancelled_waiter_costs_the_budget_nothing() -> None:
    admission = make_broke(2)
    waiting = admit(admission, AttemptKind.RETRY)
    await passes()
    waiting.cancel()
    for _ in range(5):
        admission.budget.deposit()
    admission.on_success(time(), probe=False)  # pumps before the task has run
    await asyncio.wait([waiting])
    assert admission.budget.level == pytest.approx(1.0)
    assert_nothing_left(admission)


# --- the laws, whatever happens ---


@dataclass
class Chaos:
    """Ids that are looked up as ``GetLookup`` does it, on a service whose state changes."""

    admission: Gate
    moods: list[str]
    rng: Random
    wire: int = 0
    first: int = 0
    retries: int = 0
    probing: int = 0
    worst_probing: int = 0
    unavailable: int = 0

    def answer(self) -> str:
        """Return what the service does now; each state lasts 3 s."""
        mood = self.moods[min(int(time() / 3.0), len(self.moods) - 1)]
        return self.rng.choice(["up", "down"]) if mood == "shaky" else mood

    async def look_up(self, start_at: float, *, patient: bool) -> None:
        await asyncio.sleep(start_at)
        admission = self.admission
        admission.enter()
        try:
            kind = AttemptKind.FIRST
            for _ in range(40):
                if admission.is_clear and kind is AttemptKind.FIRST:
                    admission.budget.deposit()
                    probe = False
                else:
                    probe = await admission.admit(kind, patient=patient)
                self.count(kind, probe=probe)
                answer = await self.exchange(probe=probe)
                if answer in {"up", "gone"}:
                    return
                if not probe:
                    kind = AttemptKind.REPEAT if answer == "busy" else AttemptKind.RETRY
                await asyncio.sleep(self.rng.uniform(0, 0.5))
        except ServiceUnavailableError:
            self.unavailable += 1
        finally:
            admission.leave()

    def count(self, kind: AttemptKind, *, probe: bool) -> None:
        if not probe:
            self.first += kind is AttemptKind.FIRST
            self.retries += kind is AttemptKind.RETRY

    async def exchange(self, *, probe: bool) -> str:
        self.probing += probe
        self.worst_probing = max(self.worst_probing, self.probing)
        try:
            await asyncio.sleep(self.rng.uniform(0, 0.3))
        except BaseException:
            if probe:
                self.admission.abandon_probe()
            raise
        finally:
            self.probing -= probe
        answer = self.answer()
        match answer:
            case "down":
                fail(self.admission, probe=probe)
            case "odd":
                self.admission.on_no_verdict(time(), probe=probe)
            case _:
                self.admission.on_success(time(), probe=probe)
        return answer

    async def run(self, starts: list[tuple[float, bool]], cancels: list[tuple[int, float]]) -> None:
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(self.look_up(at, patient=patient)) for at, patient in starts]
        timers = [loop.call_at(at, tasks[i % len(tasks)].cancel) for i, at in cancels]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for timer in timers:
            timer.cancel()
        assert all(r is None or isinstance(r, asyncio.CancelledError) for r in results)
        assert self.admission._at_work == 0
        assert_nothing_left(self.admission)


MOODS = st.lists(st.sampled_from(["up", "down", "down", "shaky", "busy", "odd"]), min_size=1)
MOMENTS = st.floats(0, 20) | st.sampled_from([0.0, 0.5, 1.0, 3.0, 7.0])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    moods=MOODS,
    starts=st.lists(st.tuples(MOMENTS, st.booleans()), min_size=1, max_size=40),
    cancels=st.lists(st.tuples(st.integers(0, 39), st.floats(0, 40) | MOMENTS), max_size=20),
    capacity=st.sampled_from([1.0, 3.0, 100.0]),
    threshold=st.sampled_from([1, 3, 20]),
    seed=st.integers(0, 2**32),
)
@example(
    moods=["down"],
    starts=[(0.0, True)] * 30,
    cancels=[(0, 1.0), (1, 1.0), (2, 1.0)],
    capacity=3.0,
    threshold=3,
    seed=1,
)
def test_whatever_happens_nothing_is_left_and_the_budget_holds(
    *,
    moods: list[str],
    starts: list[tuple[float, bool]],
    cancels: list[tuple[int, float]],
    capacity: float,
    threshold: int,
    seed: int,
) -> None:
    """Every id ends (a hang would be a ``StuckError``); one probe at a time.

    Retries that are not probes ≤ capacity + 0.2 · first attempts.
    """
    policy = RetryPolicy(
        budget_capacity=capacity, breaker_threshold=threshold, breaker_patience_s=30.0
    )
    chaos = Chaos(Gate(policy), moods, Random(seed))
    run_virtual(chaos.run(starts, cancels))
    assert chaos.retries <= capacity + 0.2 * chaos.first + 1e-6
    assert chaos.worst_probing <= 1


def test_an_endless_outage_costs_a_fifth_more_at_most() -> None:
    """Attempts that are not probes ≤ 1.2·N + 100, with the default policy."""
    chaos = Chaos(Gate(RetryPolicy()), ["shaky"], Random(3))
    run_virtual(chaos.run([(i / 100, True) for i in range(1000)], []))
    assert chaos.first == 1000
    assert chaos.first + chaos.retries <= 1.2 * 1000 + 100
    assert chaos.unavailable == 0
