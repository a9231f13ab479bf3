"""At the documented limit: strict sliding windows that count rejected calls, 50 ms latency.

The fake API runs in a process of its own and counts every arrival; rates are from the first
to the last outcome.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection

from instantly_async import Found, InstantlyClient
from instantly_async.testing import FakeInstantly, lead_ids


def serve(pipe: Connection) -> None:
    """Run the fake until told to stop, then say what it counted."""
    with FakeInstantly(latency_s=0.05) as fake:
        pipe.send((fake.url, fake.api_key))
        pipe.recv()
        pipe.send((dict(fake.counts), tuple(fake.worst_windows())))


@contextmanager
def fake_process() -> Iterator[tuple[Connection, str, str]]:
    """Run the fake in another process; give the pipe to it, its URL and its key."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,))
    process.start()
    try:
        url, key = ours.recv()
        yield ours, url, key
    finally:
        process.terminate()
        process.join()


async def fetch(url: str, key: str, count: int) -> tuple[float, float]:
    """Fetch and check; give the leads per second and all the seconds it took."""
    arrivals: list[float] = []
    began = time.perf_counter()
    async with InstantlyClient(key, base_url=url) as client:
        async with client.stream_leads(lead_ids(count)) as stream:
            async for outcome in stream:
                assert isinstance(outcome, Found)
                arrivals.append(time.perf_counter())
    assert len(arrivals) == count
    return (count - 1) / (arrivals[-1] - arrivals[0]), time.perf_counter() - began


def measure(count: int) -> tuple[float, float]:
    """Print one run's rate, time, 429s and worst windows; give rate and seconds."""
    with fake_process() as (pipe, url, key):
        rate, seconds = asyncio.run(fetch(url, key, count))
        pipe.send("stop")
        counts, (per_second, per_minute) = pipe.recv()
    print(
        f"{count:6} ids: {rate:5.1f}/s, {seconds:6.1f} s, {counts.get(429, 0)} × 429, "
        f"most in 1 s {per_second} of 100, in 60 s {per_minute} of 6000"
    )
    return rate, seconds


def main() -> None:
    """Measure a short and a long run; about two minutes."""
    print("targets: 1200 ids at 94/s or more with 0 × 429; 10,000 ids in 107 s or less")
    for count in (1_200, 10_000):
        measure(count)


if __name__ == "__main__":
    main()
