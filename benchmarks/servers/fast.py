"""A server in a separate process that uses as little CPU as Python allows.

It answers any ``GET …/{id}`` at once with a lead of 3 kB, and any ``POST`` with the page of the
ids in its body. So a benchmark measures the client and not the server. Benchmarks that need
limits or latency use ``FakeInstantly`` instead.
"""

import asyncio
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen
from typing import NamedTuple, cast

import msgspec

from instantly_async.testing import lead_json

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

whole_head = re.compile(rb"(?is)\r\ncontent-length: *(\d+).*?\r\n\r\n").search


class Query(msgspec.Struct):
    """The part of a list request's body that the server uses."""

    ids: list[str]


decode_query = msgspec.json.Decoder(Query).decode


def page_json(ids: Iterable[str]) -> bytes:
    """Return the page with exactly these leads, in the order of their ids."""
    return b'{"items":[%b]}' % b",".join(map(lead_json, sorted(ids)))


class LeadProtocol(asyncio.Protocol):
    """One connection. A GET is small enough to arrive whole; a POST may come in pieces."""

    transport: asyncio.WriteTransport
    received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, to write answers to it."""
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's has no such base

    def data_received(self, data: bytes) -> None:
        """Answer one request as soon as it is complete."""
        if self.received or data.startswith(b"POST"):
            self.received += data
            self.answer_page()
        else:
            path = data[: data.index(b" HTTP/")]
            self.answer(lead_json(path[path.rindex(b"/") + 1 :].decode()))

    def answer_page(self) -> None:
        """Answer a list request if it is complete."""
        head = whole_head(self.received)
        if head and len(self.received) - head.end() >= int(head[1]):
            body, self.received = self.received[head.end() :], b""
            self.answer(page_json(decode_query(body).ids))

    def answer(self, body: bytes) -> None:
        """Send an answer with this body."""
        self.transport.write(HEAD % len(body) + body)


async def serve() -> None:
    """Print the port and serve until killed."""
    server = await asyncio.get_running_loop().create_server(LeadProtocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class FastServer(NamedTuple):
    """A running server."""

    url: str
    pid: int


@contextmanager
def fast_server() -> Iterator[FastServer]:
    """Run the server in another process."""
    command = [sys.executable, "-c", "from benchmarks.servers.fast import main; main()"]
    with Popen(command, stdout=PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            yield FastServer(f"http://127.0.0.1:{port}", process.pid)
        finally:
            process.kill()


def main() -> None:
    """Serve on the fastest event loop that is installed."""
    try:
        import uvloop  # noqa: PLC0415 - not everywhere

        uvloop.run(serve())
    except ImportError:
        asyncio.run(serve())
