"""Counters, the fixed-size histogram and frozen snapshots."""

import copy
import math
import pickle
import sys
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instantly_async._recorder import Histogram, RateMeter, Recorder
from instantly_async.stats import Counts

LATENCIES = st.lists(st.floats(1e-6, 200.0), min_size=1, max_size=200)


def histogram_of(seconds: list[float]) -> Histogram:
    histogram = Histogram()
    for value in seconds:
        histogram.record(value)
    return histogram


@given(LATENCIES, st.sampled_from([0.5, 0.95, 0.99, 1.0]) | st.floats(0.01, 1.0))
def test_a_quantile_is_within_nine_percent_of_the_sorted_one(
    seconds: list[float], share: float
) -> None:
    """Neighbouring buckets differ by 9 %, so the middle of one is within 4.5 %."""
    rank = share * len(seconds)
    exact = sorted(seconds)[math.ceil(rank) - 1]
    estimate = histogram_of(seconds).quantile(share)
    assert estimate is not None
    assert exact / 1.045 <= estimate <= exact * 1.045


@given(LATENCIES)
def test_quantiles_rise_with_their_share(seconds: list[float]) -> None:
    histogram = histogram_of(seconds)
    quantiles = [histogram.quantile(share / 20) or 0.0 for share in range(1, 21)]
    assert quantiles == sorted(quantiles)


@given(LATENCIES, LATENCIES)
def test_adding_histograms_is_recording_both(first: list[float], second: list[float]) -> None:
    total = histogram_of(first)
    total.add(histogram_of(second))
    both = histogram_of(first + second)
    for share in (0.5, 0.95, 0.99):
        assert total.quantile(share) == both.quantile(share)


def test_nothing_recorded_has_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-12, 1e-6])
def test_what_is_shorter_than_a_microsecond_counts_as_one(seconds: float) -> None:
    """A clock that steps back must not break a run."""
    assert histogram_of([seconds]).quantile(0.5) == pytest.approx(1e-6, rel=0.09)


def test_what_is_longer_than_the_scale_counts_at_its_end() -> None:
    assert histogram_of([1e9]).quantile(0.5) == pytest.approx(2**28 / 1e6, rel=0.09)


def test_a_histogram_does_not_grow() -> None:
    rng = Random(1)
    histogram = Histogram()
    slots = len(histogram._counts)
    for _ in range(10_000):
        histogram.record(rng.lognormvariate(-3, 4))
    assert len(histogram._counts) == slots == 28 * 8
    assert sum(histogram._counts) == 10_000


# --- RateMeter ---


@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5, 0.99])
def test_a_steady_rate_is_shown_as_it_is(phase: float) -> None:
    meter = RateMeter()
    for event in range(1000):
        meter.count(100 + event / 50)
    now = 119 + phase
    assert meter.rate(now, elapsed_s=1000) == pytest.approx(50, rel=0.25)
    assert meter.rate(120.0, elapsed_s=1000) == pytest.approx(50)


def test_a_young_run_is_measured_over_its_own_time() -> None:
    meter = RateMeter()
    meter.count(10.0, events=30)
    assert meter.rate(10.5, elapsed_s=0.5) == 60
    assert meter.rate(10.0, elapsed_s=0.0) == 0.0


def test_what_is_older_than_five_seconds_no_longer_counts() -> None:
    meter = RateMeter()
    meter.count(10.9, events=100)
    assert meter.rate(14.9, elapsed_s=100) > 0
    assert meter.rate(15.0, elapsed_s=100) == 0


@given(st.lists(st.floats(0, 1e6), max_size=200).map(sorted))
def test_a_meter_does_not_grow(times: list[float]) -> None:
    meter = RateMeter()
    for now in times:
        meter.count(now)
        assert meter.rate(now, elapsed_s=1.0) > 0
    assert len(meter._counts) <= 10


@given(
    st.lists(st.floats(0, 12), max_size=50).map(sorted),
    st.lists(st.floats(0, 12), max_size=50).map(sorted),
)
def test_meters_add_up(first: list[float], second: list[float]) -> None:
    def meter_of(times: list[float]) -> RateMeter:
        meter = RateMeter()
        for now in times:
            meter.count(now)
        return meter

    total = meter_of(first)
    total.add(meter_of(second))
    both = meter_of(sorted(first + second))
    assert total.rate(12.0, 60) == pytest.approx(both.rate(12.0, 60))


