"""What follows after a failed attempt: limits and jitter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instantly_async import errors
from instantly_async._fetch.retries import Retry, Tries, next_step
from instantly_async.errors import DecodeError, LeadError, ProtocolError
from instantly_async.settings import RetryPolicy

LONG = 1e9


def fail(
    tries: Tries,
    error: LeadError,
    policy: RetryPolicy = RetryPolicy(),
    draw: float = 1.0,
    max_elapsed_s: float = LONG,
) -> Retry | None:
    """Count a failed attempt, and the wait after it; return what follows."""
    tries.count(error)
    step = next_step(error, tries, policy, max_elapsed_s=max_elapsed_s, draw=draw)
    if step is not None and not step.is_free:
        tries.spent_s += step.wait_s
    return step


def waits(
    error: LeadError,
    policy: RetryPolicy = RetryPolicy(),
    draw: float = 1.0,
    max_elapsed_s: float = LONG,
) -> list[float]:
    """Return every wait until it gives up."""
    tries = Tries()
    result: list[float] = []
    while (step := fail(tries, error, policy, draw, max_elapsed_s)) is not None:
        assert step.is_free == isinstance(error, errors.RateLimitedError | DecodeError) or (
            isinstance(error, ProtocolError) and error.status is not None
        )
        result.append(step.wait_s)
        assert len(result) < 20_000
    return result


TRANSIENT = [
    errors.ConnectionFailedError("x"),
    errors.RequestTimeoutError("x"),
    errors.ServerError("x"),
    errors.ProtocolError("broken HTTP"),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
def test_a_transient_failure_is_tried_five_times(error: LeadError) -> None:
    """Full jitter below a ceiling that doubles: U(0, min(20, 0.25·2^i))."""
    assert waits(error) == [0.25, 0.5, 1.0, 2.0]
    assert waits(error, draw=0.0) == [0, 0, 0, 0]


def test_the_backoff_is_capped() -> None:
    policy = RetryPolicy(attempts=10)
    assert waits(TRANSIENT[0], policy)[-3:] == [16.0, 20.0, 20.0]


def test_a_429_is_repeated_ten_times() -> None:
    """Half of it fixed, half jitter: d/2 + U(0, d/2), d = min(20, 2^i)."""
    error = errors.RateLimitedError("x")
    assert waits(error) == [1, 2, 4, 8, 16, 20, 20, 20, 20, 20]
    assert waits(error, draw=0.0) == [0.5, 1, 2, 4, 8, 10, 10, 10, 10, 10]


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
    """And nothing overflows, however many attempts are allowed."""
    policy = RetryPolicy(
        attempts=attempts, throttled_attempts=attempts, backoff_base_s=base, backoff_cap_s=cap
    )
    error = errors.RateLimitedError("x") if throttled else errors.ServerError("x")
    result = waits(error, policy, jitter)
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
        (errors.NotFoundError("x"), 0),
        (errors.RequestRejectedError("x"), 0),
        (errors.InvalidLeadIdError("x"), 0),
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'reason', '')}",
)
def test_what_will_not_get_better_is_hardly_repeated(error: LeadError, repeats: int) -> None:
    assert len(waits(error)) == repeats


FOREIGN = [
    DecodeError("x", reason="foreign"),
    ProtocolError("x", status=302),
    ProtocolError("x", status=404),
]


@pytest.mark.parametrize("error", FOREIGN, ids=repr)
def test_what_is_no_answer_of_the_api_is_repeated_soon_and_often(error: LeadError) -> None:
    assert waits(error) == [0.25, 0.5, *[1.0] * 18]
    assert waits(error, RetryPolicy(attempts=2)) == [0.25, 0.5, 1.0, 1.0, 1.0]
    assert set(waits(error, RetryPolicy(backoff_cap_s=0.125))) == {0.125}
    tries = Tries()
    tries.spent_s = 120.0
    assert fail(tries, error, max_elapsed_s=120.0) is None


@pytest.mark.parametrize("error", FOREIGN, ids=repr)
def test_it_is_not_counted_against_the_id(error: LeadError) -> None:
    tries = Tries()
    for _ in range(15):
        assert fail(tries, error) is not None
    assert (tries.failures, tries.spent_s) == (0, 0.0)
    assert fail(tries, errors.ServerError("x")) == Retry(0.25, is_free=False)
    tries.start_over()
    assert fail(tries, error) == Retry(0.25, is_free=True)
    assert fail(Tries(max_failures=1), error) is None  # a page: there is another way


@pytest.mark.parametrize("error", [*TRANSIENT, *FOREIGN, DecodeError("x")], ids=repr)
def test_one_attempt_means_one(error: LeadError) -> None:
    """``RetryPolicy(attempts=1)`` repeats nothing."""
    assert waits(error, RetryPolicy(attempts=1)) == []


@given(
    st.lists(
        st.sampled_from([*TRANSIENT, DecodeError("x", reason="truncated")]),
        max_size=30,
    ),
    st.integers(1, 8),
)
def test_mixed_failures_share_the_attempts(failures: list[LeadError], attempts: int) -> None:
    tries = Tries()
    repeated = 0
    for error in failures:
        if fail(tries, error, RetryPolicy(attempts=attempts), 0.0) is None:
            break
        repeated += 1
    assert repeated <= attempts - 1
    assert tries.failures == min(len(failures), repeated + 1)


def test_throttles_do_not_use_up_attempts_or_time() -> None:
    tries = Tries()
    for _ in range(10):
        assert fail(tries, errors.RateLimitedError("x")) is not None
    assert (tries.failures, tries.throttles, tries.spent_s) == (0, 10, 0.0)
    assert fail(tries, errors.ServerError("x")) == Retry(0.25, is_free=False)


def test_repeats_of_a_body_are_counted_over_both_kinds() -> None:
    tries, policy = Tries(), RetryPolicy(attempts=9)
    assert fail(tries, DecodeError("x"), policy) is not None
    assert fail(tries, DecodeError("x", reason="other lead"), policy) is None


def test_an_id_has_only_so_much_time() -> None:
    """Attempts and backoff together; a wait that would exceed the cap does not begin."""
    error = errors.ServerError("x")
    assert waits(error, max_elapsed_s=0.76) == [0.25, 0.5]
    assert waits(error, max_elapsed_s=0.75) == [0.25]
    tries = Tries()
    tries.spent_s += 100.0
    assert fail(tries, error, draw=0.0, max_elapsed_s=120.0) == Retry(0.0, is_free=False)
    tries.spent_s += 20.0
    assert fail(tries, error, draw=0.0, max_elapsed_s=120.0) is None


def test_a_page_may_have_fewer_attempts_than_an_id() -> None:
    assert fail(Tries(max_failures=1), errors.ServerError("x")) is None
    tries = Tries(max_failures=2)
    assert fail(tries, errors.ServerError("x")) is not None
    assert fail(tries, errors.ServerError("x")) is None


def test_an_outage_is_forgiven() -> None:
    tries = Tries()
    while fail(tries, errors.ServerError("x")) is not None:
        pass
    tries.start_over()
    assert (tries.failures, tries.spent_s) == (0, 0.0)
    assert fail(tries, errors.ServerError("x")) == Retry(0.25, is_free=False)


def test_the_next_step_changes_nothing() -> None:
    """It is a pure function: the same arguments give the same result."""
    tries, error = Tries(), errors.ServerError("x")
    tries.count(error)
    before = dict(vars(tries))
    steps = {next_step(error, tries, RetryPolicy(), max_elapsed_s=LONG, draw=0.5) for _ in range(3)}
    assert steps == {Retry(0.125, is_free=False)}
    assert vars(tries) == before
