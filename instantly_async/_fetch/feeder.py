"""``Feeder``: the one task that pulls an async input and closes it.

Theory of operation. An input may hold what belongs to a task: ``asyncio.timeout``, a task group, a
session. So all of it runs in one task, which fills the next batch while earlier ones are worked on.
It is cancelled only when the whole run ends, because cancelling a pending ``__anext__`` would end a
generator.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Feeder(Generic[T]):
    """Fills batches of up to ``size`` items from an async input, at most one batch ahead.

    ``run()`` is to be run as a task. ``closing_error``: what the input raised when it was closed;
    ``None``: nothing.
    """

    def __init__(self, source: AsyncIterable[T], size: int) -> None:
        self._input = aiter(source)
        self._size = size
        self._batch: list[T] = []
        self._first_at = 0.0
        self._begun = asyncio.Event()  # the batch has an item, or there will be none
        self._complete = asyncio.Event()  # nothing more will join the batch
        self._emptied = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None  # that of ``run``
        self._is_stopping = False
        self._has_ended = False
        self._error: BaseException | None = None
        self.closing_error: BaseException | None = None

    async def take(self, flush_s: float) -> list[T]:
        """Return a batch: full, or what has arrived ``flush_s`` after its first item; empty: end.

        Raises:
            BaseException: what the input raised, after the items before it.
        """
        await self._begun.wait()
        if not self._complete.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._first_at + flush_s):
                    await self._complete.wait()
        batch, self._batch = self._batch, []
        if not self._has_ended:
            self._begun.clear()
            self._complete.clear()
            self._emptied.set()
        elif not batch and self._error is not None:
            raise self._error
        return batch

    def stop(self) -> None:
        """Let ``run`` end, and close the input, after its next cancellation or item."""
        self._is_stopping = True

    async def run(self) -> None:
        """Pull until the input ends or ``stop`` is called; then close it, if it is a generator.

        Raises:
            CancelledError: the task was cancelled.
        """
        self._task = asyncio.current_task()
        try:
            if not self._is_stopping:
                await self._fill()
        except asyncio.CancelledError as error:
            if self._is_cancelled:
                raise
            self._error = error  # the input has raised it by itself
        except (GeneratorExit, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a caller's input raises
            if self._is_stopping:  # it was cancelled, and raised this on its way out
                self.closing_error = error
            self._error = error
        finally:
            await self._close()
            self._has_ended = True
            self._begun.set()
            self._complete.set()

    async def _fill(self) -> None:
        loop = asyncio.get_running_loop()
        given: deque[T] = deque()  # by the input when it was interrupted at a yield
        while True:
            try:
                item = given.popleft() if given else await anext(self._input)
                self._require_not_cancelled()
                if self._is_stopping:  # the input has ignored its cancellation
                    return
                self._batch.append(item)
                if len(self._batch) == 1:
                    self._first_at = loop.time()
                    self._begun.set()
                if len(self._batch) >= self._size:
                    self._complete.set()
                    self._emptied.clear()
                    await self._until_emptied(given)
            except StopAsyncIteration:
                break
        self._require_not_cancelled()

    async def _until_emptied(self, given: deque[T]) -> None:
        while not self._emptied.is_set():
            try:
                await self._emptied.wait()
            except asyncio.CancelledError as cancellation:
                if self._is_stopping or not isinstance(self._input, AsyncGenerator):
                    raise
                # Perhaps that of a timeout around its ``yield``, which makes a TimeoutError of it.
                given.append(await self._input.athrow(cancellation))
                self._require_not_cancelled()

    @property
    def _is_cancelled(self) -> bool:
        """Whether somebody has cancelled this task, and not taken that back, as a timeout does."""
        return self._task is not None and self._task.cancelling() > 0

    def _require_not_cancelled(self) -> None:
        """Raise ``CancelledError`` if an input has swallowed one that came from outside."""
        if not self._is_stopping and self._is_cancelled:
            raise asyncio.CancelledError

    async def _close(self) -> None:
        if isinstance(self._input, AsyncGenerator):
            try:
                await self._input.aclose()
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever a caller's generator raises
                self.closing_error = _without_exit(error)


def _without_exit(error: BaseException) -> BaseException | None:
    """Take out the ``GeneratorExit`` of closing, which a task group puts into its own error."""
    return error.split(GeneratorExit)[1] if isinstance(error, BaseExceptionGroup) else error