# --- Recorder and Stats ---


def busy_recorder(times: int) -> Recorder:
    recorder = Recorder()
    recorder.requested = 10 * times
    recorder.found = 5 * times
    recorder.not_found = 2 * times
    recorder.failed["ServerError"] = times
    recorder.failed["DecodeError"] = times
    recorder.in_flight = times
    recorder.requests = 12 * times
    recorder.retries = 3 * times
    recorder.throttled = times
    recorder.bytes_received = 1000 * times
    for _ in range(times):
        recorder.latency.record(0.05)
        recorder.meter.count(9.0)
    return recorder


def test_a_recorder_takes_over_all_counts_of_another() -> None:
    """A client adds up its streams: none of the counters may be forgotten."""
    total = busy_recorder(1)
    total.add(busy_recorder(2))
    assert total.snapshot(10.0, allowed_rate=95.0) == busy_recorder(3).snapshot(
        10.0, allowed_rate=95.0
    )
    ours = set(Counts.__struct_fields__)
    assert {name: getattr(total, name) for name in ours} == {
        name: getattr(busy_recorder(3), name) for name in ours
    }


def test_a_snapshot_holds_every_counter() -> None:
    recorder = busy_recorder(1)
    recorder.started_at = 7.5
    stats = recorder.snapshot(
        10.0, allowed_rate=66.5, paused_s=1.5, breaker_open=True, next_probe_s=4.0, gives_up_s=112.0
    )
    assert (stats.requested, stats.found, stats.not_found, stats.in_flight) == (10, 5, 2, 1)
    assert stats.failed == {"ServerError": 1, "DecodeError": 1}
    assert (stats.requests, stats.retries, stats.throttled) == (12, 3, 1)
    assert stats.bytes_received == 1000
    assert stats.done == 9
    assert (stats.allowed_rate, stats.paused_s, stats.breaker_open) == (66.5, 1.5, True)
    assert (stats.next_probe_s, stats.gives_up_s) == (4.0, 112.0)
    assert stats.elapsed_s == 2.5
    assert stats.rate == pytest.approx(0.4)
    for quantile in (stats.latency_p50_s, stats.latency_p95_s, stats.latency_p99_s):
        assert quantile == pytest.approx(0.05, rel=0.09)


def test_an_idle_recorder_has_a_snapshot() -> None:
    stats = Recorder().snapshot(10.0, allowed_rate=None)
    assert (stats.elapsed_s, stats.rate, stats.done) == (0.0, 0.0, 0)
    assert stats.latency_p50_s is None
    assert stats.allowed_rate is None
    assert (stats.next_probe_s, stats.gives_up_s) == (None, None)


def test_time_stops_with_the_run() -> None:
    recorder = Recorder()
    recorder.started_at, recorder.stopped_at = 10.0, 12.5
    assert recorder.snapshot(99.0, allowed_rate=None).elapsed_s == 2.5


def test_a_snapshot_stays_as_it_was() -> None:
    recorder = busy_recorder(1)
    stats = recorder.snapshot(10.0, allowed_rate=None)
    before = copy.deepcopy(stats)
    recorder.add(busy_recorder(5))
    assert stats == before
    with pytest.raises(AttributeError):
        stats.found = 7  # type: ignore[misc]  # that is the point


def test_a_snapshot_can_be_sent_and_logged() -> None:
    """Pickled to another process, written as JSON."""
    stats = busy_recorder(1).snapshot(10.0, allowed_rate=95.0)
    assert pickle.loads(pickle.dumps(stats)) == stats  # noqa: S301 - our own bytes
    assert msgspec.json.decode(msgspec.json.encode(stats), type=type(stats)) == stats


def test_a_recorder_has_a_fixed_size() -> None:
    """However much it counts: plain slots, no instance dictionary."""
    recorder = busy_recorder(1)
    assert not hasattr(recorder, "__dict__")
    size = sys.getsizeof(recorder.latency._counts)
    recorder.add(busy_recorder(50))
    assert sys.getsizeof(recorder.latency._counts) <= size * 1.2
