"""A campaign by cursor and leads by email, beside bare requests; memory.

The fake API answers after 50 ms, in another process. The bare loop sends as many requests, one
after the other, and only reads the bytes: by cursor, no client can be faster. Each memory figure is
the peak of a fresh process, as the kernel reports it.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import msgspec

from benchmarks.children import run_python
from benchmarks.memory import peak_mib
from benchmarks.servers import LATENCY_S, RemoteFake, fake_process
from benchmarks.tables import Cell, Column, Spread, Table
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


def measure(workspace: int, emails: int, rounds: int) -> Table:
    """Measure the times, alternated."""
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
    ratios = [ours / floor for ours, floor in zip(listings, floors, strict=True)]
    columns = [Column("what"), Column("time, s", 2), Column("requests"), Column("× bare", 2)]
    rows: list[list[Cell]] = [
        ["bare requests, one after the other", Spread.of(floors), pages, None],
        [f"{count:,} leads of a campaign", Spread.of(listings), pages, Spread.of(ratios)],
        [f"the leads of {emails:,} emails", Spread.of(searches), counts.total(), None],
    ]
    notes = [
        f"By email {counts[429]} × 429, and {per_second} requests at most in a second.",
        f"{pages} × {LATENCY_S * 1e3:.0f} ms are {pages * LATENCY_S:.2f} s.",
        "Targets: 1.20 × bare, and 10,000 emails in 3 s.",
    ]
    return Table("Listings and searches by email", columns, rows, notes)


async def stream(url: str, key: str) -> None:
    """List the whole workspace, and keep none."""
    async with InstantlyClient(key, base_url=url, rate_limit=None) as client:
        async for outcome in client.list_leads():
            assert type(outcome) is Found


def peak_of(fake: RemoteFake) -> float:
    """Return the peak resident memory, in MiB, of a process that lists the workspace."""
    (peak,) = run_python("-m", __name__, fake.url, fake.api_key)
    return peak


def measure_memory(few: int, many: int) -> Table:
    """Return both peaks."""
    with fake_process(rate_limit=None, list_latency_s=0.0) as fake:
        fake.change(workspace_size=few)
        small = peak_of(fake)
        fake.change(workspace_size=many)
        large = peak_of(fake)
    columns = [Column("listing of"), Column("peak memory, MiB", 1)]
    rows: list[list[Cell]] = [[f"{few:,} leads", small], [f"{many:,} leads", large]]
    notes = [f"The ids take {many * 16 / 2**20:.1f} MiB, so that each lead is given once."]
    return Table("Memory of a listing", columns, rows, notes)


def tables(
    *,
    rounds: int = 5,
    workspace: int = 40_000,
    emails: int = 10_000,
    few: int = 20_000,
    many: int = 1_000_000,
) -> list[Table]:
    """Measure times, and then memory; takes about three minutes."""
    return [measure(workspace, emails, rounds), measure_memory(few, many)]


if __name__ == "__main__":
    asyncio.run(stream(*sys.argv[1:]))
    print(peak_mib())
