"""Bounded workers over a lazy input: results as they complete, or in order. Knows no HTTP.

Theory of operation. A worker waits until there is room, pulls one unit (an item, or a chunk of
them) from the input, works on it and delivers one result per item into ``ready``, from which the
consumer takes them. Each worker starts the next one after its first pull, up to ``concurrency``,
so short inputs need few tasks.

A unit that waits for a retry gives its place to another worker (see ``absence``), and takes one
again to continue. A worker that is one too many then ends after its unit.

Bounded room bounds memory. As completed: fewer than ``BUFFER`` results wait. In order: at most
``concurrency * unit_size`` items are pulled but not yet consumed.

The run ends when none of its tasks is left. The first of them that fails, or that somebody else
cancels, stops the others; finished results are still yielded, then that error is raised. So the
iteration ends without an error only if the input is exhausted, and all of it is done. A task that
does not end after its cancellation is cancelled again, and then left behind, with a warning.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from .absence import WorkPlaces
from .intake import Units

U = TypeVar("U")
R = TypeVar("R")

BUFFER = 64
"""Results that may wait for a slow consumer before no more input is pulled (*choice*)."""

CLOSING_S = (1.0, 0.5)
"""Seconds until tasks that do not end are cancelled again, and then left behind (*choice*)."""

Deliver = Callable[[int, R], None]
Work = Callable[[int, U, Deliver[R]], Awaitable[None]]

_log = logging.getLogger(__name__)


def report_closing_error(error: BaseException) -> None:
    """Tell the loop's exception handler what an input raised when it was closed."""
    asyncio.get_running_loop().call_exception_handler(
        {"message": "The input of a stream raised this when it was closed", "exception": error}
    )


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
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_begun = False
        self._is_stopping = False
        self._is_abandoned = False
        self._overdue: asyncio.Handle | None = None
        self._ended = asyncio.Event()
        self._error: BaseException | None = None
        self._closing_error: BaseException | None = None

    @property
    def has_ended(self) -> bool:
        """Whether none of its work is left."""
        return self._ended.is_set()

    @property
    def error(self) -> BaseException | None:
        """What has ended it; ``None``: nothing but its end."""
        return self._error

    def __aiter__(self) -> AsyncIterator[R]:
        return self

    def __anext__(self) -> Coroutine[Any, Any, R]:
        return self.take()

    async def take(self, keeper: object = None) -> R:  # noqa: ARG002 - kept alive
        """Return the next result. ``keeper`` must not be garbage-collected while this waits.

        Raises:
            StopAsyncIteration: there are no more.
            BaseException: the input or the work raised it, or ``stop`` was called with it.
        """
        while not self._ready:
            if not self._has_begun:
                self._begin()
                self._grow()
                continue  # an eager task may have results already
            if self._ended.is_set():
                raise self._error or StopAsyncIteration
            self._arrival.clear()
            await self._arrival.wait()
        result = self._ready.popleft()
        self._taken += 1
        if not self._room.is_set() and self._has_room():
            self._room.set()
        return result

    async def aclose(self, error: BaseException) -> None:
        """Cancel and await the work in flight, and close the input. Idempotent.

        A consumer that still waits, or comes later, gets ``error``. If the caller is cancelled, it
        leaves at once, and the cleanup continues.

        Raises:
            BaseException: what the input raised when it was closed.
        """
        self.stop(error)
        await self._ended.wait()
        if self._ready:
            self._ready.clear()
            self._error = self._error or error
        closing_error, self._closing_error = self._closing_error, None
        if closing_error is not None:
            raise closing_error

    def stop(self, error: BaseException) -> None:
        """Ask the work in flight to end with this error, without waiting for it."""
        if self._is_stopping or self._ended.is_set():
            return
        self._is_stopping = True
        self._error = RuntimeError(repr(error)) if isinstance(error, StopAsyncIteration) else error
        if not self._has_begun:
            self._intake.stop()  # before it begins, so it is only closed
            self._begin()
            self._cancel_after(CLOSING_S)
        elif self._tasks:
            # In the next turn of the loop: a task that has not begun could not clean up.
            self._cancel_after((0.0, *CLOSING_S))
        if not self._tasks:
            self._finish()

    def abandon(self, error: BaseException) -> None:
        """Stop; nobody will ask for results or errors any more."""
        self._is_abandoned = True
        self.stop(error)
        self._report()

    def _begin(self) -> None:
        self._has_begun = True
        if self._intake.is_async:
            self._start(self._intake.feed())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        # Tasks are cancelled after `stop` only. Any other cancellation came from outside, or from
        # the input, and must not pass for a normal end.
        error = _error_of(task)
        if task not in self._tasks:
            return  # it was left behind
        self._tasks.discard(task)
        if error is not None:
            self.stop(error)
        if not self._tasks and not self._ended.is_set():
            self._finish()

    def _cancel(self, patience_s: tuple[float, ...]) -> None:
        if not patience_s:
            _log.warning("The input of a stream does not end after its cancellation; left behind.")
            self._tasks.clear()
            self._finish()
            return
        self._intake.stop()
        for task in self._tasks:
            task.cancel()
        self._cancel_after(patience_s)

    def _cancel_after(self, patience_s: tuple[float, ...]) -> None:
        loop = asyncio.get_running_loop()
        self._overdue = loop.call_later(patience_s[0], self._cancel, patience_s[1:])

    def _finish(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
        try:
            self._intake.close()
        except BaseException as error:  # noqa: BLE001 - whatever a caller's generator raises
            if self._error is None:
                self._error = error
            else:
                self._closing_error = error
        # Ordered results behind a gap: the missing one will not come any more.
        self._ready.extend(self._held[index] for index in sorted(self._held))
        self._held.clear()
        self._ended.set()
        self._arrival.set()
        self._on_end()
        if self._is_abandoned:
            self._report()

    def _report(self) -> None:
        error, self._closing_error = self._closing_error, None
        if error is not None:
            report_closing_error(error)

    def _grow(self) -> None:
        if self._needs_worker and not (self._is_stopping or self._ended.is_set()):
            self._workers += 1
            self._start(self._serve())

    @property
    def _needs_worker(self) -> bool:
        return self._workers - self._places.away < self._concurrency

    async def _serve(self) -> None:
        try:
            await self._serve_until_the_end()
        finally:
            self._workers -= 1

    async def _serve_until_the_end(self) -> None:
        intake, places = self._intake, self._places
        first = True
        while self._workers - places.away <= self._concurrency and not self._is_stopping:
            if intake.is_async:
                pulled = await self._pull_in_turn()
            else:
                if not self._has_room():
                    await self._wait_for_room()
                pulled = intake.pull()
            if pulled is None:
                return
            if first:  # later, because an eager task would begin within this one
                first = False
                asyncio.get_running_loop().call_soon(self._grow)
            if not places.try_enter():
                await places.enter()
            try:
                await self._work(*pulled, self._deliver)
            finally:
                places.leave()

    async def _pull_in_turn(self) -> tuple[int, U] | None:
        # One at a time: the room that was found must still be free when the item arrives.
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


def _error_of(task: asyncio.Task[None]) -> BaseException | None:
    if not task.cancelled():
        return task.exception()
    try:
        return task.result()
    except asyncio.CancelledError as cancellation:  # with its message
        return cancellation
