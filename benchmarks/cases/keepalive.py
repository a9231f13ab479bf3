"""Servers that close idle connections after 1 s and 5 s, at three shares of the limit.

Each case has a server of its own (``aiohttp.web`` with 30 ms latency) in a separate process. The
figures are the leads per second from the first to the last outcome as a part of the allowed rate,
and the most connections that the server had open. Runs on asyncio and on uvloop. A client written
by hand runs at the whole limit for comparison.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import NamedTuple

import uvloop
from aiohttp import web

from benchmarks.competitors import Run, Task
from benchmarks.running import label, run
from benchmarks.tables import Cell, Column, Table
from instantly_async import Found, InstantlyClient, RateLimit
from instantly_async.testing import lead_ids, lead_json

LATENCY_S = 0.03
KEEPALIVES_S = (1.0, 5.0)
SHARES = (1.0, 0.3, 0.1)
BY_HAND = "hand-limiter"
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class Case(NamedTuple):
    """One run, with the part of the allowed rate that it reached and the most connections."""

    loop: str
    keepalive_s: float
    share: float
    used: float
    most_open: int
    requests: int
    leads: int


async def serve(pipe: Connection, keepalive_s: float) -> None:
    """Send the URL, serve until a message comes, send the most connections that were open."""
    most_open = 0

    async def get_lead(request: web.Request) -> web.Response:
        nonlocal most_open
        assert runner.server is not None
        most_open = max(most_open, len(runner.server.connections))
        await asyncio.sleep(LATENCY_S)
        return web.Response(
            body=lead_json(request.match_info["id"]), content_type="application/json"
        )

    app = web.Application()
    app.router.add_get("/api/v2/leads/{id}", get_lead)
    runner = web.AppRunner(app, keepalive_timeout=keepalive_s)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.to_thread(pipe.recv)
    pipe.send(most_open)
    await runner.cleanup()


def run_server(pipe: Connection, keepalive_s: float) -> None:
    """Run the server in this process."""
    asyncio.run(serve(pipe, keepalive_s))


@contextmanager
def server_process(keepalive_s: float) -> Iterator[Connection]:
    """Run a server in another process; yield the pipe to it."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_server, args=(theirs, keepalive_s))
    process.start()
    try:
        yield ours
    finally:
        process.join(10)
        process.kill()
        process.join()


async def fetch(url: str, limit: RateLimit, seconds: float) -> tuple[float, int, int]:
    """Fetch at this limit; return the part of the rate that was used, requests and leads."""
    count = int(seconds * limit.rate) + 2
    times: list[float] = []
    async with InstantlyClient("a-key", base_url=url, rate_limit=limit) as client:
        async with client.stream_leads(lead_ids(count)) as stream:
            async for outcome in stream:
                assert isinstance(outcome, Found)
                times.append(time.perf_counter())
    rate = (count - 1) / (times[-1] - times[0])
    return rate / limit.rate, stream.stats.requests, count


async def measure(loop: str, keepalive_s: float, share: float, seconds: float) -> Case:
    """Run one case."""
    with server_process(keepalive_s) as pipe:
        url = await asyncio.to_thread(pipe.recv)
        used, requests, leads = await fetch(url, RateLimit(share=share), seconds)
        pipe.send(None)
        most_open = await asyncio.to_thread(pipe.recv)
    return Case(loop, keepalive_s, share, used, most_open, requests, leads)


async def measure_all(loop: str, seconds: float) -> list[Case]:
    """Run all cases at once: together they need a fraction of a core."""
    cases = [(keepalive_s, share) for keepalive_s in KEEPALIVES_S for share in SHARES]
    return await asyncio.gather(*(measure(loop, *case, seconds) for case in cases))


def measure_by_hand(seconds: float, keepalive_s: float) -> tuple[Run, int]:
    """Run the client written by hand; return its run, and the most connections."""
    with server_process(keepalive_s) as pipe:
        task = Task(
            competitor=BY_HAND,
            url=pipe.recv(),
            key="a-key",
            count=int(seconds * RateLimit().rate),
            time_limit_s=3 * seconds + 1,
        )
        ran = run(task)
        pipe.send(None)
        return ran, pipe.recv()


def by_hand(seconds: float) -> Table:
    """Compare with a client that people write themselves, at both keep-alives at once."""
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(partial(measure_by_hand, seconds), KEEPALIVES_S))
    rows: list[list[Cell]] = [
        [f"{label(BY_HAND)}, keep-alive {keepalive_s:.0f} s", ran.delivered, ran.lost, most_open]
        for keepalive_s, (ran, most_open) in zip(KEEPALIVES_S, results, strict=True)
    ]
    columns = [Column("client"), Column("leads"), Column("lost"), Column("most connections")]
    notes = ["aiohttp repeats a GET once if the server has closed the connection."]
    return Table("A client written by hand, at the whole limit", columns, rows, notes)


def tables(*, seconds: float = 20.0) -> list[Table]:
    """Run all cases, and one written by hand; takes about a minute."""
    cases: list[Case] = []
    for name, make_loop in LOOPS.items():
        with asyncio.Runner(loop_factory=make_loop) as runner:
            cases += runner.run(measure_all(name, seconds))
    columns = [
        Column("client"),
        Column("allowed/s", 1),
        Column("used, %", 1),
        Column("most connections"),
        Column("requests"),
        Column("leads"),
    ]
    rows: list[list[Cell]] = [
        [
            f"ours, by get, keep-alive {case.keepalive_s:.0f} s, share {case.share}, {case.loop}",
            RateLimit(share=case.share).rate,
            case.used * 100,
            case.most_open,
            case.requests,
            case.leads,
        ]
        for case in cases
    ]
    notes = ["Targets: 95 % of the allowed rate, and 6 connections at a share of 0.1."]
    title = "Servers that close idle connections early"
    return [Table(title, columns, rows, notes), by_hand(seconds)]
