"""1,000 concurrent loads with the loader: how many requests, and how long the callers wait.

There are no limits; the fake API has 50 ms latency and runs in a separate process. Each round
measures one page alone, then the loader, then the same number of ``get_lead`` calls. The first
round is not counted, because it opens the connections.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from benchmarks.servers import RemoteFake, fake_process
from instantly_async import InstantlyClient, Lead
from instantly_async.loader import FLUSH_S
from instantly_async.testing import lead_ids

PAGE = 100


class Round(NamedTuple):
    """One round: seconds for one page alone; requests and waits by loader and by GET."""

    page_s: float
    requests: int
    waits: list[float]
    gets: int
    get_waits: list[float]

    @property
    def apart_s(self) -> float:
        """Seconds between the fastest and the slowest caller of the loader."""
        return max(self.waits) - min(self.waits)

    @property
    def allowed_s(self) -> float:
        """The target: the most that ``apart_s`` may be."""
        return FLUSH_S + 2 * self.page_s


async def all_waits(load: Callable[[str], Awaitable[Lead]], ids: Iterable[str]) -> list[float]:
    """Load all leads concurrently; return how many seconds each caller waited."""

    async def wait(lead_id: str) -> float:
        began = time.perf_counter()
        assert (await load(lead_id)).id == lead_id
        return time.perf_counter() - began

    return await asyncio.gather(*map(wait, ids))


async def measure(fake: RemoteFake, count: int, rounds: int) -> list[Round]:
    """Measure this many rounds, each with different ids."""
    found: list[Round] = []
    async with InstantlyClient(fake.api_key, base_url=fake.url, rate_limit=None) as client:
        loader = client.loader()
        for seed in range(rounds + 1):
            ids = list(lead_ids(count, seed))
            began = time.perf_counter()
            await client.get_leads(ids[:PAGE], strategy="list")
            page_s = time.perf_counter() - began
            fake.tally()
            waits = await all_waits(loader.load, ids)
            requests = fake.tally().counts.total()
            get_waits = await all_waits(client.get_lead, ids)
            found.append(Round(page_s, requests, waits, fake.tally().counts.total(), get_waits))
    return found[1:]


def main(count: int = 1_000, rounds: int = 9) -> tuple[int, float]:
    """Print medians; return the most requests of a round, and the worst ratio of wait to target."""
    with fake_process(rate_limit=None) as fake:
        found = asyncio.run(measure(fake, count, rounds))

    def median_ms(of: Callable[[Round], float]) -> str:
        return f"{statistics.median(map(of, found)) * 1e3:.0f} ms"

    requests = max(each.requests for each in found)
    worst = max(each.apart_s / each.allowed_s for each in found)
    print(f"a page of {PAGE} alone takes {median_ms(lambda each: each.page_s)}")
    print(
        f"{count} concurrent loads: fastest {median_ms(lambda each: min(each.waits))}, "
        f"slowest {median_ms(lambda each: max(each.waits))}; "
        f"{requests} requests at most; target 12 or less"
    )
    print(
        f"slowest minus fastest {median_ms(lambda each: each.apart_s)}; "
        f"target {median_ms(lambda each: each.allowed_s)} or less; "
        f"at worst {worst:.2f} of the target (medians of {rounds} rounds)"
    )
    print(
        f"by get_lead: fastest {median_ms(lambda each: min(each.get_waits))}, "
        f"slowest {median_ms(lambda each: max(each.get_waits))}; "
        f"{max(each.gets for each in found)} requests"
    )
    return requests, worst


if __name__ == "__main__":
    main()
