"""``LoopClock``: the event loop's time, without the time during which the loop was blocked.

A slow callback, SIGSTOP or a laptop that sleeps stops the loop, but not its clock. What the others
did meanwhile has not been seen yet, so a deadline by the loop's own time would blame them.
"""

import asyncio
from collections.abc import Callable
from math import inf

LONG_BLOCK_S = 1.0
"""A server may close connections while the loop is blocked for that long, in seconds (*choice*)."""


class LoopClock:
    """Ticks while it runs: a tick that is late shows for how long the loop was blocked.

    ``long_blocks`` counts those of more than ``LONG_BLOCK_S``. A block shorter than ``interval_s``
    may go unnoticed. ``on_tick(loop_time)`` is called after each tick.
    """

    def __init__(
        self, interval_s: float, on_tick: Callable[[float], None] = lambda _: None
    ) -> None:
        self.long_blocks = 0
        self._interval_s = interval_s
        self._on_tick = on_tick
        self._blocked_s = 0.0
        self._due = inf  # when the next tick is due, in the loop's time
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        return self._timer is not None

    def now(self, loop_time: float) -> float:
        """Return this clock's time, in seconds. It stands still while a tick is overdue."""
        return min(loop_time, self._due) - self._blocked_s

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._schedule(loop, loop.time())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._due = inf

    def _schedule(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        self._due = now + self._interval_s
        self._timer = loop.call_at(self._due, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        late_s = max(0.0, now - self._due)
        self._blocked_s += late_s
        self.long_blocks += late_s > LONG_BLOCK_S
        self._schedule(loop, now)
        self._on_tick(now)
