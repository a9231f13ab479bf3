"""Bounded workers over a lazy input: results as they complete, or in order. Knows no HTTP.

Theory of operation. A runner task owns a task group of workers. A worker waits until there is
room, pulls one unit (an item, or a chunk of them) from the input, works on it and delivers one
result per item into ``ready``, from which the consumer takes them. Each worker starts the next
one after its first pull, up to ``concurrency``, so short inputs need few tasks.

A unit that waits for a retry gives its place to another worker (see ``absence``), and takes one
again to continue. A worker that is one too many then ends after its unit.

Bounded room bounds memory. As completed: fewer than ``BUFFER`` results wait. In order: at most
``concurrency * unit_size`` items are pulled but not yet consumed.

The first exception of a worker or of the input ends the run: the group cancels and awaits the
other workers, the input is closed, finished results are still yielded, then it is raised.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from .absence import WorkPlaces
from .intake import Units

U = TypeVar("U")
R = TypeVar("R")

BUFFER = 64
"""Results that may wait for a slow consumer before no more input is pulled (*choice*)."""

Deliver = Callable[[int, R], None]
Work = Callable[[int, U, Deliver[R]], Awaitable[None]]


class _StrayError(Exception):
    """Carries through the task group a ``CancelledError`` that did not cancel the task itself."""

    def __init__(self, cancellation: asyncio.CancelledError) -> None:
        super().__init__()
        self.cancellation = cancellation


class Pipeline(Generic[U, R]):
    """An async iterator of results; one result per item of the input.

    ``work(index, unit, deliver)`` calls ``deliver(index, result)`` once per item of the unit;
    ``index`` is that of its first item. At most ``concurrency`` units are in flight, besides those
    that are absent from ``places``, which has that size. At most ``BUFFER`` results wait, besides
    those of the units in flight (``ordered``: at most ``concurrency * unit_size`` items are pulled
    but not yet consumed). Memory does not grow with the input. ``on_end()`` is called once, when
    no work is in flight any more.
    """

    def __init__(
        self,
        intake: Units[U],
        work: Work[U, R],
        *,
        concurrency: int,
        places: WorkPlaces | None = None,
        ordered: bool = False,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._intake = intake
        self._work = work
        self._concurrency = concurrency
        self._window = concurrency * intake.unit_size
        self._ordered = ordered
        self._on_end = on_end
        self._ready: deque[R] = deque()
        self._held: dict[int, R] = {}
        self._next_index = 0
        self._taken = 0
        self._arrival = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._turn = asyncio.Lock()
        self._workers = 0
        self._places = places or WorkPlaces(concurrency)
        self._places.on_vacancy = self._grow
        self._group: asyncio.TaskGroup | None = None
        self._runner: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._cancelled = False
        self._closed = False

    def __aiter__(self) -> AsyncIterator[R]:
        return self

    def __anext__(self) -> Coroutine[Any, Any, R]:
        return self.take()

    async def take(self, keeper: object = None) -> R:  # noqa: ARG002 - kept alive
        """Return the next result. ``keeper`` must not be garbage-collected while this waits.

        Raises:
            StopAsyncIteration: there are no more.
        """
        while not self._ready:
            if self._runner is None and not self._closed:
                self._runner = asyncio.create_task(self._run())
            if self._closed:
                self._end()
            self._arrival.clear()
            await self._arrival.wait()
        result = self._ready.popleft()
        self._taken += 1
        if not self._room.is_set() and self._has_room():
            self._room.set()
        return result

    def _end(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopAsyncIteration

    async def aclose(self, error: BaseException | None = None) -> None:
        """Cancel and await the work in flight, and close the input. Idempotent.

        A consumer that still waits gets ``error``, or the end of the iteration.
        """
        if self._runner is None:
            if not self._closed:
                await self._finish()
            return
        if not self._runner.done():
            self._error = error
            self.cancel()
            # Shielded: if the caller is cancelled, it leaves at once, and the cleanup continues.
            await asyncio.shield(asyncio.wait([self._runner]))
        self._ready.clear()

    def cancel(self) -> None:
        """Ask the work in flight to end, without waiting for it."""
        if self._runner is None or self._cancelled:
            return  # only once: a second cancellation would interrupt the cleanup
        self._cancelled = True
        if self._group is not None:  # otherwise it has not begun, and will see the flag
            self._runner.cancel()

    @property
    def running(self) -> bool:
        """Whether work is, or may still be, in flight."""
        return self._runner is not None and not self._runner.done()

    async def _run(self) -> None:
        try:
            if not self._cancelled:
                async with asyncio.TaskGroup() as self._group:
                    self._grow()
        except BaseExceptionGroup as group:
            error = group.exceptions[0]
            self._error = error.cancellation if isinstance(error, _StrayError) else error
        finally:
            self._group = None
            await self._finish()

    async def _finish(self) -> None:
        try:
            await self._intake.aclose()
        except BaseException as error:  # noqa: BLE001 - whatever a caller's generator raises
            self._error = self._error or error
        # Ordered results behind a gap: the missing one will not come any more.
        self._ready.extend(self._held[index] for index in sorted(self._held))
        self._held.clear()
        self._closed = True
        self._on_end()
        self._arrival.set()

    def _grow(self) -> None:
        if self._needs_worker and self._group is not None:
            self._workers += 1
            self._group.create_task(self._serve())

    @property
    def _needs_worker(self) -> bool:
        return self._workers - self._places.away < self._concurrency

    async def _serve(self) -> None:
        try:
            await self._serve_until_the_end()
        except asyncio.CancelledError as cancellation:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # This task was not cancelled: the error came from the input or the work. A task
            # group treats it as a normal end, which would lose this item and those after it.
            raise _StrayError(cancellation) from None
        finally:
            self._workers -= 1

    async def _serve_until_the_end(self) -> None:
        intake, places = self._intake, self._places
        first = True
        while self._workers - places.away <= self._concurrency:
            if intake.is_async:
                pulled = await self._pull_in_turn()
            else:
                if not self._has_room():
                    await self._wait_for_room()
                pulled = intake.pull()
            if pulled is None:
                return
            if first:
                first = False
                self._grow()
            if not places.try_enter():
                await places.enter()
            try:
                await self._work(*pulled, self._deliver)
            finally:
                places.leave()

    async def _pull_in_turn(self) -> tuple[int, U] | None:
        # One at a time: async generators refuse a second __anext__, and the room that was
        # found must still be free when the item arrives.
        async with self._turn:
            await self._wait_for_room()
            return await self._intake.pull_async()

    async def _wait_for_room(self) -> None:
        while not self._has_room():
            self._room.clear()
            await self._room.wait()

    def _has_room(self) -> bool:
        if self._ordered:
            return self._intake.pulled - self._taken + self._intake.unit_size <= self._window
        return len(self._ready) < BUFFER

    def _deliver(self, index: int, result: R) -> None:
        if not self._ordered:
            self._ready.append(result)
        else:
            self._held[index] = result
            while self._next_index in self._held:
                self._ready.append(self._held.pop(self._next_index))
                self._next_index += 1
        self._arrival.set()
