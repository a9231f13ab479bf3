"""Start-up: round trips until the first outcome, and the cost of the import."""

import asyncio
import time
from tempfile import TemporaryDirectory

from benchmarks.children import run_python
from benchmarks.tables import Cell, Column, Spread, Table
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


def import_seconds(statement: str, cache: str) -> float:
    """Return the seconds that a new Python takes to run it; bytecode is kept in this folder."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    # Python may have been told to keep no bytecode; then it would compile anew each time.
    variables = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": cache}
    (seconds,) = run_python("-c", code, variables=variables)
    return seconds


def added_ms(rounds: int) -> list[float]:
    """Return the ms that the import of the client adds to that of aiohttp and msgspec."""
    dependencies = "import aiohttp, msgspec"
    client = f"{dependencies}; from instantly_async import InstantlyClient"
    with TemporaryDirectory() as cache:
        import_seconds(client, cache)  # compiles, which is not measured
        return [
            (import_seconds(client, cache) - import_seconds(dependencies, cache)) * 1e3
            for _ in range(rounds)
        ]


def tables(*, rounds: int = 15) -> list[Table]:
    """Measure both; takes a quarter of a minute."""
    trips = asyncio.run(first_outcome())
    columns = [Column("what"), Column("figure", 2), Column("target")]
    rows: list[list[Cell]] = [
        ["round trips until the first lead", trips, 2],
        ["ms that the import adds to aiohttp and msgspec", Spread.of(added_ms(rounds)), 60],
    ]
    return [Table("Start-up", columns, rows)]
