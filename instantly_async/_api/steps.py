"""``Steps``: work that would block an event loop, cut into pieces. Knows no loop."""

from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar, final

R = TypeVar("R")
S = TypeVar("S")


@final
class Steps(Generic[R]):
    """Work that yields after each step, and its result.

    Iterate over it, once, to do the work; then ``result`` is set. Errors of the work are raised
    while iterating.
    """

    __slots__ = ("_work", "result")

    result: R

    def __init__(self, work: Generator[None, None, R]) -> None:
        self._work = work

    def __iter__(self) -> Iterator[None]:
        self.result = yield from self._work

    def at_once(self) -> R:
        """Do the work, and return its result. For code without a loop."""
        for _ in self:
            pass
        return self.result

    def then(self, make: Callable[[R], S]) -> "Steps[S]":
        """Return the same work, with ``make`` of its result."""
        return Steps(self._and_make(make))

    def _and_make(self, make: Callable[[R], S]) -> Generator[None, None, S]:
        return make((yield from self._work))
