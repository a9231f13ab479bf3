"""``Attempt``: the clocks of one request on its way, and who cancelled it. Known to ``_http`` only.

Deadlines start when the request is sent. One sweep checks all of them a few times a second, which
costs far less than a timer each. It cancels the task and records why, as ``asyncio.timeout`` does,
so that its cancellation is not mistaken for the caller's.

What has arrived is read before a deadline is judged. So time during which the loop was blocked does
not count, and a sweep looks for what was late at the sweep before it: a task whose answer has come
in between has moved its deadline, or has ended.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from instantly_async._clock import LoopClock
from instantly_async.errors import InstantlyError, RequestTimeoutError

from .connection import Connection, ResponseHead
from .request import Request, Response

MAX_SWEEP_INTERVAL_S = 0.125
"""Half of how late a deadline may be noticed, in seconds (*choice*)."""


class Deadline:
    """Cancels the current task when ``until`` or ``stalls_at`` has passed, in its clock's time."""

    # Defaults on the class: most attempts change few of them.
    until = stalls_at = inf
    _aborted: InstantlyError | None = None

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: LoopClock) -> None:
        task = asyncio.current_task(loop)
        assert task is not None  # in a coroutine
        self._loop = loop
        self._clock = clock
        self._task = task
        self._cancelling = task.cancelling()

    def abort(self, reason: InstantlyError) -> None:
        """Cancel the task and record the reason. A second call does nothing."""
        if self._aborted is not None:
            return
        self._aborted = reason
        self.until = self.stalls_at = inf
        self._task.cancel()

    def aborted(self) -> InstantlyError | None:
        """Return the reason if ``abort`` cancelled the task; ``None``: the caller did."""
        if self._aborted is not None and self._task.uncancel() <= self._cancelling:
            return self._aborted
        return None


class Attempt(Deadline):
    """One request on its way.

    ``spent_s``: seconds so far, without the wait for the limiter. ``connection``, ``head`` (of the
    answer) and ``response`` (all of it) are ``None`` until there is one.
    """

    spent_s = 0.0
    connection: Connection | None = None
    head: ResponseHead | None = None
    response: Response | None = None
    _runs_since: float | None = None
    _read_s = inf

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: LoopClock) -> None:
        super().__init__(loop, clock)
        self._long_blocks = clock.long_blocks

    @property
    def was_blocked(self) -> bool:
        """Whether the loop was blocked for so long that the server may have given up."""
        return self._clock.long_blocks > self._long_blocks

    def start_clock(self) -> None:
        self._runs_since = self._clock.now(self._loop.time())

    def stop_clock(self) -> None:
        if self._runs_since is not None:
            self.spent_s += self._clock.now(self._loop.time()) - self._runs_since
            self._runs_since = None

    def begin(self, connection: Connection, request: Request) -> float:
        """Note that the request is sent now; return the loop's time."""
        self.connection = connection
        loop_time = self._loop.time()
        now = self._runs_since = self._clock.now(loop_time)
        self._read_s = request.read_s
        self.until = now + request.total_s
        self.stalls_at = now + request.read_s
        return loop_time

    def note_progress(self) -> None:
        """Note that a part of the answer has arrived."""
        self.stalls_at = self._clock.now(self._loop.time()) + self._read_s


class InFlight:
    """All attempts on their way, and the sweep over their deadlines and those of connecting."""

    def __init__(self, shortest_s: float) -> None:
        self._attempts: set[Attempt] = set()
        self._connecting: set[Deadline] = set()
        self._clock = LoopClock(min(MAX_SWEEP_INTERVAL_S, shortest_s / 8), self._sweep)
        self._swept_at = -inf

    def __len__(self) -> int:
        return len(self._attempts)

    def begin(self, loop: asyncio.AbstractEventLoop) -> Attempt:
        """Add an attempt; the current task makes it."""
        attempt = Attempt(loop, self._clock)
        self._attempts.add(attempt)
        if not self._clock.is_running:
            self._clock.start(loop)
        return attempt

    def end(self, attempt: Attempt) -> None:
        attempt.stop_clock()
        self._attempts.discard(attempt)

    @contextmanager
    def connecting(self, seconds: float) -> Iterator[None]:
        """Give the current task, which makes an attempt, so long for a part of it.

        Raises:
            TimeoutError: it took longer.
        """
        loop = asyncio.get_running_loop()
        deadline = Deadline(loop, self._clock)
        deadline.until = self._clock.now(loop.time()) + seconds
        self._connecting.add(deadline)
        try:
            yield
        except asyncio.CancelledError:
            if deadline.aborted() is None:
                raise
        else:
            return
        finally:
            self._connecting.discard(deadline)
        raise TimeoutError

    def abort_all(self, reason: InstantlyError) -> None:
        for attempt in self._attempts:
            attempt.abort(reason)
        self._clock.stop()

    def _sweep(self, loop_time: float) -> None:
        late_at, self._swept_at = self._swept_at, self._clock.now(loop_time)
        for deadlines in (self._attempts, self._connecting):
            for each in deadlines:
                if late_at >= each.until or late_at >= each.stalls_at:
                    each.abort(RequestTimeoutError("no answer within the timeout"))
        if not self._attempts:
            self._clock.stop()
