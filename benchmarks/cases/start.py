"""Start-up: round trips until the first outcome, and the cost of the import."""

import asyncio
import statistics
import subprocess
import sys
import time

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


def main(rounds: int = 15) -> tuple[float, float]:
    """Print and return the round trips, and the ms that the import adds to its dependencies."""
    trips = asyncio.run(first_outcome())
    print(f"first outcome after {trips:.2f} round trips; target 2 or less")
    dependencies = "import aiohttp, msgspec"
    client = f"{dependencies}; from instantly_async import InstantlyClient"
    import_seconds(client)  # compiles the bytecode, which is not measured
    added = [import_seconds(client) - import_seconds(dependencies) for _ in range(rounds)]
    median_ms = statistics.median(added) * 1e3
    low, _, high = (quartile * 1e3 for quartile in statistics.quantiles(added, n=4))
    print(
        f"the import of InstantlyClient adds {median_ms:.0f} ms to aiohttp and msgspec "
        f"(median of {rounds}; quartiles {low:.0f} and {high:.0f}); target 60 or less"
    )
    return trips, median_ms


if __name__ == "__main__":
    main()
