"""``Attempt``: the clocks of one request on its way, and who cancelled it. Known to ``_http`` only.

Deadlines start when the request is sent. One sweep checks all of them a few times a second, which
costs far less than a timer each. It cancels the task and records why, as ``asyncio.timeout`` does,
so that its cancellation is not mistaken for the caller's.
"""

import asyncio
from math import inf

from instantly_async.errors import InstantlyError, RequestTimeoutError

from .connection import Connection, ResponseHead
from .request import Request, Response

MAX_SWEEP_INTERVAL_S = 0.25
"""How late a deadline may be noticed, in seconds (*choice*)."""


class Attempt:
    """One request on its way.

    ``spent_s``: seconds so far, without the wait for the limiter. ``connection``, ``head`` (of the
    answer) and ``response`` (all of it) are ``None`` until there is one.
    """

    # Defaults on the class: most attempts change few of them.
    spent_s = 0.0
    connection: Connection | None = None
    head: ResponseHead | None = None
    response: Response | None = None
    until = stalls_at = inf
    _runs_since: float | None = None
    _read_s = inf
    _aborted: InstantlyError | None = None

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        task = asyncio.current_task(loop)
        assert task is not None  # in a coroutine
        self._loop = loop
        self._task = task
        self._cancelling = task.cancelling()

    def start_clock(self) -> None:
        self._runs_since = self._loop.time()

    def stop_clock(self) -> None:
        if self._runs_since is not None:
            self.spent_s += self._loop.time() - self._runs_since
            self._runs_since = None

    def begin(self, connection: Connection, request: Request) -> float:
        """Note that the request is sent now; return the loop's time."""
        self.connection = connection
        now = self._runs_since = self._loop.time()
        self._read_s = request.read_s
        self.until = now + request.total_s
        self.stalls_at = now + request.read_s
        return now

    def note_progress(self) -> None:
        """Note that a part of the answer has arrived."""
        self.stalls_at = self._loop.time() + self._read_s

    def abort(self, reason: InstantlyError) -> None:
        """Cancel the request and record the reason. A second call does nothing."""
        if self._aborted is not None:
            return
        self._aborted = reason
        self.until = self.stalls_at = inf
        self._task.cancel()

    def aborted(self) -> InstantlyError | None:
        """Return the reason if ``abort`` cancelled the request; ``None``: the caller did."""
        if self._aborted is not None and self._task.uncancel() <= self._cancelling:
            return self._aborted
        return None


class InFlight:
    """All attempts on their way, and the sweep over their deadlines."""

    def __init__(self, shortest_s: float) -> None:
        self._attempts: set[Attempt] = set()
        self._interval_s = min(MAX_SWEEP_INTERVAL_S, shortest_s / 4)
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._attempts)

    def begin(self, loop: asyncio.AbstractEventLoop) -> Attempt:
        """Add an attempt; the current task makes it."""
        attempt = Attempt(loop)
        self._attempts.add(attempt)
        if self._timer is None:
            self._timer = loop.call_later(self._interval_s, self._sweep, loop)
        return attempt

    def end(self, attempt: Attempt) -> None:
        attempt.stop_clock()
        self._attempts.discard(attempt)

    def abort_all(self, reason: InstantlyError) -> None:
        for attempt in self._attempts:
            attempt.abort(reason)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for attempt in self._attempts:
            if now >= attempt.until or now >= attempt.stalls_at:
                attempt.abort(RequestTimeoutError("no answer within the timeout"))
        self._timer = (
            loop.call_later(self._interval_s, self._sweep, loop) if self._attempts else None
        )
