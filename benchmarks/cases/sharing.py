"""A workspace that others use, too: one stray 429, a competitor, two of ours.

The fake API runs in a separate process, with strict sliding windows. They count rejected
calls or not: which of the two the vendor's do is unknown.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection

import aiohttp

from benchmarks.servers import RemoteFake, fake_process
from benchmarks.tables import Cell, Column, Table
from instantly_async import InstantlyClient, Lead
from instantly_async.testing import lead_ids

CEILING = 95.0
WARM_UP = 1 / 7
"""Which part of a run is not counted."""

START_S = 30.0
COMPETITOR = 50.0
"""Requests per second of the other tool."""


async def endless() -> AsyncIterator[str]:
    """Yield ids for ever."""
    for lead_id in lead_ids(10**9):
        yield lead_id


async def keep_fetching(client: InstantlyClient[Lead], seconds: float) -> None:
    """Fetch leads for so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async with client.stream_leads(endless()) as stream:
                async for _ in stream:
                    pass


async def recover(fake: RemoteFake, seconds: float) -> float:
    """Return the seconds from the first 429 until 95 % of the ceiling is allowed again."""
    cut_at = back_at = None
    async with InstantlyClient(fake.api_key, base_url=fake.url) as client:
        fetching = asyncio.create_task(keep_fetching(client, seconds))
        while back_at is None and not fetching.done():
            await asyncio.sleep(0.02)
            stats = client.stats
            assert stats.allowed_rate is not None
            if cut_at is None and stats.throttled:
                cut_at = time.perf_counter()
            elif cut_at is not None and stats.allowed_rate >= 0.95 * CEILING:
                back_at = time.perf_counter()
        fetching.cancel()
        with suppress(asyncio.CancelledError):
            await fetching
    assert cut_at is not None
    return float("inf") if back_at is None else back_at - cut_at


async def compete(fake: RemoteFake, seconds: float) -> None:
    """Send requests at a steady rate, whatever the answers are."""
    headers = {"Authorization": f"Bearer {fake.api_key}"}
    began = time.perf_counter()
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.TaskGroup() as group:

        async def get(lead_id: str) -> None:
            async with session.get(f"{fake.url}/api/v2/leads/{lead_id}") as response:
                await response.read()

        for calls, lead_id in enumerate(islice(lead_ids(10**9), int(seconds * COMPETITOR))):
            await asyncio.sleep(began + calls / COMPETITOR - time.perf_counter())
            group.create_task(get(lead_id))


async def count(client: InstantlyClient[Lead], seconds: float) -> tuple[int, int]:
    """Fetch; return the leads and the 429s after the warm-up."""
    fetching = asyncio.create_task(keep_fetching(client, seconds))
    await asyncio.sleep(WARM_UP * seconds)
    before = client.stats
    await fetching
    after = client.stats
    return after.found - before.found, after.throttled - before.throttled


async def run_beside(fake: RemoteFake, seconds: float) -> tuple[float, float]:
    """Run beside the competitor; return the share of what it leaves, and the share of 429s."""
    async with InstantlyClient(fake.api_key, base_url=fake.url) as client:
        competing = asyncio.create_task(compete(fake, seconds))
        found, throttled = await count(client, seconds)
        await competing
    left = (100 - COMPETITOR) * (1 - WARM_UP) * seconds
    return found / left, throttled / (found + throttled)


def fetch_alone(url: str, api_key: str, seconds: float, pipe: Connection) -> None:
    """Fetch in this process, and send the leads and the 429s after the warm-up."""

    async def run() -> tuple[int, int]:
        async with InstantlyClient(api_key, base_url=url) as client:
            return await count(client, seconds)

    pipe.send(asyncio.run(run()))


def run_two(fake: RemoteFake, seconds: float) -> tuple[list[int], float]:
    """Run two processes that know nothing of each other; return their leads, and 429s a request."""
    context = get_context("spawn")
    ours, processes = [], []
    for _ in range(2):
        receiving, sending = context.Pipe(duplex=False)
        ours.append(receiving)
        arguments = (fake.url, fake.api_key, seconds, sending)
        processes.append(context.Process(target=fetch_alone, args=arguments))
    for process in processes:
        process.start()
    counts = [pipe.recv() if pipe.poll(seconds + START_S) else (0, 0) for pipe in ours]
    for process in processes:
        process.join()
    leads = [found for found, _ in counts]
    throttled = sum(throttled for _, throttled in counts)
    return leads, throttled / (sum(leads) + throttled)


def tables(*, seconds: float = 70.0) -> list[Table]:
    """Measure all; takes four minutes."""
    with fake_process(throttled=islice(lead_ids(51), 50, None)) as fake:
        back_s = asyncio.run(recover(fake, min(seconds, 20.0)))
    columns = [Column("what"), Column("figure", 1), Column("429s, %", 2), Column("target")]
    rows: list[list[Cell]] = [
        ["s until 95 % of the ceiling, after one stray 429", back_s, None, "6"],
    ]
    for count_rejected in (True, False):
        with fake_process(count_rejected=count_rejected) as fake:
            share, throttled = asyncio.run(run_beside(fake, seconds))
        counting = "counts" if count_rejected else "does not count"
        what = f"% of what {COMPETITOR:.0f}/s leave, if the API {counting} rejected calls"
        rows.append([what, share * 100, throttled * 100, "82, 0.7"])
    with fake_process() as fake:
        leads, throttled = run_two(fake, seconds)
    smaller = min(leads) / max(1, sum(leads)) * 100
    rate = sum(leads) / ((1 - WARM_UP) * seconds)
    rows += [
        ["% of all leads for the slower of two of ours", smaller, throttled * 100, "35, 3"],
        ["leads/s of both", rate, None, None],
    ]
    return [Table("A workspace that others use, too", columns, rows)]
