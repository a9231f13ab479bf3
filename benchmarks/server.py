"""A server in a process of its own that costs as little as Python allows.

It answers any ``GET …/{id}`` at once with that id's 3 kB lead, so that what is measured is
the client. For limits and latency the benchmarks use ``FakeInstantly`` instead.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen
from typing import cast

from instantly_async.testing import lead_json

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class LeadProtocol(asyncio.Protocol):
    """One connection; requests are small enough to arrive whole."""

    transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        """Answer one request."""
        path = data[: data.index(b" HTTP/")]
        body = lead_json(path[path.rindex(b"/") + 1 :].decode())
        self.transport.write(HEAD % len(body) + body)


async def serve() -> None:
    """Print the port and serve until killed."""
    server = await asyncio.get_running_loop().create_server(LeadProtocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def server_process() -> Iterator[str]:
    """Run the server in another process; give its URL."""
    with Popen([sys.executable, "-m", "benchmarks.server"], stdout=PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.run(serve())
    except ImportError:
        asyncio.run(serve())
