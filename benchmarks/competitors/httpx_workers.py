"""httpx with workers and ``json``, as its users write it."""

from contextlib import asynccontextmanager
from functools import partial

import httpx

from benchmarks.competitors import pool
from benchmarks.competitors.contract import Opened, Task


@asynccontextmanager
async def workers(task: Task) -> Opened:
    """One client, as many workers and connections as may be in flight."""
    limits = httpx.Limits(max_connections=task.in_flight, max_keepalive_connections=task.in_flight)
    headers = {"Authorization": f"Bearer {task.key}"}
    async with httpx.AsyncClient(
        base_url=task.url, headers=headers, limits=limits, timeout=30.0
    ) as client:

        async def get(lead_id: str) -> object:
            response = await client.get(f"/api/v2/leads/{lead_id}")
            return response.raise_for_status().json()

        yield partial(pool.work, task.in_flight, get)
