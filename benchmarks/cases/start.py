"""Start-up: round trips until the first outcome, and the cost of the import."""

import asyncio
import subprocess
import sys
import time

from benchmarks.tables import Column, Spread, Table
from instantly_async import Found, InstantlyClient
from instantly_async.testing import FakeInstantly, lead_ids

LATENCY_S = 0.1


async def first_outcome() -> float:
    """Return the round trips from a new client's first id to its first outcome."""
    async with FakeInstantly(latency_s=LATENCY_S) as fake:
        async with InstantlyClient(fake.api_key, base_url=fake.url) as client:
            began = time.perf_counter()
            async with client.stream_leads(lead_ids(1_000)) as stream:
                assert isinstance(await anext(stream), Found)
                return (time.perf_counter() - began) / LATENCY_S


def import_seconds(statement: str) -> float:
    """Return the seconds that a fresh interpreter takes to run ``statement``."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(run.stdout)


def tables(*, rounds: int = 15) -> list[Table]:
    """Measure both; takes a quarter of a minute."""
    trips = asyncio.run(first_outcome())
    dependencies = "import aiohttp, msgspec"
    client = f"{dependencies}; from instantly_async import InstantlyClient"
    import_seconds(client)  # compiles the bytecode, which is not measured
    added = [import_seconds(client) - import_seconds(dependencies) for _ in range(rounds)]
    return [
        Table(
            "Start-up",
            [Column("what"), Column("figure", 2), Column("target")],
            [
                ["round trips until the first lead", trips, 2],
                [
                    "ms that the import adds to aiohttp and msgspec",
                    Spread.of([each * 1e3 for each in added]),
                    60,
                ],
            ],
        )
    ]
