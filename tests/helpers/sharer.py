"""Fetches leads one by one until SIGTERM: ``python sharer.py API REDIS NUMBER``. Prints its counts.

One of several processes that share a limit. The API sees its number as the user agent.
"""

import asyncio
import json
import signal
import sys

from instantly_async import InstantlyClient, RetryPolicy
from instantly_async.redis import SharedLimiter
from instantly_async.testing import DEFAULT_API_KEY, lead_ids


async def main(api: str, server: str, number: str) -> None:
    async def fetch() -> None:
        ids = lead_ids(1_000_000, seed=int(number))
        async with client.stream_leads(ids, strategy="get") as stream:
            async for _ in stream:
                pass

    async with (
        SharedLimiter(server, "the workspace") as limiter,
        InstantlyClient(
            DEFAULT_API_KEY,
            base_url=api,
            limiter=limiter,
            user_agent=number,
            concurrency=20,
            retry=RetryPolicy(throttled_attempts=100),
        ) as client,
    ):
        task = asyncio.create_task(fetch())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await asyncio.wait([task])
        stats = client.stats
        counts = {"requests": stats.requests, "throttled": stats.throttled, "failed": stats.failed}
        sys.stdout.write(json.dumps(counts))
        if not task.cancelled():
            task.result()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
