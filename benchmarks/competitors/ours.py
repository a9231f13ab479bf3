"""The client of this package."""

import asyncio
from collections.abc import Iterable
from contextlib import asynccontextmanager
from functools import partial

from benchmarks.competitors import pool
from benchmarks.competitors.contract import Deliver, Opened, Task, shares
from instantly_async import Found, InstantlyClient, Lead, RateLimit, Strategy


async def stream(
    client: InstantlyClient[Lead], strategy: Strategy, ids: Iterable[str], deliver: Deliver
) -> None:
    """Fetch these ids, and deliver each lead or a ``LookupError``."""
    async with client.stream_leads(ids, strategy=strategy) as stream:
        async for outcome in stream:
            lead = outcome.lead if type(outcome) is Found else LookupError(type(outcome).__name__)
            deliver(str(outcome.lead_id), lead)


def make_client(task: Task) -> InstantlyClient[Lead]:
    """Return a client for this task."""
    return InstantlyClient(
        task.key,
        base_url=task.url,
        rate_limit=RateLimit() if task.limited else None,
        concurrency=task.in_flight,
    )


@asynccontextmanager
async def _open(strategy: Strategy, task: Task) -> Opened:
    async with make_client(task) as client:
        yield partial(stream, client, strategy)


@asynccontextmanager
async def in_workspaces(task: Task) -> Opened:
    """Stream by *Get lead* from all workspaces at once, each at its own limits."""
    in_flight = task.workspaces * task.in_flight
    async with InstantlyClient(task.key, base_url=task.url, concurrency=in_flight) as client:

        async def fetch(ids: Iterable[str], deliver: Deliver) -> None:
            parts = shares(ids, task.workspaces)
            await asyncio.gather(
                *(
                    stream(client.for_workspace(name), "get", part, deliver)
                    for name, part in parts.items()
                )
            )

        yield fetch


by_get = partial(_open, "get")
by_list = partial(_open, "list")


@asynccontextmanager
async def by_loader(task: Task) -> Opened:
    """Load each lead in a task of its own, as the handlers of a server do."""
    async with make_client(task) as client:
        yield partial(pool.gather, client.loader().load)


@asynccontextmanager
async def by_get_lead(task: Task) -> Opened:
    """Get each lead in a task of its own."""
    async with make_client(task) as client:
        yield partial(pool.gather, client.get_lead)
