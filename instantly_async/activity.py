"""``Activity``: all that one client has in flight, its end, and its counters."""

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from threading import RLock
from typing import Any, Protocol
from weakref import WeakSet

from ._fetch import Pipeline, Workspace
from ._http import Connections
from ._recorder import Recorder
from .errors import ClosedError
from .events import (
    Closed,
    Observer,
    Observers,
    Opened,
    Operation,
    RunEnded,
    RunStarted,
    attach,
    dismiss,
)
from .settings import Strategy
from .stats import Stats


class Stoppable(Protocol):
    """What ends with its client."""

    def stop(self) -> None:
        """Ask it to end, without waiting for it."""

    async def aclose(self) -> None:
        """Stop it, and wait until it has ended."""


_RUNS = count(1)
_CLIENTS = count(1)


class StreamRecorder(Recorder, kw_only=True):
    """The counters of one stream, and what made it."""

    operation: Operation = "stream_leads"
    strategy: Strategy | None = None


class Activity:
    """The open streams, calls and loaders of one client, and the counters of all that it does.

    ``recorder`` counts what is done outside of streams, and what ended streams have done. Its
    observers are those of the client.
    """

    def __init__(self, connections: Connections, workspace: Workspace) -> None:
        self._connections = connections
        self._workspace = workspace
        self._calls: set[asyncio.Timeout] = set()
        self._streams: dict[Pipeline[Any, Any], StreamRecorder] = {}
        # Exporters read the sum in their threads, and a signal handler may in this one.
        self._summing = RLock()
        self.loaders: WeakSet[Stoppable] = WeakSet()
        self.observers = workspace.observers
        self.recorder = Recorder(observers=self.observers)
        self.closed = False
        self._number = next(_CLIENTS)
        self._calling = 0
        self._has_closed = self._has_told_end = False

    def require_open(self) -> None:
        """Raise ``ClosedError`` if the client is closed."""
        if self.closed:
            raise ClosedError("The client is closed; make a new one.")

    def begin(self) -> float:
        """Note that work begins, and return the loop's time.

        Raises:
            ClosedError: the client is closed or belongs to another loop.
        """
        self.require_open()
        loop = asyncio.get_running_loop()
        self._connections.join(loop)
        now = loop.time()
        if self.recorder.started_at is None:
            self.recorder.started_at = now
        return now

    def begin_stream(self, recorder: StreamRecorder, pipeline: Pipeline[Any, Any]) -> None:
        """Note that a stream is read.

        Raises:
            ClosedError: as ``begin``.
        """
        now = self.begin()
        with self._summing:
            self._streams[pipeline] = recorder
        if recorder.started_at is None:
            recorder.started_at = now
            recorder.run = next(_RUNS)
            self.observers(
                RunStarted(
                    run=recorder.run, operation=recorder.operation, strategy=recorder.strategy
                )
            )

    def end_stream(self, recorder: StreamRecorder, pipeline: Pipeline[Any, Any]) -> None:
        """Note that a stream has ended."""
        recorder.stopped_at = _now()
        with self._summing:
            is_open = self._streams.pop(pipeline, None) is not None
            if is_open:
                self.recorder.add(recorder)
        if is_open and recorder.run is not None:
            error = pipeline.error if pipeline.has_ended else _closed()
            self.observers(
                RunEnded(
                    run=recorder.run,
                    operation=recorder.operation,
                    error=None if error is None else type(error).__name__,
                    stats=self.snapshot(recorder),
                )
            )
        self._tell_end()

    def observe(self, observer: Observer) -> None:
        """Tell this observer what happens, from now on."""
        added = Observers(observer)
        attach(self.observers, added)
        added(self._opened())

    def _opened(self) -> Opened:
        server = self._workspace.server
        limit, reader = self._workspace.limiter.limit, _StatsReader(self)
        return Opened(
            client=self._number,
            server_address=server.address,
            server_port=server.port,
            limiter=self._workspace.limiter.number,
            limit=None if limit is None else limit.rate,
            read=reader,
            is_alive=reader.is_alive,
        )

    def _on_closed(self) -> None:
        self._has_closed = True
        self._tell_end()

    def _tell_end(self) -> None:
        """Tell that the client was closed, once nothing of it is in flight. It is the last word."""
        is_over = self._has_closed and not (self._streams or self._calling)
        if is_over and not self._has_told_end:
            self._has_told_end = True
            self.observers(Closed(client=self._number, stats=self.total()))
            dismiss(self.observers)

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Do work outside of streams, in the caller's task, until it ends or the client is closed.

        Raises:
            ClosedError: the client is or was closed, or belongs to another loop.
        """
        self.begin()
        self._calling += 1
        call = asyncio.timeout(None)  # it can tell its own cancellation from the caller's
        try:
            async with call:
                self._calls.add(call)
                yield
        except TimeoutError:
            if not call.expired():
                raise
        finally:
            self._calls.discard(call)
            self._calling -= 1
            self._tell_end()
        if call.expired():
            raise _closed()

    def is_forsaken(self) -> bool:
        """Whether the client's loop is closed, so that nothing is left to end.

        Raises:
            ClosedError: the client belongs to another loop, which is still open.
        """
        return self._connections.is_forsaken()

    def stop(self) -> None:
        """Refuse new work, and ask that in flight to end with ``ClosedError``. Idempotent.

        Raises:
            ClosedError: as ``is_forsaken``.
        """
        is_forsaken = self.is_forsaken()
        self.closed = True
        if is_forsaken:
            return
        for pipeline in list(self._streams):
            pipeline.stop(_closed())
        for loader in self.loaders:
            loader.stop()
        calls, self._calls = self._calls, set()
        for call in calls:
            call.reschedule(asyncio.get_running_loop().time())

    async def aclose(self) -> None:
        """Stop, and wait until all has ended. Idempotent.

        Raises:
            ClosedError: as ``is_forsaken``.
            Exception: what an input raised when it was closed.
        """
        self.stop()
        if self.is_forsaken():
            self._calling = 0  # what waits there will never end
            for pipeline, recorder in list(self._streams.items()):
                self.end_stream(recorder, pipeline)
            self._on_closed()
            return
        async with AsyncExitStack() as ends:  # one that fails does not keep the others open
            ends.callback(self._on_closed)
            for loader in self.loaders:
                ends.push_async_callback(loader.aclose)
            for pipeline in self._streams:
                ends.push_async_callback(pipeline.aclose, _closed())

    def total(self) -> Stats:
        """Return the counters of all work, open streams included. Any thread may call this."""
        total = Recorder()
        total.started_at = self.recorder.started_at
        with self._summing:
            for recorder in (self.recorder, *self._streams.values()):
                total.add(recorder)
        return self.snapshot(total)

    def snapshot(self, recorder: Recorder) -> Stats:
        """Return the counters of one recorder."""
        now, breaker = _now(), self._workspace.open_breaker
        return recorder.snapshot(
            now,
            allowed_rate=self._workspace.limiter.rate,
            paused_s=self._workspace.limiter.paused_s(now),
            breaker_open=breaker is not None,
            next_probe_s=None if breaker is None else breaker.next_probe_s(now),
            gives_up_s=None if breaker is None else breaker.gives_up_s(now),
        )


class _StatsReader:
    """Reads the counters of a client, without keeping it alive; then they are its last."""

    def __init__(self, activity: Activity) -> None:
        self._activity = weakref.ref(activity)
        self._last = activity.total()

    def is_alive(self) -> bool:
        return self._activity() is not None

    def __call__(self) -> Stats:
        activity = self._activity()
        if activity is not None:
            self._last = activity.total()
        return self._last


async def end_all(activities: Sequence[Activity], connections: Connections | None) -> None:
    """Ask all to end, and wait for each; then close the ``connections`` (``None``: keep them).

    Raises:
        ClosedError, Exception: as ``Activity.aclose``.
    """
    for activity in activities:
        activity.stop()
    async with AsyncExitStack() as ends:  # one that fails does not keep the others open
        if connections is not None:
            ends.push_async_callback(connections.aclose)
        for activity in activities:
            ends.push_async_callback(activity.aclose)


def _closed() -> ClosedError:
    return ClosedError("The client was closed.")


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:  # stats may be read after the loop's end
        return time.monotonic()
