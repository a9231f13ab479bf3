"""niquests with workers and ``json``, as its users write it."""

from contextlib import asynccontextmanager
from functools import partial

import niquests

from benchmarks.competitors import pool
from benchmarks.competitors.contract import Opened, Task

RETRIES = niquests.RetryConfiguration(total=3, status_forcelist=(429, 503), backoff_factor=0.5)
"""As many as ``instantlyai`` has. The first is at once, the others after 1 s and 2 s."""


@asynccontextmanager
async def _workers(retries: niquests.RetryConfiguration | int, task: Task) -> Opened:
    """One session, as many workers and connections as may be in flight."""
    async with niquests.AsyncSession(
        pool_maxsize=task.in_flight, timeout=30.0, retries=retries
    ) as session:
        session.headers["Authorization"] = f"Bearer {task.key}"

        async def get(lead_id: str) -> object:
            response = await session.get(f"{task.url}/api/v2/leads/{lead_id}")
            return response.raise_for_status().json()

        yield partial(pool.work, task.in_flight, get)


workers = partial(_workers, 0)
with_retries = partial(_workers, RETRIES)
