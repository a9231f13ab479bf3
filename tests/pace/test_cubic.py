"""The curve of the rate after a 429: a pure function of time."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instantly_async._pace.cubic import CUT_FACTOR, cubic_rate

RATES = st.floats(0.1, 1000)
SECONDS = st.floats(0, 1000)


@given(RATES)
def test_it_starts_at_the_cut_rate(rate: float) -> None:
    assert cubic_rate(rate, 0.0) == pytest.approx(CUT_FACTOR * rate)
    assert cubic_rate(rate, -5.0) == cubic_rate(rate, 0.0)


@given(RATES, SECONDS, SECONDS)
def test_it_never_falls(rate: float, one: float, other: float) -> None:
    sooner, later = sorted([one, other])
    assert cubic_rate(rate, sooner) <= cubic_rate(rate, later)


def test_it_is_fast_far_from_the_rate_that_was_too_much_and_slow_near_it() -> None:
    """From 76/s to 95 % of 95/s in 4 s, through 95/s at 10 s, and beyond it ever faster."""
    rates = [cubic_rate(95.0, second) for second in range(21)]
    assert rates[3] < 0.95 * 95 <= rates[4]
    assert rates[9] < 95.0 < rates[10]
    steps = [after - before for before, after in pairwise(rates)]
    assert min(steps) == min(steps[8:11])
    assert steps[19] > steps[0]
