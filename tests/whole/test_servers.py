"""Row 35: servers that nobody here wrote, and servers with other habits.

No token is thrown away, no lead is lost, and no more connections are open than the rate needs.
``python -m benchmarks run keepalive`` measures that this is at least 95 % of the allowed rate.
"""

import asyncio
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from aiohttp import web
from places import HELPERS
from sending import CountingLimiter

from instantly_async import Found, InstantlyClient, Lead, RateLimit, Stats
from instantly_async.testing import lead_ids, lead_json

KEY = "a-key"


@dataclass
class Fetched:
    """What a run brought and cost."""

    stats: Stats
    tokens: int
    most_open: int
    open_at_end: int
    most_late_s: float
    """How long the event loop was held up at most: then answers, and what follows, come later."""
    late_s: float
    """How long it was held up in all, without what any machine takes."""

    def require(self, count: int, rate: float = 0.0) -> None:
        """Check that all are found, and that hardly a request or a token was lost.

        ``rate``: while the loop is held up, so many requests a second may meet connections whose
        end it has not seen yet. But a client that loses one for each connection is found anyway.
        """
        assert self.stats.found == count
        assert self.stats.throttled == self.stats.retries == 0
        lost = 0.05 * count + 1 + min(rate * self.late_s, count / 2)
        assert count <= self.stats.requests <= self.tokens <= count + lost


async def fetch(url: str, count: int, limit: RateLimit | None, **settings: Any) -> Fetched:
    most_open, most_late_s, late_s = 0, 0.0, 0.0
    limiter = CountingLimiter(limit)

    async def watch() -> None:
        nonlocal most_late_s, late_s
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            late = time.perf_counter() - began - 0.01
            most_late_s = max(most_late_s, late)
            late_s += late if late > 0.005 else 0.0

    watching = asyncio.create_task(watch())
    async with InstantlyClient(KEY, base_url=url, limiter=limiter, **settings) as client:
        async with client.stream_leads(lead_ids(count)) as stream:
            async for outcome in stream:
                assert isinstance(outcome, Found), outcome
                most_open = max(most_open, opened(client))
        watching.cancel()
        open_at_end = opened(client)
        return Fetched(stream.stats, limiter.paid, most_open, open_at_end, most_late_s, late_s)


def opened(client: InstantlyClient[Lead]) -> int:
    pool = client._connections._pool
    assert pool is not None
    return sum(connection.is_alive for connection in pool._open)


# --- servers that nobody here wrote ---


@asynccontextmanager
async def aiohttp_web(keepalive_s: float) -> AsyncIterator[str]:
    async def get_lead(request: web.Request) -> web.Response:
        body = lead_json(request.match_info["id"])
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/api/v2/leads/{id}", get_lead)
    runner = web.AppRunner(app, keepalive_timeout=keepalive_s)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@contextmanager
def uvicorn_server(keepalive_s: int) -> Iterator[str]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = lead_json(scope["path"].rpartition("/")[2])
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(
        app, port=0, log_level="error", ws="none", lifespan="off", timeout_keep_alive=keepalive_s
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port}; keepalive_timeout {keepalive}; keepalive_requests {requests};
    location ~ ^/api/v2/leads/(?<id>.+)$ {{
      default_type application/json; return 200 '{{"id":"$id"}}';
    }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, port: int, *, keepalive: str, requests: int) -> Iterator[str]:
    settings = NGINX.format(folder=folder, port=port, keepalive=keepalive, requests=requests)
    (folder / "nginx.conf").write_text(settings)
    program = shutil.which("nginx")
    assert program is not None
    process = subprocess.Popen([program, "-c", str(folder / "nginx.conf")])
    while not (folder / "pid").exists():
        assert process.poll() is None
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


async def test_row_35_four_hundred_ids_from_aiohttp_with_a_keepalive_of_a_second() -> None:
    """By GET at the default limit; it took two minutes and more."""
    async with aiohttp_web(keepalive_s=1) as url:
        began = time.perf_counter()
        (await fetch(url, 400, RateLimit())).require(400)
        assert time.perf_counter() - began < 6


async def require_all(url: str, limits: Iterable[RateLimit]) -> None:
    """Fetch for two seconds, once for each limit and all at the same time."""

    async def require(limit: RateLimit) -> None:
        count = int(2 * limit.rate) + 2
        fetched = await fetch(url, count, limit)
        fetched.require(count, limit.rate)
        # Those that are near, those that wait for an answer (50 ms, or longer on a busy machine),
        # and three.
        waiting = (0.05 + fetched.most_late_s) * limit.rate
        assert fetched.most_open <= max(2, 0.25 * limit.rate) + waiting + 3

    await asyncio.gather(*map(require, limits))


