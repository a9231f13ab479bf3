"""``Limiter``, what a limiter must do, and ``BaseLimiter``, what all of ours have in common.

A request takes its token with the connection in hand: otherwise requests that were well paced would
leave in bursts, because connections take different times to open. But only those whose token comes
within ``NEAR_S`` come *near* and take a connection. If all did, each connection would idle for
longer than many servers keep one.
"""

import asyncio
import random
import sys
from collections.abc import Callable
from itertools import count
from math import inf
from typing import Protocol, runtime_checkable
from weakref import WeakSet

from instantly_async._telling import tell_all
from instantly_async.errors import ClosedError
from instantly_async.events import Observers, Paused, RateChanged, RateReason
from instantly_async.settings import RateLimit, check_type

from .places import Places

_NUMBERS = count(1)

NEAR_S = 0.25
"""How long a request may wait for its token with a connection in hand, in seconds (*choice*)."""

PAUSE_JITTER = 0.1
"""A pause that the server asks for is extended by up to this share, so that clients that were
stopped together do not resume together (*choice*)."""


@runtime_checkable
class Limiter(Protocol):
    """Says when a request may be sent. Several clients of one workspace may share one.

    It belongs to the event loop in which it is first used; when that is closed, to that of its next
    use. All times (``now``, ``sent_at``) are those of ``loop.time()``, in seconds. Only
    ``acquire`` and ``wait_out_pause`` wait. ``instantly_async.testing.LIMITER_LAWS`` checks an
    implementation; ``BaseLimiter`` has all but ``acquire``, ``on_success`` and ``on_throttled``.
    """

    @property
    def limit(self) -> RateLimit | None:
        """The highest rate; ``None`` if there is none, and ``near`` is not used."""

    @property
    def number(self) -> int:
        """A number that no other limiter of this process has; ``events`` show it."""

    @property
    def rate(self) -> float | None:
        """Requests per second that are allowed now; ``None`` stands for no limit."""

    @property
    def near(self) -> Places:
        """The requests whose tokens come within a quarter of a second; only they hold connections.

        Each enters before it takes a connection, and leaves when it is sent, or gives up.
        """

    @property
    def is_slow(self) -> bool:
        """Whether a connection could die before the token comes, so that the token comes first."""

    @property
    def is_paused(self) -> bool:
        """Whether nothing may be sent now."""

    def join(self) -> None:
        """Note that it is used in the running loop.

        Raises:
            ClosedError: it belongs to another loop, which is still open.
        """

    def watch(self, observers: Observers) -> None:
        """Tell these of ``RateChanged`` and ``Paused``, as long as others keep them alive."""

    def paused_s(self, now: float) -> float:
        """Return the seconds until the pause ends; 0 when there is none."""

    async def wait_out_pause(self) -> None:
        """Wait until no pause is in effect."""

    async def acquire(self, is_ready: Callable[[], bool] | None = None) -> bool:
        """Take one token: the right to send one request now. First come, first served.

        ``is_ready`` is asked when it is this caller's turn. If it returns ``False``, or a pause is
        in effect, no token is taken and the result is ``False``; ``None``: pauses are waited out,
        and the result is ``True``.

        Raises:
            ClosedError: as ``join``.
        """

    def on_success(self, now: float) -> None:
        """Note that a request was answered with anything but 429."""

    def on_throttled(self, now: float, *, sent_at: float, retry_after_s: float | None) -> None:
        """Note a 429 to the request that was sent at ``sent_at``.

        ``retry_after_s``: the pause that the server asks for; ``None``: it names none. If the
        request was sent after the last cut, the rate is cut.
        """

    def pause(self, now: float, seconds: float) -> None:
        """Send nothing for ``seconds``, as ``Retry-After`` asks."""


class BaseLimiter:
    """The parts of a limiter that do not depend on who counts: loop, pauses, observers, ``near``.

    A subclass adds ``acquire``, ``on_success`` and ``on_throttled``, and calls ``join`` in
    ``acquire`` and ``change_rate`` for each new rate. ``rng`` returns U(0, 1).
    """

    def __init__(self, limit: RateLimit | None, rng: Callable[[], float] = random.random) -> None:
        check_type("rate_limit", limit, RateLimit, optional=True)
        self.limit = limit
        self.number = next(_NUMBERS)
        self.watched_by: WeakSet[Observers] = WeakSet()
        self._rng = rng
        self._rate = limit.rate if limit else inf
        self._paused_until = -inf
        self._loop: asyncio.AbstractEventLoop | None = None
        self._start()

    def _start(self) -> None:
        """Make what belongs to a loop. Again in a new one, as nobody wakes those of a closed."""
        self.near = Places(self._near_size)
        self._turn = asyncio.Lock()

    def join(self) -> None:
        """As ``Limiter.join``."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None:
                if not self._loop.is_closed():
                    raise ClosedError(
                        "The limiter belongs to another event loop; make one limiter per loop."
                    )
                self._start()
            self._loop = loop

    def watch(self, observers: Observers) -> None:
        """As ``Limiter.watch``."""
        self.watched_by.add(observers)

    @property
    def rate(self) -> float | None:
        """As ``Limiter.rate``."""
        return None if self.limit is None else self._rate

    @property
    def is_slow(self) -> bool:
        """As ``Limiter.is_slow``."""
        return self._own_rate < 1 / NEAR_S

    @property
    def _own_rate(self) -> float:
        """Requests per second of this process; fewer than ``rate`` if others share it."""
        return self._rate

    @property
    def _near_size(self) -> int:
        # If the token comes first, then only one request at a time may hold one: while it waits
        # for a connection, the bucket fills again, and two would exceed the window.
        if self.limit is None:
            return sys.maxsize
        return 1 if self.is_slow else max(2, int(NEAR_S * self._own_rate))

    def paused_s(self, now: float) -> float:
        """As ``Limiter.paused_s``."""
        return max(0.0, self._paused_until - now)

    @property
    def is_paused(self) -> bool:
        """As ``Limiter.is_paused``."""
        return (
            self._paused_until > -inf
            and self._loop is not None
            and self._loop.time() < self._paused_until
        )

    async def wait_out_pause(self) -> None:
        """As ``Limiter.wait_out_pause``."""
        loop = asyncio.get_running_loop()
        while (seconds := self.paused_s(loop.time())) > 0:
            await asyncio.sleep(seconds)

    def pause(self, now: float, seconds: float) -> None:
        """As ``Limiter.pause``."""
        self._pause_until(now, now + seconds * (1 + PAUSE_JITTER * self._rng()))

    def change_rate(self, rate: float, reason: RateReason) -> None:
        """Allow this rate from now on: ``near`` follows it, and those who watch are told."""
        self._rate = rate
        self._tell_rate(reason)

    def _tell_rate(self, reason: RateReason) -> None:
        assert self.limit is not None
        assert self.rate is not None
        self._resize_near()
        changed = RateChanged(
            limiter=self.number, rate=self.rate, limit=self.limit.rate, reason=reason
        )
        tell_all(self.watched_by, changed)

    def _resize_near(self) -> None:
        if (size := self._near_size) != self.near.size:
            self.near.resize(size)

    def _pause_until(self, now: float, until: float) -> float:
        """Extend the pause; return by how many seconds."""
        added_s = until - max(self._paused_until, now)
        if added_s <= 0:
            return 0.0
        self._paused_until = until
        paused = Paused(limiter=self.number, pause_s=until - now, added_s=added_s)
        tell_all(self.watched_by, paused)
        return added_s
