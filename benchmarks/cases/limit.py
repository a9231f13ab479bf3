"""1,000 ids at the documented limits: time, 429s, and what is lost."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from benchmarks.competitors import Run, Task
from benchmarks.running import check, installed, label, run
from benchmarks.servers import fake_process, find_haproxy, haproxy_before
from benchmarks.tables import Cell, Chart, Column, Table

NAMES = (
    "peer",
    "peer-semaphore",
    "peer-limit",
    "peer-best",
    "peer-list",
    "niquests",
    "httpx",
    "hand",
    "hand-semaphore",
    "hand-limiter",
    "hand-paced",
    "hand-both",
    "hand-list",
    "get",
    "list",
)
BY_LIST = ("peer-list", "hand-list", "list")
RATE = 100
"""Requests per second that are allowed."""

IN_FLIGHT = 10
"""Twice as many as the limit needs at this latency. Who is told nothing has its own number."""

AT_ONCE = 2
"""Runs at a time: each waits for most of its time, and has a server of its own."""


class Result(NamedTuple):
    """A run, how many requests it took, and how many of them got 429."""

    run: Run
    requests: int
    throttled: int


@contextmanager
def windows(**settings: Any) -> Iterator[tuple[str, str, Callable[[], tuple[int, int]]]]:
    """Yield the URL and the key of a fake with strict windows, and what counts its requests."""
    with fake_process(**settings) as fake:

        def counts() -> tuple[int, int]:
            counted, _ = fake.tally()
            return counted.total(), counted[429]

        yield fake.url, fake.api_key, counts


@contextmanager
def stick_tables(**settings: Any) -> Iterator[tuple[str, str, Callable[[], tuple[int, int]]]]:
    """Yield the same of a fake without limits behind HAProxy."""
    with fake_process(rate_limit=None, **settings) as fake, haproxy_before(fake.url) as haproxy:
        yield haproxy.url, fake.api_key, haproxy.counts


LIMITERS = {"strict windows": windows, "HAProxy stick tables": stick_tables}


def measure(limiter: str, count: int, seconds: float, name: str) -> Result:
    """Run one competitor against a limiter of its own."""
    with LIMITERS[limiter](latency_s=0.05, jitter_s=0.01) as (url, key, counts):
        ran = run(
            Task(
                competitor=name,
                url=url,
                key=key,
                count=count,
                in_flight=IN_FLIGHT,
                limited=True,
                time_limit_s=seconds,
            )
        )
        return Result(ran, *counts())


def row(name: str, count: int, result: Result) -> list[Cell]:
    """Return a row. Times are compared if nothing is lost, and shares if a request is a lead."""
    ran = result.run
    by_list, is_whole = name in BY_LIST, ran.delivered == count
    lasted = ran.seconds if is_whole else None
    return [
        label(name),
        ran.delivered,
        count - ran.delivered,
        lasted if ran.finished else f"more than {ran.seconds:.0f}",
        result.requests,
        result.throttled,
        None if by_list else max(0, result.requests - count),
        ran.delivered / ran.seconds / RATE * 100 if is_whole and not by_list else None,
        ran.cpu_s,
    ]


COLUMNS = [
    Column("client"),
    Column("leads"),
    Column("lost"),
    Column("time, s", 1),
    Column("requests"),
    Column("429s"),
    Column("retries"),
    Column("share of the rate, %"),
    Column("CPU, s", 2),
]


def tables(
    *, count: int = 1_000, seconds: float = 45.0, names: tuple[str, ...] = NAMES
) -> list[Table]:
    """Compare all behind strict windows, and behind HAProxy; takes about two minutes."""
    here, notes = installed(names)
    with fake_process(rate_limit=None, list_payload_keys={}) as fake:
        check(fake, here)
    found = []
    for limiter in LIMITERS:
        title = f"{count:,} ids behind {limiter}"
        if limiter != "strict windows" and find_haproxy() is None:
            found.append(Table(title, COLUMNS, [], ["haproxy is not installed, so left out."]))
            continue
        with ThreadPoolExecutor(AT_ONCE) as pool:
            results = pool.map(partial(measure, limiter, count, seconds), here)
            rows = [row(*each) for each in zip(here, [count] * len(here), results, strict=True)]
        charts = [Chart("lost"), Chart("time, s")]
        found.append(Table(title, COLUMNS, rows, notes, charts))
    return found
