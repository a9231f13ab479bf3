"""Resident memory of a process that streams 10,000 and then 200,000 ids, without limits.

Each count runs in a fresh process; what counts is its peak, as the kernel accounts it.
"""

import asyncio
import resource
import subprocess
import sys

from benchmarks.server import server_process
from instantly_async import Found, InstantlyClient
from instantly_async.testing import lead_ids


async def stream(url: str, count: int) -> None:
    """Stream ``count`` leads and keep none."""
    found = 0
    async with (
        InstantlyClient("key-for-benchmarks", base_url=url, rate_limit=None) as client,
        client.stream_leads(lead_ids(count)) as outcomes,
    ):
        async for outcome in outcomes:
            found += type(outcome) is Found
    assert found == count


def peak_mib(url: str, count: int) -> float:
    """Peak resident memory, in MiB, of a process that streams ``count`` leads."""
    command = [sys.executable, "-m", "benchmarks.memory", url, str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(few: int = 10_000, many: int = 200_000) -> float:
    """Print both peaks; give their difference in MiB. About a minute."""
    with server_process() as url:
        small, large = peak_mib(url, few), peak_mib(url, many)
    print(f"{few:7} ids: {small:6.1f} MiB")
    print(f"{many:7} ids: {large:6.1f} MiB")
    print(f"difference {large - small:.1f} MiB; target 10 MiB or less")
    return large - small


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(stream(sys.argv[1], int(sys.argv[2])))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        main()
