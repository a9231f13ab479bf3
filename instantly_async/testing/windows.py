"""The two sliding rate windows, on times that the caller passes in.

Decides who gets a 429. Documented: 100 requests a second and 6,000 a minute. Unknown, so the
strict reading is used: the windows slide, and rejected requests count as well. Must not know
HTTP or a clock.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

SECOND_S = 1.0
MINUTE_S = 60.0


class WorstWindows(NamedTuple):
    """The most requests seen in any second and in any 60 seconds."""

    per_second: int
    per_minute: int


class SlidingLog:
    """Times of the last ``width_s`` seconds, without the one that is exactly that long ago."""

    def __init__(self, width_s: float) -> None:
        self._width_s = width_s
        self._times: deque[float] = deque()

    def count(self, now: float) -> int:
        """Return how many times lie in the window that ends at ``now``."""
        times = self._times
        while times and now - times[0] >= self._width_s:
            times.popleft()
        return len(times)

    def add(self, now: float) -> None:
        """Add a time, not earlier than those before it."""
        self._times.append(now)


class RateWindows:
    """Both windows of one workspace."""

    def __init__(self) -> None:
        self._second = SlidingLog(SECOND_S)
        self._minute = SlidingLog(MINUTE_S)

    def admit(self, now: float, limit: tuple[int, int], *, count_rejected: bool = True) -> bool:
        """Count one request at ``now``; return whether both windows had room for it.

        ``limit`` is requests per second and per 60 s.
        """
        per_second, per_minute = limit
        in_second, in_minute = self._second.count(now), self._minute.count(now)
        admitted = in_second < per_second and in_minute < per_minute
        if admitted or count_rejected:
            self._second.add(now)
            self._minute.add(now)
        return admitted


def most_in_window(times: Iterable[float], width_s: float) -> int:
    """Return the largest number of ``times`` (ascending) in any window of ``width_s`` seconds."""
    log, most = SlidingLog(width_s), 0
    for time in times:
        log.add(time)
        most = max(most, log.count(time))
    return most
