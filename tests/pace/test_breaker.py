"""The circuit breaker: its states."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from instantly_async._pace.breaker import CircuitBreaker
from instantly_async.settings import RetryPolicy


def opened(now: float = 0.0, **policy: Any) -> CircuitBreaker:
    breaker = CircuitBreaker(RetryPolicy(**policy))
    for _ in range(RetryPolicy(**policy).breaker_threshold):
        assert not breaker.is_open
        breaker.on_failure(now)
    assert breaker.is_open
    return breaker


def test_twenty_failures_in_a_row_open_it() -> None:
    breaker = CircuitBreaker(RetryPolicy())
    for _ in range(19):
        breaker.on_failure(0.0)
    breaker.on_success()
    for _ in range(19):
        breaker.on_failure(0.0)
    assert not breaker.is_open
    breaker.on_failure(5.0)
    assert breaker.is_open
    assert breaker.next_probe_at == 6.0
    assert breaker.gives_up_at == 125.0


def test_probes_go_at_growing_intervals_one_at_a_time() -> None:
    """After 1, 2, 4, 8, 16, 30, 30 … seconds from the end of the last."""
    breaker = opened()
    now = 0.0
    gaps = []
    for _ in range(8):
        gaps.append(breaker.next_probe_at - now)
        assert not breaker.probe_due(breaker.next_probe_at - 0.001)
        now = breaker.next_probe_at
        assert breaker.probe_due(now)
        breaker.start_probe()
        assert not breaker.probe_due(now + 1000)
        now += 5.0
        breaker.on_failure(now)
        breaker.end_probe(now)
    assert gaps == [1, 2, 4, 8, 16, 30, 30, 30]


def test_success_closes_it_and_resets_the_intervals() -> None:
    breaker = opened()
    for now in (1.0, 3.0):
        breaker.start_probe()
        breaker.end_probe(now)
    breaker.on_success()
    assert not breaker.is_open
    assert breaker.gives_up_at == float("inf")
    assert breaker.probe_due(0.0)
    for _ in range(20):
        breaker.on_failure(50.0)
    assert (breaker.is_open, breaker.next_probe_at, breaker.gives_up_at) == (True, 51.0, 170.0)


def test_further_failures_and_openings_change_nothing() -> None:
    breaker = opened(10.0)
    breaker.on_failure(60.0)
    breaker.open(70.0)
    assert (breaker.next_probe_at, breaker.gives_up_at) == (11.0, 130.0)


def test_it_gives_up_after_its_patience_until_someone_comes_again() -> None:
    breaker = opened(breaker_patience_s=30)
    assert breaker.gives_up_at == 30.0
    breaker.resume_waiting(20.0)
    assert breaker.gives_up_at == 30.0
    breaker.give_up()
    assert breaker.is_open
    assert breaker.gives_up_at == float("inf")
    breaker.resume_waiting(100.0)
    assert breaker.gives_up_at == 130.0
    assert breaker.probe_due(100.0)


def test_it_says_how_long_there_is_to_wait() -> None:
    """For the next probe and for the end; nothing when it is closed or nobody waits."""
    breaker = CircuitBreaker(RetryPolicy(breaker_patience_s=30))
    breaker.start_probe()
    assert (breaker.next_probe_s(0.0), breaker.gives_up_s(0.0)) == (None, None)
    breaker = opened(breaker_patience_s=30)
    assert (breaker.next_probe_s(0.25), breaker.gives_up_s(0.25)) == (0.75, 29.75)
    assert (breaker.next_probe_s(40.0), breaker.gives_up_s(40.0)) == (0.0, 0.0)
    breaker.start_probe()
    assert breaker.next_probe_s(0.25) == 0.0
    breaker.end_probe(2.0)
    assert breaker.next_probe_s(2.5) == 1.5
    breaker.give_up()
    assert (breaker.next_probe_s(2.5), breaker.gives_up_s(2.5)) == (None, None)
    breaker.resume_waiting(3.0)
    breaker.on_success()
    assert (breaker.next_probe_s(3.0), breaker.gives_up_s(3.0)) == (None, None)


def test_nobody_waits_for_a_closed_breaker() -> None:
    breaker = CircuitBreaker(RetryPolicy())
    breaker.resume_waiting(5.0)
    assert breaker.gives_up_at == float("inf")


@given(
    st.lists(st.sampled_from(["fail", "ok", "open", "start", "end", "give up", "resume", "wait"]))
)
def test_the_breaker_s_invariants(steps: list[str]) -> None:
    """Closed: no deadline. Open: the next probe is never more than 30 s after the last event."""
    breaker = CircuitBreaker(RetryPolicy(breaker_threshold=3))
    now = failures = 0.0
    for step in steps:
        now += 10.0 if step == "wait" else 0.1
        if step == "fail":
            breaker.on_failure(now)
            failures += 1
        elif step == "ok":
            breaker.on_success()
            failures = 0
        elif step == "open":
            breaker.open(now)
        elif step == "start" and breaker.probe_due(now):
            breaker.start_probe()
        elif step == "end" and breaker.probing:
            breaker.end_probe(now)
        elif step == "give up" and breaker.is_open:
            breaker.give_up()
        elif step == "resume":
            breaker.resume_waiting(now)
        assert breaker.next_probe_at <= now + 30
        assert breaker.is_open or breaker.gives_up_at == float("inf")
        assert breaker.gives_up_at == float("inf") or breaker.gives_up_at <= now + 120
        assert breaker.is_open or failures < 3
