"""``LeadStream``, and ``Activity``: the bookkeeping of all streams that one client has open."""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from ._api import Endpoints
from ._fetch import Pipeline, StreamOptions, Workspace, make_pipeline
from .errors import ClosedError, RunError
from .outcomes import LeadBatch, LeadId, Outcome
from .stats import Recorder, Stats

L = TypeVar("L")


class LeadStream(Generic[L]):
    """Outcomes as they complete: an async context manager and an async iterator.

    Made by ``InstantlyClient.stream_leads``. A bare ``async for`` works too, but only the context
    manager makes leaving early deterministic: without it, work in flight after a ``break`` ends
    when the stream is garbage-collected, or when the client is closed.
    """

    def __init__(
        self,
        pipeline: Pipeline[Any, Outcome[L]],
        activity: "Activity[L]",
        recorder: Recorder,
    ) -> None:
        self._pipeline = pipeline
        self._activity = activity
        self._recorder = recorder
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        stats = self.stats
        return f"<LeadStream requested={stats.requested} in_flight={stats.in_flight}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[Outcome[L]]:
        return self

    def __anext__(self) -> Awaitable[Outcome[L]]:
        """Return the next outcome.

        Raises:
            RunError: the run had to stop; the outcomes of all finished ids came before it.
            ClosedError: the client was closed meanwhile.
        """
        if self._loop is None:
            self._activity.begin(self._recorder, self._pipeline)
            self._loop = asyncio.get_running_loop()
        return self._pipeline.take(self)

    async def aclose(self) -> None:
        """Cancel and await the work in flight; close the input if it is a generator."""
        await self._pipeline.aclose()

    def __del__(self) -> None:
        # May run in any thread, and after the loop's end.
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._pipeline.cancel)

    @property
    def stats(self) -> Stats:
        """The counters of this stream so far."""
        return self._activity.snapshot(self._recorder)


class Activity(Generic[L]):
    """The open streams of one client, and the counters of all that it does.

    ``recorder`` counts what is done outside of streams, and what ended streams have done.
    ``concurrency`` is the client's.
    """

    def __init__(self, endpoints: Endpoints[L], workspace: Workspace, concurrency: int) -> None:
        self._endpoints = endpoints
        self._workspace = workspace
        self._concurrency = concurrency
        self._streams: dict[Pipeline[Any, Outcome[L]], Recorder] = {}
        self.recorder = Recorder()
        self.closed = False

    def require_open(self) -> None:
        """Raise ``ClosedError`` if the client is closed."""
        if self.closed:
            raise ClosedError("The client is closed; make a new one.")

    def stream(
        self, lead_ids: Iterable[LeadId] | AsyncIterable[LeadId], options: StreamOptions
    ) -> LeadStream[L]:
        """Make a stream; it counts as open from its first outcome on."""
        recorder = Recorder()
        pipeline: Pipeline[Any, Outcome[L]] = make_pipeline(
            lead_ids,
            options,
            self._endpoints,
            self._workspace,
            recorder,
            most=self._concurrency,
            on_end=lambda: self._end(pipeline, recorder),
        )
        return LeadStream(pipeline, self, recorder)

    def begin(self, recorder: Recorder, pipeline: Pipeline[Any, Outcome[L]] | None = None) -> None:
        """Note that work begins: that of ``pipeline``, or ``None``: outside of streams.

        Raises:
            ClosedError: the client is closed.
        """
        self.require_open()
        if pipeline is not None:
            self._streams[pipeline] = recorder
        now = asyncio.get_running_loop().time()
        for each in (recorder, self.recorder):
            if each.started_at is None:
                each.started_at = now

    def _end(self, pipeline: Pipeline[Any, Outcome[L]], recorder: Recorder) -> None:
        recorder.stopped_at = _now()
        if self._streams.pop(pipeline, None) is not None:
            self.recorder.add(recorder)

    async def aclose(self) -> None:
        """End all open streams and refuse new work. Idempotent."""
        self.closed = True  # first, so that no stream begins meanwhile
        for pipeline in list(self._streams):
            await pipeline.aclose(ClosedError("The client was closed."))

    def total(self) -> Stats:
        """Return the counters of all work, open streams included."""
        total = Recorder()
        total.started_at = self.recorder.started_at
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


async def collect(stream: LeadStream[L]) -> LeadBatch[L]:
    """Consume a stream into a batch, in input order.

    Raises:
        RunError: the run had to stop; ``error.partial`` is the batch of the finished ids.
    """
    outcomes: list[Outcome[L]] = []
    failure: RunError | None = None
    async with stream:
        try:
            async for outcome in stream:
                outcomes.append(outcome)  # noqa: PERF401 - an error must not lose them
        except RunError as error:
            failure = error
    outcomes.sort(key=lambda outcome: outcome.index)
    batch = LeadBatch(outcomes=tuple(outcomes), stats=stream.stats)
    if failure is not None:
        failure.partial = batch
        raise failure
    return batch


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:  # stats may be read after the loop's end
        return time.monotonic()
