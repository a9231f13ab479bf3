"""A scripted server: every connection gets the next script and does exactly that.

A script is a sequence of steps: ``READ`` reads one request head (and the body that its
Content-Length announces), bytes are sent as they are, a number waits that many seconds,
``CLOSE`` sends FIN, ``RESET`` sends RST, ``HANG`` keeps the connection open. After its last
step the connection is closed.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum


class Step(Enum):
    READ = "read"
    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


READ, CLOSE, RESET, HANG = Step.READ, Step.CLOSE, Step.RESET, Step.HANG

Script = Sequence[Step | bytes | float]


@dataclass
class Wire:
    """The running server: where it is and what it has seen."""

    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Give an HTTP/1.1 answer with a right Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def scripted(
    scripts: Iterable[Script], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Wire]:
    """Serve one script per connection; connections without a script are closed."""
    remaining = iter(scripts)
    wire = Wire()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire.connections += 1
        try:
            for step in next(remaining, ()):
                await _play(step, wire, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    wire.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    tasks_before = asyncio.all_tasks()
    try:
        yield wire
    finally:
        server.close()
        mine = {t for t in asyncio.all_tasks() - tasks_before if "serve" in repr(t.get_coro())}
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)


async def _play(
    step: Step | bytes | float,
    wire: Wire,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    if isinstance(step, bytes):
        writer.write(step)
        await writer.drain()
    elif isinstance(step, int | float):
        await asyncio.sleep(step)
    elif step is READ:
        wire.requests.append(await _read_request(reader))
    elif step is RESET:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    elif step is CLOSE:
        writer.close()
    else:
        await asyncio.Event().wait()


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head + await reader.readexactly(int(line.partition(b":")[2]))
    return head
