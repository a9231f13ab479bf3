"""The sliding rate windows against brute force, on injected times."""

from hypothesis import given
from hypothesis import strategies as st

from instantly_async.testing import most_in_window
from instantly_async.testing.windows import MINUTE_S, SECOND_S, RateWindows

# Quarters of a second are exact in binary: two times can be just one window apart.
TIMES = st.lists(st.integers(0, 300), max_size=60).map(lambda ts: [t / 4 for t in sorted(ts)])
LIMITS = st.tuples(st.integers(0, 4), st.integers(0, 12))


def in_window(times: list[float], end: float, width_s: float) -> int:
    return sum(end - width_s < time <= end for time in times)


@given(times=TIMES, width_s=st.sampled_from([0.25, 1.0, 60.0]))
def test_most_in_window_is_the_largest_of_all_windows(times: list[float], width_s: float) -> None:
    expected = max((in_window(times, end, width_s) for end in times), default=0)
    assert most_in_window(times, width_s) == expected


@given(times=TIMES, limit=LIMITS, count_rejected=st.booleans())
def test_admission_agrees_with_brute_force(
    *, times: list[float], limit: tuple[int, int], count_rejected: bool
) -> None:
    windows, counted = RateWindows(), list[float]()
    for now in times:
        per_second = in_window(counted, now, SECOND_S)
        per_minute = in_window(counted, now, MINUTE_S)
        expected = per_second < limit[0] and per_minute < limit[1]
        assert windows.admit(now, limit, count_rejected=count_rejected) is expected
        if expected or count_rejected:
            counted.append(now)


@given(times=TIMES, limit=LIMITS, count_rejected=st.booleans())
def test_what_is_admitted_never_exceeds_the_limit(
    *, times: list[float], limit: tuple[int, int], count_rejected: bool
) -> None:
    windows = RateWindows()
    admitted = [t for t in times if windows.admit(t, limit, count_rejected=count_rejected)]
    assert most_in_window(admitted, SECOND_S) <= limit[0]
    assert most_in_window(admitted, MINUTE_S) <= limit[1]


def test_a_client_that_never_pauses_starves_when_rejected_calls_count() -> None:
    """The strict reading: 429s keep the window full."""
    strict, lenient = RateWindows(), RateWindows()
    times = [n / 10 for n in range(40)]
    assert sum(strict.admit(t, (5, 6000)) for t in times) == 5
    assert sum(lenient.admit(t, (5, 6000), count_rejected=False) for t in times) == 20
