"""The client of this package."""

import asyncio
from collections.abc import Iterable
from contextlib import asynccontextmanager
from functools import partial

from benchmarks.competitors.contract import Deliver, Opened, Task, shares
from instantly_async import Found, InstantlyClient, Lead, RateLimit, Strategy


async def _stream(
    client: InstantlyClient[Lead], strategy: Strategy, ids: Iterable[str], deliver: Deliver
) -> None:
    async with client.stream_leads(ids, strategy=strategy) as stream:
        async for outcome in stream:
            lead = outcome.lead if type(outcome) is Found else LookupError(type(outcome).__name__)
            deliver(str(outcome.lead_id), lead)


@asynccontextmanager
async def _open(strategy: Strategy, task: Task) -> Opened:
    async with InstantlyClient(
        task.key,
        base_url=task.url,
        rate_limit=RateLimit() if task.limited else None,
        concurrency=100 if task.limited else task.in_flight,
    ) as client:
        yield partial(_stream, client, strategy)


@asynccontextmanager
async def in_workspaces(task: Task) -> Opened:
    """Stream by *Get lead* from all workspaces at once, each at its own limits."""
    async with InstantlyClient(task.key, base_url=task.url) as client:

        async def fetch(ids: Iterable[str], deliver: Deliver) -> None:
            parts = shares(ids, task.workspaces)
            await asyncio.gather(
                *(
                    _stream(client.for_workspace(name), "get", part, deliver)
                    for name, part in parts.items()
                )
            )

        yield fetch


by_get = partial(_open, "get")
by_list = partial(_open, "list")
