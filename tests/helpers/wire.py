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
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

from instantly_async.testing import lead_json


class Step(Enum):
    READ = "read"
    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"
    KEEP = "keep"


READ, CLOSE, RESET, HANG, KEEP = Step.READ, Step.CLOSE, Step.RESET, Step.HANG, Step.KEEP

Script = Sequence[Step | bytes | float]


@dataclass
class Wire:
    """The running server: where it is and what it has seen."""

    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return an HTTP/1.1 answer with a correct Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


Serve = Callable[[Wire, asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def scripted(
    scripts: Iterable[Script], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Wire]:
    """Serve one script per connection; connections without a script are closed."""
    remaining = iter(scripts)

    async def serve(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for step in next(remaining, ()):
            await play_step(step, wire, reader, writer)

    async with serving_with(serve, tls) as wire:
        yield wire


@asynccontextmanager
async def serving_with(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    """Call ``serve`` for each connection, which is closed after that."""
    wire = Wire()
    serving: set[asyncio.Task[None]] = set()

    async def serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire.connections += 1
        task = asyncio.create_task(serve(wire, reader, writer))
        serving.add(task)
        try:
            # Waited for, not awaited: asyncio reports a connection's task that is cancelled.
            await asyncio.wait([task])
            ended = ConnectionError | asyncio.IncompleteReadError | None
            if not task.cancelled() and not isinstance(error := task.exception(), ended):
                raise error
        finally:
            serving.discard(task)
            writer.close()

    server = await asyncio.start_server(serve_connection, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    wire.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()
        while serving:
            for task in serving:
                task.cancel()
            await asyncio.wait(serving)
            await asyncio.sleep(0)


async def play_step(
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
        wire.requests.append(await read_request(reader))
    elif step is RESET:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    elif step is CLOSE:
        writer.close()
    else:
        await asyncio.Event().wait()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head + await reader.readexactly(int(line.partition(b":")[2]))
    return head


@contextmanager
def unconnectable() -> Iterator[str]:
    """Yield the URL of a server whose queue of new connections is full, so connecting hangs."""
    with socket.socket() as server, ExitStack() as queue:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(8):
            client = queue.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


Faults = Mapping[str, Iterable[Script]]


@asynccontextmanager
async def leads_by_id(
    faults: Faults = MappingProxyType({}), tls: ssl.SSLContext | None = None
) -> AsyncIterator[Wire]:
    """Serve any lead, but each next request for an id in ``faults`` gets its next script.

    The request has been read then. After a script the connection is closed, unless its last
    step is ``KEEP``. Ids without a script, or without one any more, get their lead.
    """
    remaining = {lead_id: iter(scripts) for lead_id, scripts in faults.items()}

    async def serve(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            wire.requests.append(await read_request(reader))
            lead_id = wire.requests[-1].split(b" ")[1].rpartition(b"/")[2].decode()
            script = next(remaining.get(lead_id, iter(())), None)
            if script is None:
                script = [answer(lead_json(lead_id)), KEEP]
            for step in script:
                if step is not KEEP:
                    await play_step(step, wire, reader, writer)
            if script[-1] is not KEEP:
                return

    async with serving_with(serve, tls) as wire:
        yield wire
