"""What no client over these sockets can be below: no limits, no retries, no checks.

The protocol is no client at all: it believes that every answer has a ``Content-Length``.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import cast
from urllib.parse import urlsplit

import aiohttp
import msgspec

from benchmarks.competitors import pool
from benchmarks.competitors.contract import Deliver, Opened, Task
from instantly_async import Lead


class Page(msgspec.Struct):
    """The answer to a list request."""

    items: list[Lead]


decode_page = msgspec.json.Decoder(Page).decode
whole_head = re.compile(rb"(?is)\r\ncontent-length: *(\d+).*?\r\n\r\n").search


@asynccontextmanager
async def aiohttp_bytes(task: Task) -> Opened:
    """Workers over one aiohttp session, which only read the bytes."""
    async with _session(task, task.in_flight) as session:

        async def get(lead_id: str) -> bytes:
            async with session.get(f"{task.url}/api/v2/leads/{lead_id}") as response:
                return await response.read()

        async def fetch(ids: Iterable[str], deliver: Deliver) -> None:
            await pool.work(task.in_flight, get, ids, deliver)

        yield fetch


@asynccontextmanager
async def aiohttp_pages(task: Task) -> Opened:
    """Workers over one aiohttp session, which read and decode pages of 100 leads."""
    async with _session(task, pool.PAGES_IN_FLIGHT) as session:

        async def work(pages: Iterator[list[str]], deliver: Deliver) -> None:
            for ids in pages:
                query = msgspec.json.encode({"ids": ids, "limit": pool.PAGE})
                async with session.post(f"{task.url}/api/v2/leads/list", data=query) as response:
                    for lead in decode_page(await response.read()).items:
                        deliver(lead.id, lead)

        async def fetch(ids: Iterable[str], deliver: Deliver) -> None:
            left = iter(ids)
            pages = iter(lambda: list(islice(left, pool.PAGE)), [])
            await asyncio.gather(*(work(pages, deliver) for _ in range(pool.PAGES_IN_FLIGHT)))

        yield fetch


def _session(task: Task, connections: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        headers={"Authorization": f"Bearer {task.key}", "Content-Type": "application/json"},
    )


class Connection(asyncio.Protocol):
    """Gets one lead after the other, without a task."""

    transport: asyncio.WriteTransport

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._received = bytearray()
        self._lead_id = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, to write requests to it."""
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's has no such base

    def start(self, ids: Iterator[str], deliver: Deliver) -> asyncio.Future[None]:
        """Take ids until none is left; return what is done then."""
        self._ids, self._deliver = ids, deliver
        self._done = asyncio.get_running_loop().create_future()
        self._next()
        return self._done

    def data_received(self, data: bytes) -> None:
        """Deliver an answer as soon as it is complete."""
        self._received += data
        head = whole_head(self._received)
        if head and len(self._received) - head.end() >= int(head[1]):
            body = bytes(self._received[head.end() :])
            self._received.clear()
            self._deliver(self._lead_id, body)
            self._next()

    def _next(self) -> None:
        lead_id = next(self._ids, None)
        if lead_id is None:
            self._done.set_result(None)
        else:
            self._lead_id = lead_id
            self.transport.write(self._head % lead_id.encode())


@asynccontextmanager
async def protocol(task: Task) -> Opened:
    """Nothing but the event loop and sockets."""
    address = urlsplit(task.url)
    head = (
        f"GET /api/v2/leads/%s HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: Bearer {task.key}\r\n\r\n"
    ).encode()
    loop = asyncio.get_running_loop()
    assert address.hostname
    assert address.port
    connections = [
        (await loop.create_connection(lambda: Connection(head), address.hostname, address.port))[1]
        for _ in range(task.in_flight)
    ]

    async def fetch(ids: Iterable[str], deliver: Deliver) -> None:
        left = iter(ids)
        await asyncio.gather(*(each.start(left, deliver) for each in connections))

    try:
        yield fetch
    finally:
        for each in connections:
            each.transport.close()
