"""What people write themselves over aiohttp."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
from aiolimiter import AsyncLimiter

from benchmarks.competitors import pool
from benchmarks.competitors.contract import Deliver, Opened, Task, shares

RETRIED = (429, 503)


@asynccontextmanager
async def _opened(task: Task, in_flight: int) -> AsyncIterator[Callable[..., Awaitable[object]]]:
    """Yield a function that gets one lead; ``in_flight`` 0: as many connections as it takes."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=in_flight),
        headers={"Authorization": f"Bearer {task.key}"},
        raise_for_status=True,
    ) as session:

        async def get(lead_id: str, headers: Mapping[str, str] | None = None) -> object:
            url = f"{task.url}/api/v2/leads/{lead_id}"
            async with session.get(url, headers=headers) as response:
                return await response.json()

        yield get


@asynccontextmanager
async def plain(task: Task) -> Opened:
    """All at once, with the connector as it is: 100 connections."""
    async with _opened(task, 100) as get:
        yield partial(pool.gather, get)


@asynccontextmanager
async def under_semaphore(task: Task) -> Opened:
    """Put a semaphore around ``get`` and ``response.json()``."""
    async with _opened(task, task.in_flight) as get:
        yield partial(pool.gather_under, asyncio.Semaphore(task.in_flight), get)


@asynccontextmanager
async def workers(task: Task) -> Opened:
    """Let workers take ids, and keep no results."""
    async with _opened(task, task.in_flight) as get:
        yield partial(pool.work, task.in_flight, get)


@asynccontextmanager
async def _under_limiter(
    rate: float, period_s: float, task: Task, *, retries: bool = False
) -> Opened:
    limiter = AsyncLimiter(rate, period_s)
    async with _opened(task, task.in_flight) as get:

        async def limited(lead_id: str) -> object:
            async with limiter:
                return await get(lead_id)

        async def fetch(ids: Iterable[str], deliver: Deliver) -> None:
            semaphore = asyncio.Semaphore(task.in_flight)
            one = _patient(limited) if retries else limited
            await pool.gather_under(semaphore, one, ids, deliver)

        yield fetch


with_limiter = partial(_under_limiter, 100, 1)
"""Put aiolimiter's 100 requests per second in front, as its documentation shows it."""

without_bursts = partial(_under_limiter, 1, 1 / 95)
"""The same with one request each 1/95 s, which its documentation advises against bursts."""

with_both = partial(_under_limiter, 1, 1 / 95, retries=True)
"""The same, and try again: the best that a page of code can do."""


def _patient(get: pool.Get) -> pool.Get:
    """Try again after a 429 or a 503, as often as ``instantlyai`` does, and about as late."""

    async def get_patiently(lead_id: str) -> object:
        for pause_s in (0.5, 1.0, 2.0):
            try:
                return await get(lead_id)
            except aiohttp.ClientResponseError as error:
                if error.status not in RETRIED:
                    raise
            await asyncio.sleep(pause_s)
        return await get(lead_id)

    return get_patiently


@asynccontextmanager
async def with_retries(task: Task) -> Opened:
    """Put retries around ``get``."""
    async with _opened(task, task.in_flight) as get:
        yield partial(pool.gather_under, asyncio.Semaphore(task.in_flight), _patient(get))


@asynccontextmanager
async def _in_workspaces(max_rate: float, period_s: float, task: Task) -> Opened:
    """Use one session, and a limiter for each workspace."""
    async with _opened(task, 0) as get:

        async def fetch_one(name: str, ids: list[str], deliver: Deliver) -> None:
            limiter = AsyncLimiter(max_rate, period_s)

            async def limited(lead_id: str) -> object:
                async with limiter:
                    return await get(lead_id, {"x-as-workspace": name})

            semaphore = asyncio.Semaphore(task.in_flight)
            await pool.gather_under(semaphore, limited, ids, deliver)

        async def fetch(ids: Iterable[str], deliver: Deliver) -> None:
            parts = shares(ids, task.workspaces)
            await asyncio.gather(*(fetch_one(*part, deliver) for part in parts.items()))

        yield fetch


in_workspaces = partial(_in_workspaces, 100, 1.0)
"""As people use it: the documented limit, and the limiter adds a burst of the same size."""

paced_in_workspaces = partial(_in_workspaces, 1, 1 / 95)
"""Its best setting: no burst, so the windows hold."""


@asynccontextmanager
async def by_list(task: Task) -> Opened:
    """Post pages of 100 ids, and read ``items``."""
    headers = {"Authorization": f"Bearer {task.key}"}
    connector = aiohttp.TCPConnector(limit=pool.PAGES_IN_FLIGHT)
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, raise_for_status=True
    ) as session:

        async def read(ids: list[str]) -> dict[str, object]:
            query = {"ids": ids, "limit": pool.PAGE}
            async with session.post(f"{task.url}/api/v2/leads/list", json=query) as response:
                page = await response.json()
            return {lead["id"]: lead for lead in page["items"]}

        yield partial(pool.work_on_pages, read)
