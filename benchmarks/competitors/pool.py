"""How people fetch many ids: all at once, under a semaphore, or by workers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice

from benchmarks.competitors.contract import Deliver

Get = Callable[[str], Awaitable[object]]


async def attempt(get: Get, lead_id: str, deliver: Deliver) -> object:
    """Get and deliver a lead, or deliver the error."""
    lead: object
    try:
        lead = await get(lead_id)
    except Exception as error:  # noqa: BLE001 - whatever a library raises is what its users get
        lead = error
    deliver(lead_id, lead)
    return lead


async def gather(get: Get, ids: Iterable[str], deliver: Deliver) -> None:
    """Start all at once. The list of results is what ``gather`` keeps."""
    await asyncio.gather(*(attempt(get, lead_id, deliver) for lead_id in ids))


async def gather_under(
    semaphore: asyncio.Semaphore, get: Get, ids: Iterable[str], deliver: Deliver
) -> None:
    """Start a task for each id; each waits for the semaphore."""

    async def limited(lead_id: str) -> object:
        async with semaphore:
            return await attempt(get, lead_id, deliver)

    await asyncio.gather(*map(limited, ids))


async def work(count: int, get: Get, ids: Iterable[str], deliver: Deliver) -> None:
    """Let so many workers take ids until none is left. They keep no results."""
    left = iter(ids)

    async def worker() -> None:
        for lead_id in left:
            await attempt(get, lead_id, deliver)

    await asyncio.gather(*(worker() for _ in range(count)))


PAGE = 100
PAGES_IN_FLIGHT = 8
"""As many as a stream of ours by list has."""


async def work_on_pages(
    read: Callable[[list[str]], Awaitable[dict[str, object]]],
    ids: Iterable[str],
    deliver: Deliver,
) -> None:
    """Let workers take pages of ids until none is left; ``read`` returns the leads of a page."""
    left = iter(ids)
    pages = iter(lambda: list(islice(left, PAGE)), [])

    async def worker(pages: Iterator[list[str]]) -> None:
        for page in pages:
            try:
                leads = await read(page)
            except Exception as error:  # noqa: BLE001 - as above
                leads = dict.fromkeys(page, error)
            for lead_id, lead in leads.items():
                deliver(lead_id, lead)

    await asyncio.gather(*(worker(pages) for _ in range(PAGES_IN_FLIGHT)))
