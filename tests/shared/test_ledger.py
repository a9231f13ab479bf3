"""The ledger's laws, and the same ledger in Lua, on a real Valkey."""

from collections.abc import Iterator
from random import Random

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_limits import ask, valkey
from virtual_loop import worst_window

from instantly_async import RateLimit
from instantly_async._pace import Act, Ledger
from instantly_async.redis.limiter import LEDGER

LIMITS = st.sampled_from([RateLimit(), RateLimit(share=0.3), RateLimit(per_minute=60)])


@given(LIMITS, st.integers(0, 10**6), st.booleans())
@settings(max_examples=30)
def test_windows_hold_whatever_is_reported(limit: RateLimit, seed: int, sets_back: bool) -> None:
    """For any number of processes, 429s and pauses, and also if the clock is set back."""
    random, ledger = Random(seed), Ledger()
    elapsed, clock, moments = 0.0, 1e9, []
    while elapsed < 90:
        elapsed += random.choice([0.0, 0.001, 0.3 / limit.rate, random.expovariate(limit.rate)])
        now = clock + elapsed
        if random.random() < 0.002:
            ask(ledger, now, limit, "throttled", random.random())
        elif random.random() < 0.002:
            ask(ledger, now, limit, "pause", random.random() * 2)
        elif sets_back and random.random() < 0.001:
            clock -= 3600.0
        grant = ledger.reserve(now, limit)
        assert grant.rate <= limit.rate
        if grant.pause_s:
            elapsed += grant.pause_s
        else:
            moments.append(elapsed + grant.wait_s)
            elapsed = max(elapsed, moments[-1] - 3 / limit.rate)
    assert moments == sorted(moments)
    assert worst_window(moments, 1.0) <= max(limit.per_second * limit.share - 1, limit.capacity + 1)
    assert worst_window(moments, 60.0) <= limit.per_minute * limit.share - 1


@pytest.fixture(scope="module")
def server() -> Iterator[redis.Redis]:
    with valkey() as server, redis.Redis.from_url(server.url) as client:
        yield client


ACTS: list[Act] = ["reserve", "reserve", "reserve", "reserve", "look", "pause", "throttled"]


@pytest.mark.parametrize(
    "limit", [RateLimit(), RateLimit(share=0.3), RateLimit(per_minute=30)], ids=str
)
def test_the_script_says_what_the_ledger_says(server: redis.Redis, limit: RateLimit) -> None:
    """The same answers to the same questions at the same times, also if the clock is set back."""
    at_given_time = LEDGER.replace("redis.call('TIME')", "{ARGV[5], ARGV[6]}")
    assert at_given_time != LEDGER
    script = server.register_script(at_given_time)
    random, ledger, now_us = Random(str(limit)), Ledger(), 1_764_000_000_000_000
    cuts = 0
    for _ in range(3000):
        now_us += random.choice([0, 100, int(1e6 / limit.rate), 40_000, 700_000])
        now_us -= 500_000 * (random.random() < 0.02)
        act, seconds = random.choice(ACTS), random.choice([0.0, 0.2, 1.5])
        expected = ask(ledger, now_us / 1e6, limit, act, seconds)
        burst_s = (limit.capacity - 1) / limit.rate
        time = divmod(now_us, 1_000_000)
        args = [act, seconds, limit.rate, burst_s, *time]
        answer = script(keys=[f"ledger {limit}"], args=args)
        assert [float(each) for each in answer.split()] == pytest.approx(
            list(expected), abs=2e-3
        )  # it keeps microseconds
        cuts = expected.cuts
    assert cuts > 20


def test_what_is_kept_ends(server: redis.Redis) -> None:
    """An hour after the last use, nothing of a limiter is left on the server."""
    script = server.register_script(LEDGER)
    script(keys=["ends"], args=["reserve", 0, 95, 0])
    assert 3600 <= server.ttl("ends") <= 3602
    script(keys=["ends"], args=["pause", 7200, 95, 0])
    assert 10_799 <= server.ttl("ends") <= 10_801
    assert server.type("ends") == b"hash"
