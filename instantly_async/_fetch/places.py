"""``Places``: how much of a stream is worked on at once, apart from what waits for a retry.

Ids that the API cannot return wait for tokens of the retry budget, long after their first attempt.
If they kept their places, they would hold up all other ids.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf


class Places:
    """``size`` places, first come, first served.

    At most ``most_away`` may be absent, which bounds memory; others keep their places.
    ``on_vacancy()`` is called when somebody becomes absent. ``away`` counts the absent.
    """

    def __init__(self, size: int, most_away: float = inf) -> None:
        self.size = size
        self.away = 0
        self.on_vacancy: Callable[[], None] = lambda: None
        self._most_away = most_away
        self._free = size
        self._waiting: deque[asyncio.Future[None]] = deque()

    def try_take(self) -> bool:
        """Take a place, if one is free; return whether it was."""
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    async def take(self) -> None:
        if self.try_take():
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given the place just then
                self.give()
            raise

    def give(self) -> None:
        """Give a place back; the first who waits gets it."""
        self._free += 1
        while self._waiting and self._free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._free -= 1

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold a place."""
        await self.take()
        try:
            yield
        finally:
            self.give()

    @asynccontextmanager
    async def absence(self) -> AsyncIterator[None]:
        """Give the place away for a while."""
        if self.away >= self._most_away:
            yield
            return
        self.away += 1
        self.give()
        self.on_vacancy()
        try:
            yield
            await self.take()
        except BaseException:
            self._free -= 1  # leaves at once, and then gives back what it has not got
            raise
        finally:
            self.away -= 1
