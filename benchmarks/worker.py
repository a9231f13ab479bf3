"""The process of one competitor: reads a task from stdin, and writes what came of it to stdout."""

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Callable

import msgspec
import psutil

from benchmarks.competitors import Run, Task, open_competitor
from benchmarks.competitors.contract import ComparedDelivery, Delivery
from benchmarks.memory import peak_mib
from instantly_async.testing import lead_ids

WARM_UP_SEED = 1_000
"""Other leads than those that are measured."""


async def run(task: Task) -> Run:
    """Compare some leads, and then fetch all. The process ends itself when the time is over."""
    async with open_competitor(task.competitor)(task) as fetch:
        compared = ComparedDelivery()
        await fetch(lead_ids(task.warm_up, WARM_UP_SEED), compared)
        assert compared.delivered == task.warm_up, compared.errors
        gc.collect()
        measured = Measured(task)
        # A thread, because a competitor may block its event loop for minutes.
        end = threading.Timer(task.time_limit_s, measured.end_process)
        end.start()
        try:
            await fetch(lead_ids(task.count, task.seed), measured.delivery)
        finally:
            end.cancel()
        return measured.result(finished=True)


class Measured:
    """What is measured while a task runs."""

    def __init__(self, task: Task) -> None:
        self.delivery = Delivery(keep_times=task.keep_waits)
        self._server = psutil.Process(task.server_pid) if task.server_pid else None
        self._server_s = busy_s(self._server)
        self._cpu_s = time.process_time()
        self._began = time.perf_counter()

    def result(self, *, finished: bool) -> Run:
        """Return what came of the task until now."""
        cpu_s = time.process_time() - self._cpu_s
        return Run(
            delivered=self.delivery.delivered,
            errors=dict(self.delivery.errors),
            finished=finished,
            seconds=(self.delivery.last_at if finished else time.perf_counter()) - self._began,
            cpu_s=cpu_s,
            server_s=busy_s(self._server) - self._server_s,
            peak_mib=peak_mib(),
            waits=[at - self._began for at in self.delivery.times],
        )

    def end_process(self) -> None:
        """Write what came of the task, and end this process whatever it does."""
        write(self.result(finished=False))
        os._exit(0)


def write(result: Run) -> None:
    """Write a result to stdout."""
    sys.stdout.buffer.write(msgspec.json.encode(result))
    sys.stdout.buffer.flush()


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
        write(runner.run(run(task)))


if __name__ == "__main__":
    main()
