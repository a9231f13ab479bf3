"""Settings: the arithmetic that keeps both windows, and clear error messages."""

import dataclasses
import math
import pickle
from typing import Any

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from instantly_async.errors import ConfigurationError
from instantly_async.settings import (
    RateLimit,
    RetryPolicy,
    Timeouts,
    check_concurrency,
)

NO_NUMBERS: list[Any] = [
    0,
    -1,
    -0.5,
    math.nan,
    math.inf,
    -math.inf,
    True,
    "5",
    None,
    1j,
    10**400,
    10**5000,
]


def test_the_defaults_use_95_percent_of_the_vendor_s_limits() -> None:
    limit = RateLimit()
    assert (limit.per_second, limit.per_minute, limit.share) == (100, 6000, 1.0)
    assert (limit.capacity, limit.rate) == (2, 95)
    assert limit.capacity + limit.rate * 1 == 97
    assert limit.capacity + limit.rate * 60 == 5702


def test_half_a_share_halves_what_is_left_to_it() -> None:
    limit = RateLimit(share=0.5)
    assert (limit.capacity, limit.rate) == (2, 47)


@given(
    per_second=st.floats(0.001, 1e6) | st.integers(1, 10**6),
    per_minute=st.floats(0.001, 1e8) | st.integers(1, 10**8),
    share=st.floats(1e-6, 1.0),
)
def test_a_valid_setting_keeps_one_request_below_both_limits(
    per_second: float, per_minute: float, share: float
) -> None:
    """A bucket lets at most capacity + rate·t through in t seconds, wherever they begin."""
    try:
        limit = RateLimit(per_second=per_second, per_minute=per_minute, share=share)
    except ConfigurationError:
        reject()
    hair = 1e-9 * (per_second + per_minute)
    assert limit.rate > 0
    assert limit.capacity >= 1
    assert limit.capacity + limit.rate <= per_second * share - 1 + hair
    assert limit.capacity + limit.rate * 60 <= per_minute * share - 1 + hair


@given(per_second=st.floats(0.001, 1e6), per_minute=st.floats(0.001, 1e8), share=st.floats(1e-6, 1))
def test_a_setting_is_refused_only_when_no_rate_is_left(
    per_second: float, per_minute: float, share: float
) -> None:
    capacity = max(1.0, min(2.0, share * per_second / 25), share * per_second / 50)
    room = min(share * per_second, share * per_minute) - 1 - capacity
    assume(abs(room) > 1e-6)
    if room > 0:
        assert RateLimit(per_second=per_second, per_minute=per_minute, share=share).rate > 0
    else:
        with pytest.raises(ConfigurationError, match="leaves no request to send"):
            RateLimit(per_second=per_second, per_minute=per_minute, share=share)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (cls, field.name)
        for cls in (RateLimit, RetryPolicy, Timeouts)
        for field in dataclasses.fields(cls)
    ],
)
def test_every_number_must_be_positive_and_finite(settings: type[Any], name: str) -> None:
    for value in NO_NUMBERS:
        with pytest.raises(ConfigurationError, match=f"{name} must be a positive, finite number"):
            settings(**{name: value})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 1.01}, "share must be at most 1; 1.01 is more."),
        ({"share": 0.01}, "share=0.01 of 100/s and 6000/min leaves no request to send"),
        ({"per_second": 2}, "share=1.0 of 2/s and 6000/min leaves no request to send"),
        ({"per_minute": 3}, "share=1.0 of 100/s and 3/min leaves no request to send"),
    ],
)
def test_a_rate_limit_that_cannot_work_says_why(values: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RateLimit(**values)
    assert message in str(caught.value)


@pytest.mark.parametrize("settings", [RateLimit, RetryPolicy, Timeouts])
def test_settings_are_values(settings: type[Any]) -> None:
    """Equal, hashable, frozen, keyword-only, picklable; the repr is the call that makes them."""
    made = settings()
    assert made == settings()
    assert len({made, settings()}) == 1
    first = dataclasses.fields(settings)[0].name
    assert dataclasses.replace(made, **{first: 7}) != made
    assert eval(repr(made)) == made  # noqa: S307 - that is what a repr promises
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301 - our own bytes
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, first, 7)
    with pytest.raises(TypeError):
        settings(7)


def test_the_reprs_read_well() -> None:
    assert repr(RateLimit(share=0.5)) == "RateLimit(per_second=100, per_minute=6000, share=0.5)"
    assert repr(Timeouts()).startswith("Timeouts(connect_s=10.0, read_s=15.0, total_s=30.0, ")


def test_the_defaults_of_the_design() -> None:
    policy = RetryPolicy()
    assert (policy.attempts, policy.throttled_attempts) == (5, 10)
    assert (policy.max_elapsed_s, policy.list_max_elapsed_s) == (120, 300)
    assert (policy.backoff_base_s, policy.backoff_cap_s) == (0.25, 20)
    assert (policy.budget_capacity, policy.budget_refill) == (100, 0.2)
    assert (policy.breaker_threshold, policy.breaker_patience_s) == (20, 120)
    assert policy.max_retry_after_s == 120
    times = Timeouts()
    assert (times.connect_s, times.read_s, times.total_s) == (10, 15, 30)
    assert (times.list_read_s, times.list_total_s) == (60, 120)


def test_a_budget_without_a_whole_token_is_refused() -> None:
    """A retry would wait for ever."""
    with pytest.raises(ConfigurationError, match="budget_capacity must be at least 1"):
        RetryPolicy(budget_capacity=0.5)
    assert RetryPolicy(budget_capacity=1).budget_capacity == 1


@pytest.mark.parametrize("name", ["attempts", "throttled_attempts", "breaker_threshold"])
def test_counts_are_whole(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be a whole number"):
        RetryPolicy(**{name: 2.0})  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("value", [1, 100, 10**6])
def test_concurrency_is_a_whole_number_from_one_up(value: int) -> None:
    assert check_concurrency(value) == value


@pytest.mark.parametrize("value", [0, -1, 2.0, True, "5", None, math.inf])
def test_another_concurrency_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="concurrency must be a whole number"):
        check_concurrency(value)
