"""Bad ids, bad days and outages, told apart by asking. Through every layer, on a virtual clock."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from virtual_api import Answer, Pages, Run, World, failing, found, page

from instantly_async import (
    Failed,
    RateLimit,
    RetryPolicy,
    ServiceUnavailableError,
    Strategy,
    TransientError,
    errors,
)
from instantly_async._http import Response
from instantly_async.testing import lead_ids

pytestmark = pytest.mark.soak


def failing_for(bad: set[str]) -> World:
    return lambda wire, _: failing(500) if wire in bad else found(wire)


def down_when(is_down: Callable[[float], bool]) -> tuple[World, Pages]:
    """Return both endpoints of a server that refuses connections at times."""

    def refused() -> Answer:
        return errors.ConnectionFailedError("no connection (Connection refused)")

    def world(wire: str, now: float) -> Answer:
        return refused() if is_down(now) else found(wire)

    def pages(wires: list[str], now: float) -> Answer:
        return refused() if is_down(now) else page(wires)

    return world, pages


def attempts_of(run: Run) -> int:
    """Return the attempts of all ids: what was sent, without the probes."""
    return sum(outcome.attempts for outcome in run.outcomes)


def require_law(run: Run) -> None:
    """Transient attempts ≤ 1.2·N + 100 + seconds."""
    assert attempts_of(run) <= 1.2 * len(run.outcomes) + 100 + run.ended_at


@pytest.mark.parametrize(
    ("where", "concurrency"), [("anywhere", 10), ("anywhere", 100), ("first", 100), ("last", 10)]
)
def test_ids_that_always_fail_hold_up_no_others(where: str, concurrency: int) -> None:
    """459 of 3,000. They wait for tokens of the budget, and hold no worker meanwhile."""
    ids = list(lead_ids(3000))
    sample = random.Random(5).sample(ids, 459)
    bad = set({"anywhere": sample, "first": ids[:459], "last": ids[-459:]}[where])
    run = Run(failing_for(bad), RateLimit(), concurrency=concurrency).over(ids)
    assert run.error is None
    assert run.recorder.failed == {"ServerError": 459}
    assert {o.lead_id for o in run.outcomes if isinstance(o, Failed)} == bad
    first_sent = {wire: at for at, wire in reversed(run.transport.sent)}
    # First attempts, the retries that the budget allows, and a few probes.
    assert max(first_sent[lead_id] for lead_id in ids) < (3000 + 700 + 200) / 95
    require_law(run)


@pytest.mark.parametrize("count", [8, 100])
@pytest.mark.parametrize("concurrency", [1, 100])
def test_bad_ids_at_the_end_fail_after_their_attempts(count: int, concurrency: int) -> None:
    """No other id is left to show that the service is alive: a probe does."""
    ids = list(lead_ids(600))
    run = Run(failing_for(set(ids[-count:])), RateLimit(), concurrency=concurrency).over(ids)
    assert run.error is None
    assert run.kinds() == {"Found": 600 - count, "Failed": count}
    assert all(o.attempts == 5 for o in run.outcomes if isinstance(o, Failed))
    assert run.ended_at < 600 / 20 + 4 * count
    require_law(run)


def test_ids_that_are_all_bad_fail_one_by_one() -> None:
    """No lead is known to be good: a random id is asked for, and 404 shows life, too."""
    ids = list(lead_ids(60))

    def world(wire: str, _: float) -> Answer:
        return failing(500 if wire in ids else 404)

    run = Run(world, RateLimit()).over(ids)
    assert run.error is None
    assert run.recorder.failed == {"ServerError": 60}


@pytest.mark.parametrize("strategy", ["get", "list"])
def test_a_bad_day_is_no_outage(strategy: str) -> None:
    """Every request fails with probability 0.3: hardly an id fails five times in a row."""
    rng = random.Random(3)

    def often(answer: Answer) -> Answer:
        return failing(503) if rng.random() < 0.3 else answer

    run = Run(
        lambda wire, _: often(found(wire)),
        RateLimit(),
        pages=lambda wires, _: often(page(wires)),
        strategy="list" if strategy == "list" else "get",
    ).over(lead_ids(3000))
    assert run.error is None
    assert run.kinds()["Found"] >= 0.99 * 3000
    assert all(o.attempts >= 5 for o in run.outcomes if isinstance(o, Failed))
    if strategy == "get":
        require_law(run)


@pytest.mark.parametrize("phase", [0.0, 1.3, 2.9, 3.5])
def test_a_server_that_restarts_all_the_time(phase: float) -> None:
    """Down for a second in every four: by GET it takes less than twice the time."""
    world, pages = down_when(lambda now: (now + phase) % 4 >= 3)
    run = Run(world, RateLimit()).over(lead_ids(5000))
    assert run.error is None
    assert run.kinds() == {"Found": 5000}
    assert run.ended_at <= 2 * 5000 / 95
    require_law(run)
    run = Run(world, RateLimit(share=0.05), pages=pages, strategy="list").over(lead_ids(5000))
    assert run.error is None
    assert run.kinds() == {"Found": 5000}
    assert run.ended_at > 8  # it has met some of the outages


def test_a_short_burst_of_failures_costs_a_probe() -> None:
    """As when a load balancer resets all its connections: the breaker opens, and closes again."""
    run = Run(down_when(lambda now: now % 3 < 0.1)[0], RateLimit()).over(lead_ids(2000))
    assert run.kinds() == {"Found": 2000}
    assert run.ended_at < 1.2 * 2000 / 95


# --- one endpoint is down -------------------------------------------------------------------


def test_get_lead_is_down_and_pages_go_on() -> None:
    """Row 37. By GET the run waits, probes and ends; by list only what pages leave out fails."""
    run = Run(lambda *_: failing(503), RateLimit()).over(lead_ids(300))
    assert isinstance(run.error, ServiceUnavailableError)
    assert 120 <= run.ended_at < 140
    assert len(run.transport.sent) < 60

    ids = list(lead_ids(5000))
    missing = set(ids[::50])
    run = Run(
        lambda *_: failing(503),
        RateLimit(),
        pages=lambda wires, _: page(set(wires) - missing),
        strategy="list",
    ).over(ids)
    assert run.error is None
    assert run.kinds() == {"Found": 4900, "Failed": 100}
    failed = [o for o in run.outcomes if isinstance(o, Failed)]
    assert {o.lead_id for o in failed} == missing
    assert all(isinstance(o.error, TransientError) for o in failed)
    assert "HTTP 503" in str(failed[0].error)
    assert run.ended_at < 200


def test_an_outage_after_pages_are_given_up_is_waited_for_once() -> None:
    """Pages do not go on, so nobody waits for them after Get lead is given up."""
    stranger = next(lead_ids(1, seed=9))
    world, answered = down_when(lambda now: now >= 1)

    def pages(wires: list[str], now: float) -> Answer:
        return page([*wires, stranger]) if now < 1 else answered(wires, now)

    run = Run(world, RateLimit(), pages=pages, strategy="list").over(lead_ids(3000))
    assert isinstance(run.error, ServiceUnavailableError)
    assert run.recorder.list_distrusted
    assert 120 < run.ended_at < 135


def test_get_lead_is_down_for_a_while_by_list() -> None:
    """What pages leave out waits for its end, and is found."""
    ids = list(lead_ids(5000))
    run = Run(
        lambda wire, now: failing(503) if now < 20 else found(wire),
        RateLimit(),
        pages=lambda wires, _: page(wires[1:]),
        strategy="list",
    ).over(ids)
    assert run.kinds() == {"Found": 5000}
    assert run.ended_at < 20 + 31


def test_get_lead_is_back_after_it_was_given_up() -> None:
    """Ids that come then are asked for again, once a probe has succeeded."""
    ids = list(lead_ids(20_000))
    run = Run(
        lambda wire, now: failing(503) if now < 250 else found(wire),
        RateLimit(per_second=3, per_minute=100),
        pages=lambda wires, _: page(wires[1:]),
        strategy="list",
    ).over(ids)
    assert run.error is None
    assert run.recorder.failed.keys() == {"TransientError"}
    late = [o for o in run.outcomes if o.index % 100 == 0 and o.index > 19_000]
    assert Counter(type(o).__name__ for o in late) == {"Found": len(late)}


@pytest.mark.parametrize("status", [500, 404])
def test_list_leads_is_down_and_get_goes_on(status: int) -> None:
    run = Run(pages=lambda *_: failing(status), rate_limit=RateLimit(), strategy="list")
    run.over(lead_ids(1000))
    assert run.error is None
    assert run.kinds() == {"Found": 1000}
    assert run.ended_at < 1000 / 95 + 10
    run = Run(pages=lambda *_: failing(status), rate_limit=RateLimit()).over(lead_ids(100))
    assert run.kinds() == {"Found": 100}


def test_an_outage_of_both_is_waited_out_by_the_page() -> None:
    """Ids whose page failed do not go one by one afterwards."""
    world, pages = down_when(lambda now: 1 <= now < 21)
    run = Run(world, RateLimit(share=0.1), pages=pages, strategy="list").over(lead_ids(3000))
    assert run.kinds() == {"Found": 3000}
    assert run.recorder.fallbacks == 0


def test_a_failed_check_does_not_end_a_run_by_list() -> None:
    """*Get lead* is down, and *List leads* fails now and then."""
    ids = list(lead_ids(5000))
    rng = random.Random(5)

    def pages(wires: list[str], _: float) -> Answer:
        return failing(503) if rng.random() < 0.2 else page(wires[1:] if len(wires) > 1 else wires)

    run = Run(lambda *_: failing(503), RateLimit(), pages=pages, strategy="list").over(ids)
    assert run.error is None
    assert run.kinds()["Found"] >= 0.95 * 5000


@pytest.mark.parametrize("back_at", [10.0, 100.0])
def test_list_leads_comes_back_alone(back_at: float) -> None:
    """Both were down. Pages go on, although *Get lead* stays down."""

    def pages(wires: list[str], now: float) -> Answer:
        return failing(503) if 1 <= now < back_at else page(wires)

    run = Run(
        lambda wire, now: failing(503) if now >= 1 else found(wire),
        RateLimit(share=0.05),
        pages=pages,
        strategy="list",
    ).over(lead_ids(5000))
    assert run.error is None
    assert run.kinds()["Found"] >= 0.8 * 5000
    assert run.ended_at < back_at + 31 + 130


def test_one_bad_id_in_each_page_delays_no_others() -> None:
    """A chunk whose last id waits counts as one id, and a page adds to the budget for each id."""
    ids = list(lead_ids(10_000))
    bad = set(ids[::100])
    run = Run(
        failing_for(bad),
        RateLimit(),
        pages=lambda wires, _: page(set(wires) - bad),
        strategy="list",
    ).over(ids)
    assert run.recorder.failed == {"ServerError": 100}
    assert max(at for at, wire in run.transport.sent if wire == "list") < 10
    assert run.ended_at < 120


def test_a_lead_that_turned_bad_is_not_the_only_probe() -> None:
    """It was found last, and is followed by bad ids."""
    ids = list(lead_ids(700))
    bad, seen = set(ids[500:540]), set()

    def world(wire: str, _: float) -> Answer:
        if wire in bad or (wire == ids[499] and wire in seen):
            return failing(500)
        seen.add(wire)
        return found(wire)

    run = Run(world, RateLimit(), concurrency=5).over(ids)
    assert run.error is None
    assert run.kinds() == {"Found": 660, "Failed": 40}


def test_a_service_that_flaps_every_second_is_no_outage() -> None:
    """Probes at exact seconds would meet it when it is down, in many phases."""
    for phase in range(10):

        def world(wire: str, now: float, phase: int = phase) -> Answer:
            return failing(503) if (now + phase / 10) % 1 < 0.3 else found(wire)

        run = Run(world, RateLimit(), seed=phase).over(lead_ids(500))
        assert run.error is None
        assert run.kinds()["Found"] >= 0.9 * 500


def test_an_id_does_not_start_over_without_end() -> None:
    """Each of its probes fails, although the service answers the others in between."""
    ids = list(lead_ids(3))

    def world(wire: str, _: float) -> Answer:
        return failing(500) if wire == ids[0] else found(wire)

    run = Run(world, concurrency=1, retry=RetryPolicy(attempts=1, breaker_threshold=1))
    down = iter(range(1000))
    real = run.transport.world

    def flapping(wire: str, now: float) -> Answer:
        # The probe after each attempt of the bad id fails, and the next one succeeds.
        if wire not in ids and next(down) % 2 == 0:
            return failing(500)
        return real(wire, now)

    run.transport.world = flapping
    run.over(ids)
    assert run.kinds()["Failed"] >= 1
    (failed,) = (o for o in run.outcomes if o.lead_id == ids[0])
    assert failed.attempts <= 1 + 10


def test_a_server_that_says_how_long_it_is_down_is_an_outage() -> None:
    """A 503 with ``Retry-After`` opens the breaker: one probe follows each pause."""
    policy = RetryPolicy(breaker_patience_s=150.0)
    run = Run(lambda *_: failing(503, Retry_After="70"), RateLimit(), policy).over(lead_ids(50))
    assert isinstance(run.error, ServiceUnavailableError)
    assert 150 <= run.ended_at < 150 + 3 * 77
    assert len(run.transport.sent) < 40


# --- without tokens -------------------------------------------------------------------------


def test_an_outage_without_tokens_is_noticed() -> None:
    """Row 41. The breaker has too few failures to open by itself; a probe opens it."""
    policy = RetryPolicy(budget_capacity=1, breaker_threshold=1000)
    open_at: list[float] = []

    def world(wire: str, now: float) -> Answer:
        if run.breaker.is_open and not open_at:
            open_at.append(now)
        return found(wire) if now < 5 else failing(503)

    run = Run(world, RateLimit(), policy, concurrency=10)
    run.over(lead_ids(5000))
    assert isinstance(run.error, ServiceUnavailableError)
    assert open_at[0] < 5 + 20
    assert run.ended_at < open_at[0] + 120 + 5


def test_a_single_lookup_without_tokens_fails_at_once() -> None:
    """``get_lead`` does not wait for a token, unlike a stream."""
    policy = RetryPolicy(budget_capacity=1, budget_refill=1e-9, budget_refill_per_s=1e-9)
    run = Run(lambda *_: failing(503), retry=policy, patient=False, concurrency=1)
    run.over(lead_ids(3))
    assert run.recorder.failed == {"ServerError": 3}
    assert [o.attempts for o in run.outcomes] == [2, 1, 1]


# --- soak -----------------------------------------------------------------------------------

FAULTS: list[Callable[[], Answer]] = [
    lambda: failing(503),
    lambda: failing(502),
    lambda: failing(429),
    lambda: failing(503, Retry_After="1"),
    lambda: errors.ConnectionFailedError("reset"),
    lambda: errors.RequestTimeoutError("slow"),
    lambda: errors.ProtocolError("no HTTP"),
    lambda: Response(200, {}, b'{"id": "cut'),
]


def soak(world: World, pages: Pages, strategy: Strategy) -> Run:
    """Fetch 10,000 ids, all of which must be found; pages slowly, so that they meet the faults."""
    limit = RateLimit(share=0.05) if strategy == "list" else RateLimit()
    run = Run(world, limit, pages=pages, strategy=strategy).over(lead_ids(10_000))
    assert run.error is None
    assert run.kinds() == {"Found": 10_000}
    return run


@pytest.mark.parametrize("strategy", ["get", "list"])
@pytest.mark.parametrize("bursts", [False, True])
def test_soak(strategy: Strategy, *, bursts: bool) -> None:
    """10,000 ids, 5 % faults of all kinds, or bursts of 0.5 to 3 s with nothing but faults."""
    rng = random.Random(8)
    starts = [10.0 * number + 5 * rng.random() for number in range(100)]
    ends = [start + rng.uniform(0.5, 3.0) for start in starts]

    def is_bad(now: float) -> bool:
        number = int(now // 10)
        in_burst = bursts and starts[number] <= now < ends[number]
        return in_burst or rng.random() < 0.05

    def world(wire: str, now: float) -> Answer:
        return rng.choice(FAULTS)() if is_bad(now) else found(wire)

    def pages(wires: list[str], now: float) -> Answer:
        return rng.choice(FAULTS)() if is_bad(now) else page(wires)

    run = soak(world, pages, strategy)
    throttled = run.recorder.throttled
    assert attempts_of(run) - throttled <= 1.2 * 10_000 + 100 + run.ended_at


@pytest.mark.parametrize("strategy", ["get", "list"])
def test_soak_with_an_outage(strategy: Strategy) -> None:
    """20 s in the middle: only probes are sent, no id fails, and it is back within 31 s."""
    world, pages = down_when(lambda now: 20 <= now < 40)
    run = soak(world, pages, strategy)
    by_list = strategy == "list"
    times = run.transport.times
    # Each of the 8 pages has five attempts, at 4.7 requests a second.
    assert sum((30 if by_list else 23) < at < 40 for at in times) <= 6
    back_at = next(at for at in times if at >= 40)
    assert back_at <= 40 + 31
    if not by_list:
        assert sum(back_at + 1 <= at < back_at + 2 for at in times) > 90
        require_law(run)
