"""The lazy input of a pipeline: handed out item by item, or in chunks.

Theory of operation. An iterable is pulled only when a unit is needed, never ahead. Only an async
iterable that is cut into chunks has a *feeder* task, which fills the next chunk while earlier ones
are worked on. A chunk is handed out when it is full, or ``flush_s`` after its first item arrived,
so a slow input does not delay its own items. The flush never cancels the feeder: cancelling its
pending ``__anext__`` would end a generator.
"""

import asyncio
import contextlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
)
from itertools import islice
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
U_co = TypeVar("U_co", covariant=True)

Source = Iterable[T] | AsyncIterable[T]

FLUSH_S = 0.05
"""How long the first item of a chunk waits for others, in seconds (*choice*)."""


class Units(Protocol[U_co]):
    """What a pipeline works on: units of one or more items, numbered by their first item.

    ``is_async`` says which method to pull with. ``pulled`` counts the items handed out.
    ``unit_size`` is the most items that a unit holds.
    """

    is_async: bool
    pulled: int
    unit_size: int

    def pull(self) -> tuple[int, U_co] | None:
        """Return the next unit of a plain iterable; ``None`` at its end."""

    async def pull_async(self) -> tuple[int, U_co] | None:
        """Return the next unit of an async iterable; ``None`` at its end. One call at a time."""

    async def aclose(self) -> None:
        """Close the input if it is a generator; a caller's file stays open."""


class Intake(Generic[T]):
    """Units of one item. Implements ``Units``.

    Raises:
        TypeError: the input is neither iterable nor async iterable.
    """

    unit_size = 1

    def __init__(self, source: Source[T]) -> None:
        self._iterator: Iterator[T] | None = None
        self._aiterator: AsyncIterator[T] | None = None
        if isinstance(source, AsyncIterable):
            self._aiterator = aiter(source)
        else:
            self._iterator = iter(source)
        self.is_async = self._aiterator is not None
        self.pulled = 0
        self._exhausted = False

    def pull(self) -> tuple[int, T] | None:
        assert self._iterator is not None
        if self._exhausted:
            return None
        try:
            item = next(self._iterator)
        except StopIteration:
            self._exhausted = True
            return None
        self.pulled += 1
        return self.pulled - 1, item

    def pull_into(self, chunk: list[T], size: int) -> None:
        """Fill an empty chunk from a plain iterable; items before an error stay in it."""
        assert self._iterator is not None
        if not self._exhausted:
            chunk.extend(islice(self._iterator, size))
            self._exhausted = len(chunk) < size

    async def pull_async(self) -> tuple[int, T] | None:
        assert self._aiterator is not None
        if self._exhausted:
            return None
        try:
            item = await anext(self._aiterator)
        except StopAsyncIteration:
            self._exhausted = True
            return None
        self.pulled += 1
        return self.pulled - 1, item

    async def aclose(self) -> None:
        if isinstance(self._iterator, Generator):
            self._iterator.close()
        elif isinstance(self._aiterator, AsyncGenerator):
            await self._aiterator.aclose()


class ChunkIntake(Generic[T]):
    """Units of up to ``unit_size`` items. Implements ``Units``. Pulls at most one chunk ahead.

    Raises:
        TypeError: the input is neither iterable nor async iterable.
    """

    def __init__(self, source: Source[T], unit_size: int, *, flush_s: float = FLUSH_S) -> None:
        self._items = Intake(source)
        self._flush_s = flush_s
        self.unit_size = unit_size
        self.is_async = self._items.is_async
        self.pulled = 0
        self._chunk: list[T] = []  # the next one
        self._feeder: asyncio.Task[None] | None = None
        self._first_at = 0.0
        self._begun = asyncio.Event()  # the chunk has an item, or there will be none
        self._complete = asyncio.Event()  # nothing more will join the chunk
        self._emptied = asyncio.Event()
        self._error: BaseException | None = None
        self._closing = False

    def pull(self) -> tuple[int, list[T]] | None:
        """Return the next full chunk with the index of its first item; at the end, the rest.

        Raises:
            BaseException: what the input raised, after the items before it.
        """
        if self._error is not None:
            raise self._error
        chunk: list[T] = []
        try:
            self._items.pull_into(chunk, self.unit_size)
        except Exception as error:
            if not chunk:
                raise
            self._error = error
        return self._number(chunk)

    async def pull_async(self) -> tuple[int, list[T]] | None:
        """Return the next chunk: full, or what has arrived when ``flush_s`` is over.

        Raises:
            BaseException: what the input raised, after the items before it.
        """
        if self._feeder is None:
            self._feeder = asyncio.create_task(self._feed())
        await self._begun.wait()
        if not self._complete.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._first_at + self._flush_s):
                    await self._complete.wait()
        chunk, self._chunk = self._chunk, []
        if not self._feeder.done():
            self._begun.clear()
            self._complete.clear()
            self._emptied.set()
        elif not chunk and self._error is not None:
            raise self._error
        return self._number(chunk)

    def _number(self, chunk: list[T]) -> tuple[int, list[T]] | None:
        first = self.pulled
        self.pulled += len(chunk)
        return (first, chunk) if chunk else None

    async def _feed(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            # An input may ignore its cancellation and yield another item.
            while (pulled := await self._items.pull_async()) is not None and not self._closing:
                self._chunk.append(pulled[1])
                if len(self._chunk) == 1:
                    self._first_at = loop.time()
                    self._begun.set()
                if len(self._chunk) >= self.unit_size:
                    self._complete.set()
                    self._emptied.clear()
                    await self._emptied.wait()
        except BaseException as error:  # noqa: BLE001 - pull_async raises it, cancellations too
            self._error = error
        finally:
            self._begun.set()
            self._complete.set()

    async def aclose(self) -> None:
        self._closing = True
        if self._feeder is not None:
            self._feeder.cancel()
            await asyncio.wait([self._feeder])
        await self._items.aclose()
