"""CPU per lead by list without limits, compared with a bare aiohttp loop that decodes pages.

The bare loop requests the same pages, reads them and decodes them into ``list[Lead]``. Each round
measures four things in this process: decoding alone, the bare loop, our client by list, and our
client by GET. The server runs in another process.
"""

import asyncio
import statistics
from typing import NamedTuple

import aiohttp
import msgspec

from benchmarks.cost import KEY, cpu_per_lead, spread, stream_ours
from benchmarks.server import page_json, server_process
from instantly_async import InstantlyClient, Lead
from instantly_async.testing import lead_ids

PAGE = 100
IN_FLIGHT = 8  # as many as a stream by list


class Page(msgspec.Struct):
    """The answer to a list request."""

    items: list[Lead]


decode = msgspec.json.Decoder(Page).decode


class Costs(NamedTuple):
    """CPU seconds per lead, one per round."""

    alone: list[float]
    bare: list[float]
    by_list: list[float]
    by_get: list[float]


async def post_bare(session: aiohttp.ClientSession, url: str, pages: list[list[str]]) -> int:
    """Request, read and decode every page with workers over one session; return the bytes."""
    total = 0
    queue = iter(pages)

    async def work() -> None:
        nonlocal total
        for ids in queue:
            query = msgspec.json.encode({"ids": ids, "limit": PAGE})
            async with session.post(f"{url}/api/v2/leads/list", data=query) as response:
                body = await response.read()
            assert len(decode(body).items) == len(ids)
            total += len(body)

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return total


async def decode_alone(bodies: list[bytes]) -> int:
    """Decode every page; return the bytes."""
    for body in bodies:
        decode(body)
    return sum(map(len, bodies))


async def alternate(url: str, count: int, rounds: int) -> Costs:
    """Measure all four. By GET only a tenth of the leads, because each costs ten times as much."""
    ids = list(lead_ids(count))
    few = ids[: count // 10]
    pages = [ids[first : first + PAGE] for first in range(0, count, PAGE)]
    bodies = [page_json(page) for page in pages]
    costs = Costs([], [], [], [])
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=IN_FLIGHT), headers=headers
        ) as session,
        InstantlyClient(KEY, base_url=url, rate_limit=None) as client,
    ):
        for _ in range(rounds + 1):  # the first one opens the connections
            costs.alone.append(await cpu_per_lead(decode_alone(bodies), count))
            costs.bare.append(await cpu_per_lead(post_bare(session, url, pages), count))
            costs.by_list.append(await cpu_per_lead(stream_ours(client, ids, "list"), count))
            costs.by_get.append(await cpu_per_lead(stream_ours(client, few, "get"), len(few)))
    return Costs(*(each[1:] for each in costs))


def main(count: int = 4_000, rounds: int = 100) -> tuple[float, float]:
    """Print the CPU per lead; return the median ratios of list to bare, and of GET to list."""
    with server_process() as url:
        costs = asyncio.run(alternate(url, count, rounds))
    names = ("decoding alone", "bare aiohttp", "ours by list", "ours by GET")
    for name, seconds in zip(names, costs, strict=True):
        print(f"{name:15} {statistics.median(seconds) * 1e6:7.1f} µs CPU a lead")
    to_bare = [ours / bare for ours, bare in zip(costs.by_list, costs.bare, strict=True)]
    to_list = [get / by_list for get, by_list in zip(costs.by_get, costs.by_list, strict=True)]
    print(f"ours by list is {spread(to_bare)} × bare; target 1.35 or less, ideally 1.20")
    print(f"ours by GET is {spread(to_list)} × by list")
    return statistics.median(to_bare), statistics.median(to_list)


if __name__ == "__main__":
    main()
