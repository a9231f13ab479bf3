"""Resident memory of processes that stream few and then many ids, without limits.

Each count runs in a fresh process. The figure is its peak memory, as the kernel reports it.
"""

import asyncio
import resource
import subprocess
import sys
from typing import cast

from benchmarks.server import server_process
from instantly_async import Found, InstantlyClient, Strategy
from instantly_async.testing import lead_ids


async def stream(url: str, count: int, strategy: Strategy) -> None:
    """Stream ``count`` leads and keep none."""
    found = 0
    async with (
        InstantlyClient("key-for-benchmarks", base_url=url, rate_limit=None) as client,
        client.stream_leads(lead_ids(count), strategy=strategy) as outcomes,
    ):
        async for outcome in outcomes:
            found += type(outcome) is Found
    assert found == count


def peak_mib(url: str, count: int, strategy: Strategy) -> float:
    """Return the peak resident memory, in MiB, of a process that streams ``count`` leads."""
    command = [sys.executable, "-m", "benchmarks.memory", url, str(count), strategy]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(strategy: Strategy, few: int, many: int, target_mib: int) -> float:
    """Print both peaks; return their difference in MiB."""
    with server_process() as url:
        small, large = peak_mib(url, few, strategy), peak_mib(url, many, strategy)
    print(f"by {strategy:4} {few:8} ids: {small:6.1f} MiB")
    print(f"by {strategy:4} {many:8} ids: {large:6.1f} MiB")
    print(f"difference {large - small:.1f} MiB; target {target_mib} MiB or less")
    return large - small


def main() -> None:
    """Measure both strategies; takes about two minutes."""
    measure("list", few=20_000, many=1_000_000, target_mib=30)
    measure("get", few=10_000, many=200_000, target_mib=10)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(stream(sys.argv[1], int(sys.argv[2]), cast(Strategy, sys.argv[3])))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        main()
