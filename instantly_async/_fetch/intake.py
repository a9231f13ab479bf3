"""The lazy input of a pipeline: handed out item by item, or in chunks.

An iterable is pulled only when a unit is needed, never ahead. An async iterable has a *feeder*
task, which holds the next unit ready. A chunk is handed out when it is full, or ``flush_s`` after
its first item arrived, so a slow input does not delay its own items.
"""

from collections.abc import AsyncIterable, Generator, Iterable, Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar

from .feeder import Feeder

T = TypeVar("T")
U_co = TypeVar("U_co", covariant=True)

Source = Iterable[T] | AsyncIterable[T]

FLUSH_S = 0.05
"""How long the first item of a chunk waits for others, in seconds (*choice*)."""


class Units(Protocol[U_co]):
    """What a pipeline works on: units of one or more items, numbered by their first item.

    ``is_async`` says which method to pull with, and that ``feed`` must run. ``pulled`` counts the
    items handed out. ``unit_size`` is the most items that a unit holds.
    """

    is_async: bool
    pulled: int
    unit_size: int

    def pull(self) -> tuple[int, U_co] | None:
        """Return the next unit of a plain iterable; ``None`` at its end."""

    async def pull_async(self) -> tuple[int, U_co] | None:
        """Return the next unit of an async iterable; ``None`` at its end. One call at a time."""

    async def feed(self) -> None:
        """Pull the async iterable, in a task of its own, and close it if it is a generator."""

    def stop(self) -> None:
        """Let ``feed`` end after its next cancellation or item."""

    def close(self) -> None:
        """Close a plain generator; a caller's file stays open. ``feed`` must have ended.

        Raises:
            BaseException: what the input raised when it was closed.
        """


class _Intake(Generic[T]):
    """What both kinds have in common.

    Raises:
        TypeError: the input is neither iterable nor async iterable.
    """

    def __init__(self, source: Source[T], unit_size: int) -> None:
        self._feeder: Feeder[T] | None = None
        self._iterator: Iterator[T] = iter(())
        if isinstance(source, AsyncIterable):
            self._feeder = Feeder(source, unit_size)
        else:
            self._iterator = iter(source)
        self.is_async = self._feeder is not None
        self.unit_size = unit_size
        self.pulled = 0
        self._exhausted = False

    async def feed(self) -> None:
        assert self._feeder is not None
        await self._feeder.run()

    def stop(self) -> None:
        if self._feeder is not None:
            self._feeder.stop()

    def close(self) -> None:
        if isinstance(self._iterator, Generator):
            self._iterator.close()
        elif self._feeder is not None and self._feeder.closing_error is not None:
            raise self._feeder.closing_error

    async def _take(self, flush_s: float) -> list[T]:
        assert self._feeder is not None
        items = await self._feeder.take(flush_s)
        self.pulled += len(items)
        return items


class Intake(_Intake[T]):
    """Units of one item. Implements ``Units``."""

    def __init__(self, source: Source[T]) -> None:
        super().__init__(source, 1)

    def pull(self) -> tuple[int, T] | None:
        if self._exhausted:
            return None
        try:
            item = next(self._iterator)
        except StopIteration:
            self._exhausted = True
            return None
        self.pulled += 1
        return self.pulled - 1, item

    async def pull_async(self) -> tuple[int, T] | None:
        items = await self._take(0.0)
        return (self.pulled - 1, items[0]) if items else None


class ChunkIntake(_Intake[T]):
    """Units of up to ``unit_size`` items. Implements ``Units``. Pulls at most one chunk ahead."""

    def __init__(self, source: Source[T], unit_size: int, *, flush_s: float = FLUSH_S) -> None:
        super().__init__(source, unit_size)
        self._flush_s = flush_s
        self._error: Exception | None = None

    def pull(self) -> tuple[int, list[T]] | None:
        """Return the next full chunk with the index of its first item; at the end, the rest.

        Raises:
            Exception: what the input raised, after the items before it.
        """
        if self._error is not None:
            raise self._error
        chunk: list[T] = []
        try:
            self._pull_into(chunk)
        except Exception as error:
            if not chunk:
                raise
            self._error = error
        self.pulled += len(chunk)
        return (self.pulled - len(chunk), chunk) if chunk else None

    def _pull_into(self, chunk: list[T]) -> None:
        """Fill an empty chunk; items before an error stay in it."""
        if not self._exhausted:
            chunk.extend(islice(self._iterator, self.unit_size))
            self._exhausted = len(chunk) < self.unit_size

    async def pull_async(self) -> tuple[int, list[T]] | None:
        """Return the next chunk: full, or what has arrived when ``flush_s`` is over.

        Raises:
            Exception: what the input raised, after the items before it.
        """
        chunk = await self._take(self._flush_s)
        return (self.pulled - len(chunk), chunk) if chunk else None