SHARES = [RateLimit(share=share) for share in (1.0, 0.3, 0.1)]


async def test_row_35_shares_of_the_limit() -> None:
    """At a tenth of the limit at most six connections are open."""
    async with aiohttp_web(keepalive_s=1) as url:
        await require_all(url, SHARES)


async def test_row_35_uvicorn() -> None:
    with uvicorn_server(1) as url:
        await require_all(url, SHARES)


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
@pytest.mark.parametrize(("keepalive", "requests"), [("1s", 1000), ("0", 1000), ("60s", 10)])
async def test_row_35_nginx(
    keepalive: str, requests: int, tmp_path: Path, unused_tcp_port: int
) -> None:
    with nginx(tmp_path, unused_tcp_port, keepalive=keepalive, requests=requests) as url:
        await require_all(url, SHARES)


# --- servers with other habits ---


@dataclass
class Habits:
    """What a server does after ``latency_s``, and what it has seen."""

    latency_s: float = 0.03
    requests_each: int | None = None
    status_line: bytes = b"HTTP/1.1 200 OK"
    most: int | None = None
    url: str = ""
    opened: int = 0
    open_now: int = 0
    refused: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def hang_up(self) -> None:
        for writer in self.writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        if self.most is not None and self.open_now >= self.most:
            self.refused += 1
            writer.transport.abort()
            return
        self.open_now += 1
        self.writers.add(writer)
        served = 0
        try:
            while served != self.requests_each:
                head = await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(self.latency_s)
                body = lead_json(head.split(b" ")[1].rpartition(b"/")[2].decode())
                length = b"\r\nContent-Length: %d\r\n\r\n" % len(body)
                writer.write(self.status_line + length + body)
                served += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open_now -= 1
            self.writers.discard(writer)
            writer.close()


@asynccontextmanager
async def server(habits: Habits) -> AsyncIterator[Habits]:
    listening = await asyncio.start_server(habits.serve, "127.0.0.1", 0, backlog=500)
    habits.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield habits
    finally:
        listening.close()
        while habits.open_now:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)


async def test_row_35_servers_that_close() -> None:
    """After each request without saying so, after every ten, and by HTTP/1.0."""

    async def require(habits: Habits, share: float) -> None:
        async with server(habits):
            await require_all(habits.url, [RateLimit(share=share)])

    await asyncio.gather(
        require(Habits(requests_each=1), 1.0),
        require(Habits(requests_each=10), 0.3),
        require(Habits(status_line=b"HTTP/1.0 200 OK"), 0.3),
    )


@pytest.mark.parametrize("limit", [RateLimit(), None], ids=["at the limit", "without a limit"])
async def test_row_35_a_server_that_takes_twenty_connections(limit: RateLimit | None) -> None:
    """It gets twenty, refuses few, and no lead is lost. Without a limit a few answers get lost."""
    async with server(Habits(most=20)) as habits:
        fetched = await fetch(habits.url, 300, limit)
        assert fetched.stats.found == 300
        assert fetched.stats.retries <= (0 if limit else habits.refused)
        assert habits.refused <= 90
        assert fetched.open_at_end <= 20


FEW_DESCRIPTORS = """
import asyncio, resource, sys
sys.path.insert(0, sys.argv[2])
from instantly_async import InstantlyClient
from instantly_async.testing import lead_ids

async def main():
    async with InstantlyClient("a-key", base_url=sys.argv[1], rate_limit=None) as client:
        await client.get_lead(next(iter(lead_ids(1))))
        resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
        batch = await client.get_leads(lead_ids(500))
        print(len(batch.leads), client.stats.retries)

asyncio.run(main())
"""


async def test_row_35_fewer_descriptors_than_concurrency() -> None:
    """As many connections as there are descriptors, and nothing fails."""
    async with server(Habits()) as habits:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FEW_DESCRIPTORS, habits.url, str(HELPERS),
            stdout=subprocess.PIPE,
        )  # fmt: skip
        said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert said == b"500 0\n"
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 30


async def test_row_35_all_connections_end_between_two_runs() -> None:
    """As in a restart: what is sent into their ends is sent again at once, and nothing fails."""
    async with server(Habits()) as habits:
        async with InstantlyClient(KEY, base_url=habits.url, rate_limit=None) as client:
            for _ in range(3):
                batch = await client.get_leads(lead_ids(30))
                assert len(batch.leads) == 30
                habits.hang_up()
            assert client.stats.retries == 0
            assert client.stats.requests >= 90
