"""Streams: their options, their face, and the bookkeeping of all that one client has open."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, get_args

from ._api.answers import MAX_IDS_PER_PAGE
from ._api.endpoints import Endpoints
from ._fetch.attempts import Workspace
from ._fetch.by_list import GetLookup, ListLookup
from ._fetch.intake import ChunkIntake, Intake, Source
from ._fetch.pipeline import Pipeline
from .errors import ClosedError, ConfigurationError, RunError
from .outcomes import LeadBatch, LeadId, Outcome
from .settings import DEFAULT_LIST_CONCURRENCY, check_concurrency
from .stats import Recorder, Stats

L = TypeVar("L")

Strategy = Literal["get", "list"]
"""How leads are fetched: one request per id, or one per 100 ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """The options of ``InstantlyClient.stream_leads``.

    Raises:
        ConfigurationError: one of them is out of range.
    """

    strategy: Strategy
    ordered: bool
    concurrency: int | None
    keep_raw: bool
    confirm_missing: bool

    def __post_init__(self) -> None:
        if self.strategy not in get_args(Strategy):
            raise ConfigurationError(f'strategy must be "get" or "list"; {self.strategy!r} is not.')
        if self.concurrency is not None:
            check_concurrency(self.concurrency)

    def pipeline(
        self,
        lead_ids: Source[LeadId],
        endpoints: Endpoints[L],
        workspace: Workspace,
        recorder: Recorder,
        *,
        most: int,
        on_end: Callable[[], None],
    ) -> Pipeline[Any, Outcome[L]]:
        """Build what the stream runs on; ``most`` is the client's concurrency."""
        allowed = min(self.concurrency or most, most)
        if self.strategy == "get":
            single = GetLookup(endpoints, workspace, recorder, keep_raw=self.keep_raw)
            return Pipeline(
                Intake(lead_ids),
                single.run,
                concurrency=allowed,
                ordered=self.ordered,
                on_end=on_end,
            )
        listing = ListLookup(
            endpoints,
            workspace,
            recorder,
            concurrency=allowed,
            keep_raw=self.keep_raw,
            confirm_missing=self.confirm_missing,
        )
        return Pipeline(
            ChunkIntake(lead_ids, MAX_IDS_PER_PAGE),
            listing.run,
            concurrency=min(self.concurrency or DEFAULT_LIST_CONCURRENCY, most),
            ordered=self.ordered,
            on_end=on_end,
        )


class LeadStream(Generic[L]):
    """Outcomes as they complete: an async context manager and an async iterator.

    A bare ``async for`` works too; only the context manager makes leaving early
    deterministic. Left by ``break`` without it, the work in flight ends when the stream is
    collected, at the latest with the client.
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
        """Give the next outcome.

        Raises:
            RunError: the run had to stop; what was finished has been given before.
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
        """What this stream has done so far."""
        return self._activity.snapshot(self._recorder)


class Activity(Generic[L]):
    """What one client has under way: its open streams, and everybody's counters.

    ``recorder`` counts what is done outside of streams, and what ended streams have done.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._streams: dict[Pipeline[Any, Outcome[L]], Recorder] = {}
        self.recorder = Recorder()
        self.closed = False

    def require_open(self) -> None:
        """Raise ``ClosedError`` if the client is closed."""
        if self.closed:
            raise ClosedError("The client is closed; make a new one.")

    def stream(
        self,
        lead_ids: Source[LeadId],
        options: StreamOptions,
        endpoints: Endpoints[L],
        *,
        most: int,
    ) -> LeadStream[L]:
        """Make a stream; it counts as open from its first outcome on."""
        recorder = Recorder()
        pipeline: Pipeline[Any, Outcome[L]] = options.pipeline(
            lead_ids,
            endpoints,
            self._workspace,
            recorder,
            most=most,
            on_end=lambda: self._end(pipeline, recorder),
        )
        return LeadStream(pipeline, self, recorder)

    def begin(self, recorder: Recorder, pipeline: Pipeline[Any, Outcome[L]] | None = None) -> None:
        """Note that something begins.

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
        """End every open stream; nothing begins any more. Idempotent."""
        self.closed = True
        for pipeline in list(self._streams):
            await pipeline.aclose(ClosedError("The client was closed."))

    def total(self) -> Stats:
        """Freeze the counters of everything, open streams included."""
        total = Recorder()
        total.started_at = self.recorder.started_at
        for recorder in (self.recorder, *self._streams.values()):
            total.add(recorder)
        return self.snapshot(total)

    def snapshot(self, recorder: Recorder) -> Stats:
        """Freeze one recorder's counters."""
        now, breaker = _now(), self._workspace.admission.breaker
        return recorder.snapshot(
            now,
            allowed_rate=self._workspace.limiter.rate,
            paused_s=self._workspace.limiter.paused_s(now),
            breaker_open=breaker.is_open,
            next_probe_s=breaker.next_probe_s(now),
            gives_up_s=breaker.gives_up_s(now),
        )


async def collect(stream: LeadStream[L]) -> LeadBatch[L]:
    """Consume a stream into a batch, in input order.

    Raises:
        RunError: the run had to stop; ``error.partial`` is the batch of what was finished.
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
