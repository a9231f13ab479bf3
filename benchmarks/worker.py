"""The process of one competitor: reads a task from stdin, and writes what came of it to stdout."""

import asyncio
import gc
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec
import psutil

from benchmarks.competitors import Run, Task, open_competitor
from benchmarks.competitors.contract import ComparedDelivery, Delivery
from benchmarks.memory import peak_mib
from instantly_async.testing import lead_ids

WARM_UP_SEED = 1_000
"""Other leads than those that are measured."""


async def run(task: Task) -> Run:
    """Compare some leads, and then fetch all."""
    server = psutil.Process(task.server_pid) if task.server_pid else None
    async with open_competitor(task.competitor)(task) as fetch:
        compared = ComparedDelivery()
        await fetch(lead_ids(task.warm_up, WARM_UP_SEED), compared)
        assert compared.delivered == task.warm_up, compared.errors
        gc.collect()
        delivery, finished = Delivery(), False
        before = busy_s(server)
        began, cpu = time.perf_counter(), time.process_time()
        with suppress(TimeoutError):
            async with asyncio.timeout(task.time_limit_s):
                await fetch(lead_ids(task.count, task.seed), delivery)
                finished = True
        cpu_s = time.process_time() - cpu
        return Run(
            delivered=delivery.delivered,
            errors=dict(delivery.errors),
            finished=finished,
            seconds=(delivery.last_at if finished else time.perf_counter()) - began,
            cpu_s=cpu_s,
            server_s=busy_s(server) - before,
            peak_mib=peak_mib(),
        )


def busy_s(server: psutil.Process | None) -> float:
    """Return the CPU seconds of a process so far."""
    if server is None:
        return 0.0
    times = server.cpu_times()
    return float(times.user + times.system)


def new_loop(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes an event loop of that name."""
    if name == "uvloop":
        import uvloop  # noqa: PLC0415 - only if it is asked for

        return uvloop.new_event_loop
    return asyncio.new_event_loop


def main() -> None:
    """Run one task."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    with asyncio.Runner(loop_factory=new_loop(task.loop)) as runner:
        sys.stdout.buffer.write(msgspec.json.encode(runner.run(run(task))))


if __name__ == "__main__":
    main()
