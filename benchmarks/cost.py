"""CPU per lead without limits, compared with a bare aiohttp keep-alive loop that only reads.

Both run in this process, in alternating rounds, against one server in another process. The
figure is the median of the ratios, one ratio per round.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable

import aiohttp

from benchmarks.server import server_process
from instantly_async import Found, InstantlyClient, Lead, Strategy
from instantly_async.testing import lead_ids

IN_FLIGHT = 64
KEY = "key-for-benchmarks"


async def read_bare(session: aiohttp.ClientSession, url: str, ids: list[str]) -> int:
    """Read every body with workers over one keep-alive session; return the bytes read."""
    total = 0
    queue = iter(ids)

    async def work() -> None:
        nonlocal total
        for lead_id in queue:
            async with session.get(f"{url}/api/v2/leads/{lead_id}") as response:
                total += len(await response.read())

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return total


async def stream_ours(
    client: InstantlyClient[Lead], ids: list[str], strategy: Strategy = "get"
) -> int:
    """Stream every lead; return the bytes received."""
    async with client.stream_leads(ids, strategy=strategy) as stream:
        async for outcome in stream:
            assert type(outcome) is Found
    assert stream.stats.found == len(ids)
    return stream.stats.bytes_received


async def cpu_per_lead(run: Awaitable[int], count: int) -> float:
    """Return the CPU seconds of this process per lead."""
    before = time.process_time()
    size = await run
    assert size > 2_000 * count
    return (time.process_time() - before) / count


async def alternate(url: str, count: int, rounds: int) -> tuple[list[float], list[float]]:
    """Return the CPU seconds per lead of the bare loop and of our client, one per round."""
    ids = list(lead_ids(count))
    bare: list[float] = []
    ours: list[float] = []
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=IN_FLIGHT), headers=headers
        ) as session,
        InstantlyClient(KEY, base_url=url, rate_limit=None, concurrency=IN_FLIGHT) as client,
    ):
        for _ in range(rounds + 1):  # the first one opens the connections
            bare.append(await cpu_per_lead(read_bare(session, url, ids), count))
            ours.append(await cpu_per_lead(stream_ours(client, ids), count))
    return bare[1:], ours[1:]


def spread(ratios: list[float]) -> str:
    """Return the median and the quartiles as text."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} (median of {len(ratios)} rounds; quartiles {low:.2f} and {high:.2f})"


def main(count: int = 1_000, rounds: int = 60) -> float:
    """Print the CPU per lead of both; return the median ratio, ours to bare."""
    with server_process() as url:
        bare, ours = asyncio.run(alternate(url, count, rounds))
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    print(f"bare aiohttp     {statistics.median(bare) * 1e6:7.1f} µs CPU a lead")
    print(f"instantly-async  {statistics.median(ours) * 1e6:7.1f} µs CPU a lead")
    print(f"ratio {spread(ratios)}; target 0.70 or less")
    return statistics.median(ratios)


if __name__ == "__main__":
    main()
