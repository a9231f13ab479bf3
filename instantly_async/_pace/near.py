"""``NearStage``: a queue in front of the limiter, so that few requests hold a connection.

A request that waits for its token with a connection in hand keeps that connection idle. If a
hundred do, each idles for 100/rate seconds, which is longer than many servers keep an idle
connection. So only those whose turn is near take one.
"""

import asyncio
from collections import deque
from collections.abc import Callable


class NearStage:
    """Lets ``size()`` requests in at a time, first come, first served.

    Whoever has entered must leave. Call ``let_in`` when the size may have grown.
    """

    def __init__(self, size: Callable[[], int]) -> None:
        self._size = size
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<NearStage {self._inside} of {self._size()} waiting={len(self._waiting)}>"

    async def enter(self) -> None:
        if self._inside < self._size() and not self._waiting:
            self._inside += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it was let in just then
                self.leave()
            elif place in self._waiting:
                self._waiting.remove(place)
            raise

    def leave(self) -> None:
        self._inside -= 1
        self.let_in()

    def let_in(self) -> None:
        """Let in as many as there is room for."""
        while self._waiting and self._inside < self._size():
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                self._inside += 1
