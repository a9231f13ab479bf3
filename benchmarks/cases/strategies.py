"""10,000 ids by list and one by one, at the limits: time, requests, 429s.

The fake API runs in a separate process and counts every request. Its sliding windows are strict and
count rejected requests, too. Rates are measured from the first to the last outcome.
"""

import asyncio
import time
from collections.abc import Container
from itertools import islice
from typing import NamedTuple

from benchmarks.servers import RemoteFake, Tally, fake_process
from benchmarks.tables import Cell, Column, Table
from instantly_async import Found, InstantlyClient, NotFound, Strategy
from instantly_async.testing import lead_ids


class Run(NamedTuple):
    """One run: leads per second, total seconds, and what the fake counted."""

    rate: float
    seconds: float
    tally: Tally


async def fetch(
    fake: RemoteFake, count: int, strategy: Strategy, unknown: Container[str]
) -> tuple[float, float]:
    """Fetch and check; return the leads per second and the total seconds."""
    arrivals: list[float] = []
    began = time.perf_counter()
    async with InstantlyClient(fake.api_key, base_url=fake.url) as client:
        async with client.stream_leads(lead_ids(count), strategy=strategy) as stream:
            async for outcome in stream:
                assert isinstance(outcome, NotFound if outcome.lead_id in unknown else Found)
                arrivals.append(time.perf_counter())
    assert len(arrivals) == count
    return (count - 1) / (arrivals[-1] - arrivals[0]), time.perf_counter() - began


def measure(count: int, strategy: Strategy = "get", *, every_unknown: int | None = None) -> Run:
    """Return one run; every ``every_unknown``-th id is unknown to the API."""
    unknown = set(islice(lead_ids(count), None, None, every_unknown)) if every_unknown else set()
    with fake_process(unknown=unknown) as fake:
        rate, seconds = asyncio.run(fetch(fake, count, strategy, unknown))
        tally = fake.tally()
    return Run(rate, seconds, tally)


def row(count: int, strategy: Strategy, every_unknown: int | None = None) -> list[Cell]:
    """Measure one run; return its row."""
    rate, seconds, (counts, worst) = measure(count, strategy, every_unknown=every_unknown)
    unknown = f", 1 in {every_unknown} unknown" if every_unknown else ""
    return [
        f"by {strategy}, {count:,} ids{unknown}",
        rate,
        seconds,
        counts.total(),
        counts[404],
        counts[429],
        *worst,
    ]


def tables(*, count: int = 10_000, few: int = 1_200) -> list[Table]:
    """Measure short runs and then a long one; takes about two minutes."""
    columns = [
        Column("run"),
        Column("leads/s", 1),
        Column("time, s", 2),
        Column("requests"),
        Column("404s"),
        Column("429s"),
        Column("most in 1 s"),
        Column("most in 60 s"),
    ]
    rows = [row(count, "list"), row(count, "list", 100), row(few, "get"), row(count, "get")]
    notes = [
        "Strict windows of 100 in 1 s and 6,000 in 60 s, which count rejected calls; 50 ms.",
        "Targets: 0 × 429; 10,000 by list in 3 s and 101 requests, and a 404 per unknown id;",
        "by GET 94 leads/s and more, and 10,000 in 107 s.",
    ]
    return [Table("By list and by GET at the limit", columns, rows, notes)]
