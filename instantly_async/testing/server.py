"""``FakeInstantly``: a real HTTP server on loopback, in this loop or in its own thread.

Starts and stops the server; decides nothing about its answers. It uses aiohttp's low-level
server, because two routes need no router and benchmarks need the speed.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from types import TracebackType
from typing import Self

from aiohttp import web

from instantly_async._reprs import safe_repr

from .api import FakeApi
from .behaviour import Behaviour
from .call import Call
from .delivery import deliver
from .faults import Fault
from .log import RecordedRequest
from .windows import WorstWindows

KEEP_ALIVE_S = 75.0
"""How long an idle connection is kept, in seconds: longer than clients keep theirs."""

_SHUTDOWN_S = 0.05
"""How long aiohttp may wait for handlers, in seconds; they have been cancelled by then."""

_ACCEPT_TURNS = 3
"""Iterations of the loop until aiohttp knows a connection that asyncio has just accepted."""


@dataclass(kw_only=True, eq=False, repr=False)
class FakeInstantly(Behaviour):
    """A fake of the Instantly API on loopback, for tests.

    As ``async with FakeInstantly() as fake`` it runs in the current event loop, as
    ``with FakeInstantly() as fake`` in a thread and a loop of its own. Both endpoints
    work: ``GET /api/v2/leads/{id}`` and ``POST /api/v2/leads/list``. Leads are invented
    from their id. By default every UUID is a lead, and the documented limits of 100
    requests a second and 6,000 a minute are enforced.

    All settings of ``Behaviour`` are keyword arguments and attributes; most may be changed
    while the server runs (``seed`` and ``list_payload_keys`` take effect at ``reset()``).
    ``log_size`` is how many requests ``requests`` and ``worst_windows`` remember.

    >>> with FakeInstantly(unknown={"019a3f62-5400-72bc-842e-553a894a5100"}) as fake:
    ...     fake.url.startswith("http://127.0.0.1:")
    True
    """

    host: str = "127.0.0.1"
    port: int = 0
    log_size: int = 100_000

    def __post_init__(self) -> None:
        self._api = FakeApi(self, self.log_size)
        self._address: tuple[str, int] | None = None
        self._runner: web.ServerRunner | None = None
        self._thread: Thread | None = None
        self._stop: Callable[[], object] | None = None

    @safe_repr
    def __repr__(self) -> str:
        return f"<FakeInstantly {self._address}, {self.counts.total()} requests>"

    @property
    def url(self) -> str:
        """The base URL, such as ``http://127.0.0.1:40123``; still readable after the server stops.

        Raises:
            RuntimeError: the server has not been started.
        """
        if self._address is None:
            raise RuntimeError(
                "The fake has no address before it is started; use it in a with statement."
            )
        host, port = self._address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def requests(self) -> list[RecordedRequest]:
        """A copy of the requests seen, in order of arrival, at most ``log_size``."""
        return self._api.requests()

    @property
    def counts(self) -> "Counter[int]":
        """How many requests got each status; 0 stands for an answer without a header."""
        return self._api.counts()

    def worst_windows(self) -> WorstWindows:
        """Return the most requests in any second and in any 60 s, of those in ``requests``."""
        return self._api.worst_windows()

    def script(self, lead_id: str, *faults: Fault) -> None:
        """Apply these faults to the next ``GET`` requests for this lead, one fault each, in order.

        Requests that are rejected first (401, 403 of the CDN, 429) use up no fault. After the
        last fault the lead is as before. Further calls append.
        """
        self._api.script_lead(lead_id, faults)

    def script_list(self, *faults: Fault) -> None:
        """Apply these faults to the next list requests, as ``script`` does for a lead."""
        self._api.script_list(faults)

    def script_all(self, *faults: Fault) -> None:
        """Apply these faults to the next requests of any kind, after those of ``script``."""
        self._api.script_all(faults)

    def reset(self) -> None:
        """Forget requests, scripts and rate windows, and seed again; settings stay."""
        self._api.reset()

    async def __aenter__(self) -> Self:
        if self._runner is not None:
            raise RuntimeError("The fake is already running.")
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, self.port), family=family)
        self._address = self._listener.getsockname()[:2]
        server = web.Server(
            self._handle,
            # A handler ends when its client disconnects, or when the server stops.
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_S,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        await web.SockSite(self._runner, self._listener, backlog=1024).start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("The fake is already running.")
        started: Future[None] = Future()
        thread = Thread(
            target=asyncio.run, args=(self._live(started),), name="FakeInstantly", daemon=True
        )
        thread.start()
        started.result()
        self._thread = thread
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stop is not None and self._thread is not None:
            self._stop()
            self._thread.join()
            self._thread = None

    async def _live(self, started: "Future[None]") -> None:
        """Run the server of a thread: from here to the call of ``_stop``."""
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        try:
            await self.__aenter__()
        except BaseException as error:  # noqa: BLE001 - raised again by the waiting thread
            started.set_exception(error)
            return
        started.set_result(None)
        await stopped.wait()
        await self._close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        call = await Call.read(request)
        return await deliver(self._api.answer(call, time.monotonic()), request)

    async def _close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None or runner.server is None:
            return
        await self._stop_accepting()
        for connection in runner.server.connections:
            if connection.transport is not None:
                # A graceful close would wait for clients that do not read.
                connection.transport.abort()
        await runner.cleanup()

    async def _stop_accepting(self) -> None:
        # Closing at once would leak a connection that asyncio is about to set up.
        with suppress(NotImplementedError):  # the loop of Windows has no readers
            asyncio.get_running_loop().remove_reader(self._listener)
        for _ in range(_ACCEPT_TURNS):
            await asyncio.sleep(0)
