"""A loop that was blocked by others costs no request, on real sockets.

The server runs in a thread. Long blocks are invented: the loop's clock jumps, and meanwhile
nothing runs in the loop.
"""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest
from certificates import tls_for
from commands import wait_until
from wire import CLOSE, HANG, READ, Script, Wire, answer, scripted

from instantly_async import Found, InstantlyClient, Strategy, Timeouts
from instantly_async.testing import DEFAULT_API_KEY, FakeInstantly, lead_ids, lead_json

IDS = list(lead_ids(20))
GOOD = answer(lead_json(IDS[0]))


SHORT = Timeouts(read_s=0.5, total_s=0.5, list_read_s=0.5, list_total_s=0.5)


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its clock can be moved, as if a callback had taken so long."""

    skipped_s = 0.0

    def time(self) -> float:
        return super().time() + self.skipped_s


def block(seconds: float) -> None:
    """Give the server some time, and the loop the impression of more."""
    time.sleep(0.05)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    loop.skipped_s += seconds


def run(
    main: Coroutine[Any, Any, None],
    make_loop: Callable[[], asyncio.AbstractEventLoop] = JumpingLoop,
) -> None:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(asyncio.wait_for(main, 1_000_000))


@contextmanager
def in_thread(*scripts: Script, tls: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """Serve one script per connection, in a loop of another thread."""
    started, stopped = Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    wires: list[Wire] = []

    async def serve() -> None:
        async with scripted(scripts, tls) as wire:
            wires.append(wire)
            started.set()
            await stopped.wait()

    def work() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = Thread(target=work)
    thread.start()
    assert started.wait(10)
    try:
        yield wires[0]
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()


def client_of(url: str, **options: Any) -> InstantlyClient[Any]:
    return InstantlyClient(DEFAULT_API_KEY, base_url=url, rate_limit=None, **options)


async def attempts_around_a_block(client: InstantlyClient[Any], wire: Wire, seconds: float) -> int:
    """Block the loop while an id is requested; it is found, after so many attempts."""
    batch = asyncio.create_task(client.get_leads(IDS[:1]))
    while not wire.requests:
        await asyncio.sleep(0)
    block(seconds)
    (outcome,) = (await batch).outcomes
    assert isinstance(outcome, Found)
    return outcome.attempts


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_slow_callback_times_nothing_out(loop: str) -> None:
    """The answers come while the loop is blocked for longer than a request may take."""

    async def fetch(strategy: Strategy) -> None:
        async with client_of(fake.url, timeouts=SHORT) as client:
            batch = await client.get_leads(IDS, strategy=strategy)
            assert len(batch.leads) == len(IDS)
            assert batch.stats.retries == 0

    async def main() -> None:
        asyncio.get_running_loop().call_later(0.05, time.sleep, 0.7)
        await asyncio.gather(fetch("get"), fetch("list"))
        assert len(fake.requests) == len(IDS) + 1

    with FakeInstantly(latency_s=0.1, rate_limit=None) as fake:
        run(main(), pytest.importorskip(loop).new_event_loop)


CHILD = """
import asyncio, sys
from instantly_async import InstantlyClient, Timeouts

async def main(url, key, *ids):
    times = Timeouts(read_s=1.0, total_s=1.0)
    async with InstantlyClient(key, base_url=url, rate_limit=None, timeouts=times) as client:
        batch = await client.get_leads(ids)
        print(len(batch.leads), batch.stats.requests, batch.stats.retries)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process")
def test_a_process_that_was_stopped_repeats_nothing() -> None:
    with FakeInstantly(latency_s=0.2, rate_limit=None) as fake:
        command = [sys.executable, "-c", CHILD, fake.url, DEFAULT_API_KEY, *IDS]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            try:
                wait_until(lambda: len(fake.requests) == len(IDS))
                os.kill(child.pid, signal.SIGSTOP)
                time.sleep(1.2)
                os.kill(child.pid, signal.SIGCONT)
                out, _ = child.communicate(timeout=30)
            finally:
                child.kill()
    assert out.split() == [b"20", b"20", b"0"]


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_a_large_answer_that_has_arrived_is_read_to_the_end(*, is_tls: bool) -> None:
    server_tls, client_tls = tls_for("127.0.0.1") if is_tls else (None, None)
    body = lead_json(IDS[0])[:-1] + b',"payload":{"x":"' + b"x" * 900_000 + b'"}}'

    async def main() -> None:
        async with client_of(wire.url, ssl_context=client_tls) as client:
            task = asyncio.create_task(client.get_lead(IDS[0]))
            while not wire.requests:
                await asyncio.sleep(0)
            block(3_600)
            await task
            assert client.stats.retries == 0

    with in_thread([READ, answer(body), HANG], tls=server_tls) as wire:
        run(main())


def test_connecting_while_the_loop_is_blocked() -> None:
    async def main() -> None:
        async with client_of(wire.url, ssl_context=client_tls) as client:
            task = asyncio.create_task(client.get_lead(IDS[0]))
            for _ in range(4):  # in each step of the handshake
                await asyncio.sleep(0.001)
                block(12)  # longer than connect_s
            await task
            assert client.stats.retries == 0

    server_tls, client_tls = tls_for("127.0.0.1")
    with in_thread([READ, GOOD, HANG], tls=server_tls) as wire:
        run(main())


@pytest.mark.parametrize(
    "begun", [[], [b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nab"]], ids=["silent", "begun"]
)
def test_a_connection_that_ended_in_a_block_costs_no_attempt(begun: list[bytes]) -> None:
    """The server has not waited for so long."""

    async def main() -> None:
        async with client_of(wire.url) as client:
            assert await attempts_around_a_block(client, wire, 200) == 1
            assert client.stats.retries == 0
            assert len(wire.requests) == 2

    with in_thread([READ, *begun, 0.01, CLOSE], [READ, GOOD, HANG]) as wire:
        run(main())


@pytest.mark.parametrize("seconds", [6.0, 200.0])
def test_an_idle_connection_that_was_closed_in_a_block_costs_no_attempt(seconds: float) -> None:
    async def main() -> None:
        async with client_of(wire.url) as client:
            await client.get_lead(IDS[0])
            block(seconds)
            batch = await client.get_leads(IDS[:1])
            assert batch.outcomes[0].attempts == 1
            assert client.stats.retries == 0

    with in_thread([READ, GOOD, 0.01, CLOSE], [READ, GOOD, HANG]) as wire:
        run(main())


def test_silence_after_a_block_costs_one_attempt_and_not_the_id() -> None:
    """The block is longer than an id may take for all its attempts."""

    async def main() -> None:
        async with client_of(wire.url, timeouts=SHORT) as client:
            assert await attempts_around_a_block(client, wire, 500) == 2
            assert client.stats.requests == len(wire.requests) == 2

    with in_thread([READ, HANG], [READ, GOOD, HANG]) as wire:
        run(main())
