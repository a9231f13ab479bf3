"""``LeadStream`` and ``MatchStream``: outcomes as they complete. ``collect`` makes a batch."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from ._fetch import Pipeline, report_closing_error
from ._recorder import Recorder
from ._reprs import safe_repr
from .activity import Activity, StreamRecorder
from .errors import ClosedError, RunError
from .events import Operation
from .outcomes import EmailMatch, LeadBatch, Outcome
from .settings import Strategy
from .stats import Stats

L = TypeVar("L")
R = TypeVar("R")
S = TypeVar("S", bound="Stream[Any]")


class Stream(Generic[R]):
    """Outcomes as they complete: an async context manager and an async iterator.

    A bare ``async for`` works too, but only the context manager makes leaving early deterministic:
    without it, work in flight after a ``break`` ends when the stream is garbage-collected, or when
    the client is closed.
    """

    _loop: asyncio.AbstractEventLoop | None = None  # ``__del__`` may come before ``__init__``

    def __init__(
        self,
        pipeline: Pipeline[Any, R],
        activity: Activity,
        recorder: StreamRecorder,
    ) -> None:
        self._pipeline = pipeline
        self._activity = activity
        self._recorder = recorder

    @safe_repr
    def __repr__(self) -> str:
        stats = self.stats
        return f"<{type(self).__name__} requested={stats.requested} in_flight={stats.in_flight}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await leave(self, error)

    def __aiter__(self) -> AsyncIterator[R]:
        return self

    def __anext__(self) -> Awaitable[R]:
        """Return the next outcome.

        Raises:
            RunError: the run had to stop; the outcomes of all finished ids came before it.
            ClosedError: the stream or the client was closed, or belongs to another loop.
            CancelledError: somebody else cancelled a task of this stream.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._activity.begin_stream(self._recorder, self._pipeline)
            self._loop = loop
        return self._pipeline.take(self)

    async def aclose(self) -> None:
        """Cancel and await the work in flight; close the input if it is a generator.

        Other tasks that wait for an outcome get ``ClosedError``. An input that does not end within
        1.5 s is left behind, with a warning in the log.

        Raises:
            Exception: what the input raised when it was closed.
            ClosedError: the stream belongs to another loop.
        """
        if not self._activity.is_forsaken():
            await self._pipeline.aclose(ClosedError("The stream was closed."))

    def __del__(self) -> None:
        # May run in any thread, and after the loop's end.
        if self._loop is not None and not self._loop.is_closed():
            error = ClosedError("The stream was garbage-collected.")
            self._loop.call_soon_threadsafe(self._pipeline.abandon, error)

    @property
    def stats(self) -> Stats:
        """The counters of this stream so far."""
        return self._activity.snapshot(self._recorder)


class LeadStream(Stream[Outcome[L]]):
    """A ``Stream`` of one outcome per lead, made by ``stream_leads`` or ``list_leads``."""


class MatchStream(Stream[EmailMatch[L]]):
    """A ``Stream`` of one ``EmailMatch`` per email, made by ``find_leads``."""


def open_stream(
    kind: type[S],
    activity: Activity,
    make: Callable[[Recorder, Callable[[], None]], Any],
    operation: Operation,
    strategy: Strategy | None = None,
) -> S:
    """Make a stream; it counts as open from its first outcome on.

    ``make(recorder, on_end)`` makes its pipeline. ``operation`` and ``strategy`` are for observers.
    """
    recorder = StreamRecorder(observers=activity.observers, operation=operation, strategy=strategy)
    pipeline: Pipeline[Any, Any] = make(recorder, lambda: activity.end_stream(recorder, pipeline))
    return kind(pipeline, activity, recorder)


class _Closable(Protocol):
    async def aclose(self) -> None: ...


async def leave(closable: _Closable, error: BaseException | None) -> None:
    """Close at the end of an ``async with`` block, whose own ``error`` stays the one raised."""
    try:
        await closable.aclose()
    except Exception as closing_error:
        if error is None:
            raise
        if not isinstance(closing_error, ClosedError):
            report_closing_error(closing_error)


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
