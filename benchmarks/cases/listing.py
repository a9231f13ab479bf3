"""A campaign by cursor and leads by email, beside the bare round trips; memory of a listing.

The fake API answers after 50 ms, in another process. The bare loop sends as many requests, one
after the other, and only reads the bytes: by cursor, no client can be faster. Each memory figure is
the peak of a fresh process, as the kernel reports it.
"""

import asyncio
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import msgspec

from benchmarks.servers import LATENCY_S, RemoteFake, fake_process
from instantly_async import Found, InstantlyClient
from instantly_async.testing import campaign_ids, email_of, lead_ids, make_lead

CAMPAIGN = campaign_ids()[0]
PAGE = 100


async def bare(fake: RemoteFake, pages: int) -> None:
    """Send so many list requests one after the other, and read the bytes."""
    headers = {"Authorization": f"Bearer {fake.api_key}", "Content-Type": "application/json"}
    body = msgspec.json.encode({"campaign": CAMPAIGN, "limit": PAGE})
    async with aiohttp.ClientSession(headers=headers) as session:
        for _ in range(pages):
            async with session.post(f"{fake.url}/api/v2/leads/list", data=body) as response:
                assert len(await response.read()) > PAGE


async def list_campaign(fake: RemoteFake, count: int) -> None:
    """List the leads of a campaign, at the documented limits."""
    async with InstantlyClient(fake.api_key, base_url=fake.url) as client:
        found = [type(outcome) async for outcome in client.list_leads(campaign=CAMPAIGN)]
    assert found == [Found] * count


async def find_emails(fake: RemoteFake, count: int) -> None:
    """Find the leads of emails, at the documented limits."""
    async with InstantlyClient(fake.api_key, base_url=fake.url) as client:
        matches = client.find_leads(map(email_of, lead_ids(count)))
        found = [len(match.leads) async for match in matches]
    assert found == [1] * count


def timed(work: Callable[[], Coroutine[Any, Any, None]]) -> float:
    """Return the seconds that some work takes."""
    began = time.perf_counter()
    asyncio.run(work())
    return time.perf_counter() - began


def spread(values: list[float]) -> str:
    """Return the median of seconds, and their range."""
    return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


def measure(workspace: int = 40_000, emails: int = 10_000, rounds: int = 5) -> tuple[float, float]:
    """Print the times, alternated; return the ratio of a listing, and the seconds by email."""
    count = sum(make_lead(each)["campaign"] == CAMPAIGN for each in lead_ids(workspace))
    pages = -(-count // PAGE)
    floors, listings, searches = list[float](), list[float](), list[float]()
    with fake_process(workspace_size=workspace) as fake:
        for _ in range(rounds):
            fake.change(rate_limit=None)
            floors.append(timed(lambda: bare(fake, pages)))
            fake.change(rate_limit=(100, 6000))
            listings.append(timed(lambda: list_campaign(fake, count)))
            fake.change()
            searches.append(timed(lambda: find_emails(fake, emails)))
            counts, (per_second, _) = fake.tally()
    ratio = statistics.median(ours / floor for ours, floor in zip(listings, floors, strict=True))
    print(f"{count} leads of a campaign: {spread(listings)}")
    print(f"{pages} bare requests: {spread(floors)}; ratio {ratio:.2f}")
    print(f"target: 1.20 or less, also to {pages} × 50 ms, which are {pages * LATENCY_S:.2f} s")
    print(
        f"{emails} emails: {spread(searches)}, {counts.total()} requests, {counts[429]} × 429, "
        f"most in 1 s {per_second} of 100; target 3 s or less for 10,000"
    )
    return ratio, statistics.median(searches)


async def stream(url: str, key: str) -> None:
    """List the whole workspace, and keep none."""
    async with InstantlyClient(key, base_url=url, rate_limit=None) as client:
        async for outcome in client.list_leads():
            assert type(outcome) is Found


def peak_mib(fake: RemoteFake) -> float:
    """Return the peak resident memory, in MiB, of a process that lists the workspace."""
    command = [sys.executable, "-m", "benchmarks.cases.listing", fake.url, fake.api_key]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_memory(few: int, many: int) -> float:
    """Print both peaks; return their difference in MiB."""
    with fake_process(rate_limit=None, list_latency_s=0.0) as fake:
        fake.change(workspace_size=few)
        small = peak_mib(fake)
        fake.change(workspace_size=many)
        large = peak_mib(fake)
    print(f"{few:8} leads: {small:6.1f} MiB")
    print(f"{many:8} leads: {large:6.1f} MiB")
    print(f"difference {large - small:.1f} MiB; {many * 16 / 2**20:.1f} MiB are the ids")
    return large - small


def main() -> None:
    """Measure times, and then memory; takes about three minutes."""
    measure()
    measure_memory(few=20_000, many=1_000_000)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(stream(*sys.argv[1:]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        main()
