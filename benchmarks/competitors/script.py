"""The script that people write for the whole job: ids from a file, leads into a file.

``python -m benchmarks.competitors.script IDS OUTPUT``; a name that ends in ``.parquet`` makes
Parquet. The server and the key are in the same variables as those of the command.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from aiolimiter import AsyncLimiter

PAGE = 100
IN_FLIGHT = 10
"""Enough for 100 pages per second at 50 ms."""


async def fetch(ids: list[str], keep: Callable[[dict[str, Any]], object]) -> None:
    """Fetch pages at 95 per second without bursts, and try again a second after a 429."""
    limiter = AsyncLimiter(1, 1 / 95)  # more careful than most, who write (100, 1)
    pages = iter([ids[first : first + PAGE] for first in range(0, len(ids), PAGE)])
    headers = {"Authorization": f"Bearer {os.environ['INSTANTLY_API_KEY']}"}
    url = f"{os.environ['INSTANTLY_BASE_URL']}/api/v2/leads/list"
    async with aiohttp.ClientSession(headers=headers) as session:

        async def get(page: list[str]) -> list[dict[str, Any]]:
            while True:
                query = {"ids": page, "limit": PAGE}
                async with limiter, session.post(url, json=query) as response:
                    if response.status != 429:
                        response.raise_for_status()
                        leads: list[dict[str, Any]] = (await response.json())["items"]
                        return leads
                await asyncio.sleep(1)

        async def work() -> None:
            for page in pages:
                for lead in await get(page):
                    keep(lead)

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


def to_lines(ids: list[str], output: Path) -> None:
    """Write each lead as soon as it is there."""
    with output.open("w", encoding="utf-8") as file:
        asyncio.run(fetch(ids, lambda lead: file.write(json.dumps(lead) + "\n")))


def to_parquet(ids: list[str], output: Path) -> None:
    """Keep all leads, and write one table of them."""
    import pyarrow as pa  # noqa: PLC0415 - only here
    import pyarrow.parquet as pq  # noqa: PLC0415 - likewise

    leads: list[dict[str, Any]] = []
    asyncio.run(fetch(ids, leads.append))
    for lead in leads:  # the keys in payload are any
        lead["payload"] = json.dumps(lead["payload"])
    pq.write_table(pa.Table.from_pylist(leads), output)


def main() -> None:
    """Do the job."""
    ids, output = Path(sys.argv[1]).read_text(encoding="ascii").split(), Path(sys.argv[2])
    (to_parquet if output.suffix == ".parquet" else to_lines)(ids, output)


if __name__ == "__main__":
    main()
