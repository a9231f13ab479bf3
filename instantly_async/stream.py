"""``LeadStream``: what ``stream_leads`` returns, a thin face of one pipeline."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from .outcomes import LeadId, Outcome
from .pipeline import Pipeline
from .stats import Stats

L = TypeVar("L")


class LeadStream(Generic[L]):
    """Outcomes as they complete: an async context manager and an async iterator.

    A bare ``async for`` works too; only the context manager makes leaving early
    deterministic. Left by ``break`` without it, the work in flight ends when the stream is
    collected, at the latest with the client.
    """

    def __init__(
        self,
        pipeline: Pipeline[LeadId, Outcome[L]],
        *,
        begin: Callable[[], None],
        snapshot: Callable[[], Stats],
    ) -> None:
        self._pipeline = pipeline
        self._begin = begin
        self._snapshot = snapshot
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
            self._begin()
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
        return self._snapshot()
