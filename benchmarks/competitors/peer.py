"""``instantlyai`` from PyPI, the closest peer: an async client over httpx and pydantic."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import asynccontextmanager
from functools import partial

import httpx
from instantlyai import AsyncInstantly

from benchmarks.competitors import pool
from benchmarks.competitors.contract import Deliver, Opened, Task

logging.getLogger("instantlyai").addHandler(logging.NullHandler())  # its warnings cost time


@asynccontextmanager
async def plain(task: Task) -> Opened:
    """As in its README: its own connections, and ``gather``."""
    async with AsyncInstantly(task.key, base_url=task.url) as client:
        yield partial(pool.gather, client.leads.retrieve)


@asynccontextmanager
async def under_semaphore(task: Task) -> Opened:
    """With a semaphore, and as many connections as that lets through."""
    async with AsyncInstantly(
        task.key, base_url=task.url, http_client=_connections(task.in_flight)
    ) as client:
        semaphore = asyncio.Semaphore(task.in_flight)
        yield partial(pool.gather_under, semaphore, client.leads.retrieve)


@asynccontextmanager
async def _paced(requests_per_minute: int, max_retries: int, task: Task) -> Opened:
    async with AsyncInstantly(
        task.key,
        base_url=task.url,
        requests_per_minute=requests_per_minute,
        max_retries=max_retries,
        http_client=_connections(task.in_flight),
    ) as client:

        async def fetch(ids: Iterable[str], deliver: Deliver) -> None:
            semaphore = asyncio.Semaphore(task.in_flight)
            await pool.gather_under(semaphore, client.leads.retrieve, ids, deliver)

        yield fetch


at_the_limit = partial(_paced, 6_000, 3)
"""With its own pace at the documented limit, its own retries, and a semaphore."""

below_the_limit = partial(_paced, 5_700, 10)
"""Its best settings: as fast as ours, with as many retries."""


@asynccontextmanager
async def by_list(task: Task) -> Opened:
    """With pages of 100 ids, which it validates item by item."""
    async with AsyncInstantly(
        task.key, base_url=task.url, http_client=_connections(pool.PAGES_IN_FLIGHT)
    ) as client:

        async def read(ids: list[str]) -> dict[str, object]:
            page = await client.leads.list(ids=ids, limit=pool.PAGE)
            return {str(lead.id): lead for lead in page.items}

        yield partial(pool.work_on_pages, read)


def _connections(in_flight: int) -> httpx.AsyncClient:
    """Return connections that stay open. By default httpx keeps 20 of them."""
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    return httpx.AsyncClient(limits=limits, timeout=httpx.Timeout(30.0, connect=5.0))
