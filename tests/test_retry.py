"""When to try again, purely: limits, jitter, the budget's law, the breaker's states."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instantly_async import errors
from instantly_async._fetch.page_size import PageSize
from instantly_async._pace import Tries
from instantly_async._pace.breaker import CircuitBreaker
from instantly_async._pace.budget import RetryBudget
from instantly_async.errors import DecodeError, InstantlyError, ProtocolError
from instantly_async.settings import RetryPolicy

LONG = 1e9


def high() -> float:
    return 1.0


def low() -> float:
    return 0.0


def waits(
    error: InstantlyError,
    policy: RetryPolicy = RetryPolicy(),
    rng: Callable[[], float] = high,
    max_elapsed_s: float = LONG,
) -> list[float]:
    """Give every wait until it gives up."""
    tries = Tries(policy, rng)
    result: list[float] = []
    while (wait := tries.wait_s(error, max_elapsed_s)) is not None:
        result.append(wait)
        assert len(result) < 20_000
    return result


TRANSIENT = [
    errors.ConnectionFailedError("x"),
    errors.RequestTimeoutError("x"),
    errors.ServerError("x"),
    errors.ProtocolError("broken HTTP"),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
def test_a_transient_failure_is_tried_five_times(error: InstantlyError) -> None:
    """Full jitter below a ceiling that doubles: U(0, min(20, 0.25·2^i))."""
    assert waits(error) == [0.25, 0.5, 1.0, 2.0]
    assert waits(error, rng=low) == [0, 0, 0, 0]


def test_the_backoff_is_capped() -> None:
    policy = RetryPolicy(attempts=10)
    assert waits(TRANSIENT[0], policy)[-3:] == [16.0, 20.0, 20.0]


def test_a_429_is_repeated_ten_times() -> None:
    """Half of it fixed, half jitter: d/2 + U(0, d/2), d = min(20, 2^i)."""
    error = errors.RateLimitedError("x")
    assert waits(error) == [1, 2, 4, 8, 16, 20, 20, 20, 20, 20]
    assert waits(error, rng=low) == [0.5, 1, 2, 4, 8, 10, 10, 10, 10, 10]


@given(
    attempts=st.integers(1, 3000),
    base=st.floats(1e-3, 1e3),
    cap=st.floats(1e-3, 1e3),
    jitter=st.floats(0, 1),
    throttled=st.booleans(),
)
def test_no_wait_leaves_its_bounds(
    attempts: int, base: float, cap: float, jitter: float, *, throttled: bool
) -> None:
    """Nor overflows, however many attempts are allowed."""
    policy = RetryPolicy(
        attempts=attempts, throttled_attempts=attempts, backoff_base_s=base, backoff_cap_s=cap
    )
    error = errors.RateLimitedError("x") if throttled else errors.ServerError("x")
    result = waits(error, policy, lambda: jitter)
    assert len(result) == (attempts if throttled else attempts - 1)
    for i, wait in enumerate(result):
        first = 1.0 if throttled else base
        ceiling = min(cap, first * 2.0 ** min(i, 60))
        assert wait <= ceiling
        assert wait >= (ceiling / 2 if throttled else 0)


@pytest.mark.parametrize(
    ("error", "repeats"),
    [
        (DecodeError("x", reason="truncated"), 2),
        (DecodeError("x", reason="malformed"), 1),
        (DecodeError("x", reason="other lead"), 1),
        (DecodeError("x", reason="oversized"), 0),
        (ProtocolError("x", status=302), 1),
        (ProtocolError("x", status=404), 1),
        (errors.NotFoundError("x"), 0),
        (errors.RequestRejectedError("x"), 0),
        (errors.InvalidLeadIdError("x"), 0),
        (errors.AuthenticationError("x"), 0),
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'reason', '')}",
)
def test_what_will_not_get_better_is_hardly_repeated(error: InstantlyError, repeats: int) -> None:
    assert len(waits(error)) == repeats


@pytest.mark.parametrize(
    "error", [*TRANSIENT, DecodeError("x"), ProtocolError("x", status=302)], ids=repr
)
def test_one_attempt_means_one(error: InstantlyError) -> None:
    """``RetryPolicy(attempts=1)`` repeats nothing."""
    assert waits(error, RetryPolicy(attempts=1)) == []


@given(
    st.lists(
        st.sampled_from(
            [*TRANSIENT, DecodeError("x", reason="truncated"), ProtocolError("x", status=302)]
        ),
        max_size=30,
    ),
    st.integers(1, 8),
)
def test_mixed_failures_share_the_attempts(failures: list[InstantlyError], attempts: int) -> None:
    tries = Tries(RetryPolicy(attempts=attempts), low)
    repeated = 0
    for error in failures:
        if tries.wait_s(error, LONG) is None:
            break
        repeated += 1
    assert repeated <= attempts - 1
    assert tries.failures == min(len(failures), repeated + 1)


def test_throttles_do_not_use_up_attempts_or_time() -> None:
    tries = Tries(RetryPolicy(), high)
    for _ in range(10):
        assert tries.wait_s(errors.RateLimitedError("x"), LONG) is not None
    assert (tries.failures, tries.throttles, tries.spent_s) == (0, 10, 0.0)
    assert tries.wait_s(errors.ServerError("x"), LONG) == 0.25


def test_repeats_of_a_body_are_counted_over_both_kinds() -> None:
    tries = Tries(RetryPolicy(attempts=9), low)
    assert tries.wait_s(DecodeError("x"), LONG) is not None
    assert tries.wait_s(ProtocolError("x", status=204), LONG) is None


def test_an_id_has_only_so_much_time() -> None:
    """Attempts and backoff together; a wait that would pass the cap is not begun."""
    error = errors.ServerError("x")
    assert waits(error, max_elapsed_s=0.76) == [0.25, 0.5]
    assert waits(error, max_elapsed_s=0.75) == [0.25]
    tries = Tries(RetryPolicy(), low)
    tries.spent_s += 100.0
    assert tries.remaining_s(120.0) == 20.0
    assert tries.wait_s(error, 120.0) == 0.0
    tries.spent_s += 20.0
    assert tries.wait_s(error, 120.0) is None


def test_an_outage_is_forgiven() -> None:
    tries = Tries(RetryPolicy(), high)
    while tries.wait_s(errors.ServerError("x"), LONG) is not None:
        pass
    tries.forgive()
    assert (tries.failures, tries.spent_s) == (0, 0.0)
    assert tries.wait_s(errors.ServerError("x"), LONG) == 0.25


# --- the retry budget ---


@given(
    steps=st.lists(st.booleans() | st.integers(1, 300), max_size=300),
    capacity=st.floats(0.5, 150),
    refill=st.floats(0.01, 1),
)
def test_the_budget_s_law(steps: list[bool | int], capacity: float, refill: float) -> None:
    """In any order: withdrawals ≤ capacity + refill · deposits."""
    budget = RetryBudget(RetryPolicy(budget_capacity=capacity, budget_refill=refill))
    deposits = withdrawals = 0
    for step in steps:
        for _ in range(int(step) or 1):
            if step is True:
                budget.deposit()
                deposits += 1
            else:
                withdrawals += budget.withdraw()
            assert withdrawals <= capacity + refill * deposits + 1e-6
            assert -1e-6 <= budget.level <= capacity


def test_a_full_purse_holds_a_hundred_retries() -> None:
    budget = RetryBudget(RetryPolicy())
    assert sum(budget.withdraw() for _ in range(500)) == 100


@pytest.mark.parametrize(("refill", "deposits"), [(0.2, 5), (0.1, 10), (0.05, 20), (1.0, 1)])
def test_one_retry_costs_a_whole_number_of_first_attempts(refill: float, deposits: int) -> None:
    """Not one more: ten tenths in binary come to a hair under one."""
    budget = RetryBudget(RetryPolicy(budget_refill=refill))
    while budget.withdraw():
        pass
    for _ in range(1000):
        for _ in range(deposits - 1):
            budget.deposit()
            assert not budget.withdraw()
        budget.deposit()
        assert budget.withdraw()


def test_a_full_purse_does_not_overflow() -> None:
    budget = RetryBudget(RetryPolicy(budget_capacity=2))
    for _ in range(100):
        budget.deposit()
    assert [budget.withdraw() for _ in range(3)] == [True, True, False]


# --- the circuit breaker ---


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


def test_a_page_size_halves_down_to_one() -> None:
    sizes = PageSize(100)
    seen = []
    while sizes.size > 1:
        sizes.on_rejected(sizes.size)
        seen.append(sizes.size)
    assert seen == [50, 25, 12, 6, 3, 1]


def test_a_refusal_of_a_length_that_was_taken_is_not_about_length() -> None:
    """Not the first one. A page that is taken later makes up for a hasty conclusion."""
    sizes = PageSize(100)
    sizes.on_accepted(100)
    sizes.on_rejected(100)
    assert sizes.size == 100
    sizes.on_rejected(100)
    assert sizes.size == 50
    sizes.on_accepted(100)
    assert sizes.size == 100


def test_one_id_that_is_refused_says_nothing_about_lengths() -> None:
    sizes = PageSize(100)
    sizes.on_rejected(1)
    assert sizes.size == 100


@given(length=st.integers(2, 100), refused=st.lists(st.integers(1, 100), max_size=8))
def test_pieces_are_shorter_and_lose_nothing(length: int, refused: list[int]) -> None:
    sizes = PageSize(100)
    for count in refused:
        sizes.on_rejected(count)
    ids = [str(number) for number in range(length)]
    pieces = sizes.cut(ids)
    assert [number for piece in pieces for number in piece] == ids
    assert all(0 < len(piece) <= min(sizes.size, (length + 1) // 2) for piece in pieces)
