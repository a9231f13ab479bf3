"""At the documented limit: strict sliding windows that count rejected calls, 50 ms latency.

The fake API runs in a separate process and counts every request. Rates are measured from the
first to the last outcome.
"""

import asyncio
import time
from collections.abc import Container
from itertools import islice
from typing import NamedTuple

from benchmarks.servers import RemoteFake, Tally, fake_process
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
    """Print and return one run; every ``every_unknown``-th id is unknown to the API."""
    unknown = set(islice(lead_ids(count), None, None, every_unknown)) if every_unknown else set()
    with fake_process(unknown=unknown) as fake:
        rate, seconds = asyncio.run(fetch(fake, count, strategy, unknown))
        tally = fake.tally()
    counts, (per_second, per_minute) = tally
    print(
        f"by {strategy:4} {count:6} ids, {len(unknown):3} unknown: {rate:7.1f}/s, "
        f"{seconds:6.2f} s, {counts.total()} requests, {counts[404]} × 404, {counts[429]} × 429, "
        f"most in 1 s {per_second} of 100, in 60 s {per_minute} of 6000"
    )
    return Run(rate, seconds, tally)


def main() -> None:
    """Measure short runs and then a long one; takes about two minutes."""
    print("targets, all with 0 × 429: 10,000 ids by list in 3 s and 101 requests or less;")
    print("each unknown id of a list gets its own 404;")
    print("by GET 1200 ids at 94/s or more, and 10,000 ids in 107 s or less")
    measure(10_000, "list")
    measure(10_000, "list", every_unknown=100)
    measure(1_200)
    measure(10_000)


if __name__ == "__main__":
    main()
