"""``WorkPlaces``: how much of a stream is worked on at once, apart from what waits for a retry.

Ids that the API cannot return wait for tokens of the retry budget, long after their first attempt.
If they kept their places, they would hold up all other ids.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf

from instantly_async._pace import Places


class WorkPlaces(Places):
    """Places that can be given away for a while.

    At most ``most_ids`` may be absent, which bounds memory; others keep their places.
    ``on_vacancy()`` is called when somebody becomes absent. ``away`` counts the absent, and ``ids``
    their ids.
    """

    def __init__(self, size: int, most_ids: float = inf) -> None:
        super().__init__(size)
        self.away = 0
        self.ids = 0
        self.on_vacancy: Callable[[], None] = lambda: None
        self._most_ids = most_ids

    @asynccontextmanager
    async def absence(self, ids: int = 1) -> AsyncIterator[None]:
        """Give the place to others, and wait for one at the end."""
        if self.ids + ids > self._most_ids:
            yield
            return
        self.away += 1
        self.ids += ids
        self.leave()
        self.on_vacancy()
        try:
            yield
            await self.enter()
        except BaseException:
            self.taken += 1  # it ends at once, and leaves a place that it has not got
            raise
        finally:
            self.away -= 1
            self.ids -= ids
