"""``Places``: so many at a time, first come, first served."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from instantly_async._reprs import safe_repr


class Places:
    """A semaphore whose size may change. ``taken`` counts the places in use.

    Whoever has entered must leave.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @safe_repr
    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.taken} of {self.size} waiting={len(self._waiting)}>"

    def try_enter(self) -> bool:
        """Take a place, if one is free and nobody waits; return whether that is so."""
        if self.taken >= self.size or self._waiting:
            return False
        self.taken += 1
        return True

    async def enter(self) -> None:
        """Wait for a place, and take it."""
        if self.try_enter():
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was let in just then
                self.leave()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def leave(self) -> None:
        self.taken -= 1
        self._let_in()

    def resize(self, size: int) -> None:
        self.size = size
        self._let_in()

    @asynccontextmanager
    async def inside(self) -> AsyncIterator[None]:
        """Hold a place."""
        await self.enter()
        try:
            yield
        finally:
            self.leave()

    def _let_in(self) -> None:
        while self._waiting and self.taken < self.size:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self.taken += 1
