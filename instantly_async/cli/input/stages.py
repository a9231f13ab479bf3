"""Stages: an input passes through several, each from bytes to bytes or to ids. No I/O.

Data is pushed in, because a pipe must never hold up the event loop. What a stage does is chosen by
the first bytes, which are not read again.
"""

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Stage(Protocol[T_co]):
    """Takes an input in pieces. Both methods may raise ``InputError``."""

    def feed(self, data: bytes) -> Iterator[T_co]:
        """Yield what this piece completes."""

    def finish(self) -> Iterator[T_co]:
        """Yield what is left at the end."""


class Unchanged:
    """A stage that passes everything on."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> Iterator[bytes]:
        yield from ()


class Chosen(Generic[T]):
    """The stage that ``choose`` returns for the first bytes.

    ``head_of`` returns those bytes, or ``None`` if more are needed; at the end, all there are.
    """

    def __init__(
        self,
        head_of: Callable[[bytearray], bytes | None],
        choose: Callable[[bytes], Stage[T]],
    ) -> None:
        self._head_of = head_of
        self._choose = choose
        self._read = bytearray()
        self._stage: Stage[T] | None = None

    def feed(self, data: bytes) -> Iterator[T]:
        if self._stage is not None:
            return self._stage.feed(data)
        self._read += data
        head = self._head_of(self._read)
        return iter(()) if head is None else self._begin(head)

    def finish(self) -> Iterator[T]:
        if self._stage is None:
            yield from self._begin(bytes(self._read))
        assert self._stage is not None
        yield from self._stage.finish()

    def _begin(self, head: bytes) -> Iterator[T]:
        """Choose the stage, and pass on what was read so far."""
        self._stage = self._choose(head)
        read, self._read = bytes(self._read), bytearray()
        return self._stage.feed(read)


class Piped(Generic[T]):
    """Two stages; the second gets what the first yields."""

    def __init__(self, first: Stage[bytes], second: Stage[T]) -> None:
        self._first = first
        self._second = second

    def feed(self, data: bytes) -> Iterator[T]:
        for piece in self._first.feed(data):
            yield from self._second.feed(piece)

    def finish(self) -> Iterator[T]:
        for piece in self._first.finish():
            yield from self._second.feed(piece)
        yield from self._second.finish()
