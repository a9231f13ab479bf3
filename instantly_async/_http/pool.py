"""``Pool``: idle connections, and how many there may be.

Theory of operation. The connection that was used last is taken first, so those that are not needed
age and are closed. Each is judged before it is used: it must be open, and nothing may have arrived
on it. Usually there is no limit, because the caller bounds the requests. But if a connection cannot
be opened while others are open, the server takes no more: then as many as there are become the
limit, and whoever needs one waits for one of them. After a while one more is tried, at growing
intervals; if it answers, the limit is doubled. If this process has too few descriptors it is the
same, also while others are only being opened; and a few are given back, because the rest of the
process needs some, too.
"""

import asyncio
import logging
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from math import inf

import aiohttp

from instantly_async._reprs import safe_repr
from instantly_async.errors import ConnectionFailedError, RequestTimeoutError

from .connection import Connection
from .descriptors import FEW_DESCRIPTORS, Shortage, shortage_in
from .failures import is_other_protocol, map_error

_log = logging.getLogger(__name__)

KEEP_ALIVE_S = 15.0
"""How long an idle connection is kept, in seconds (*choice*)."""

FIRST_TRY_AFTER_S = 1.0
"""How long the limit holds before one more connection is tried, in seconds (*choice*)."""

LAST_TRY_AFTER_S = 60.0
"""The longest such interval, in seconds (*choice*)."""

REFUSALS = 3
"""So many new connections in a row that end without an answer count as refused (*choice*)."""


class Pool:
    """Connections to one server in one event loop. ``connect`` opens one.

    ``has_connected``: it has opened one, with TLS if the server's URL says so.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[Connection]], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.has_connected = False
        self._connect = connect
        self._loop = loop
        self._open: set[Connection] = set()
        self._opening = 0
        self._idle: deque[Connection] = deque()  # the last one was used last
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._limit = inf
        self._trial: Connection | None = None  # the last one that was opened beyond the limit
        self._refusals = 0
        self._try_after_s = FIRST_TRY_AFTER_S
        self._try_at = inf
        self._shortage = Shortage()
        self._limit_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None

    @safe_repr
    def __repr__(self) -> str:
        return f"<Pool open={len(self._open)} idle={len(self._idle)} limit={self._limit}>"

    def pop_idle(self) -> Connection | None:
        """Take an idle connection; ``None``: there is none that can be used."""
        oldest = self._oldest()  # while the loop was blocked, nothing has been dropped
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable and connection.idle_since > oldest:
                return connection
            self.discard(connection)
        return None

    async def take(self, *, fresh: bool = False) -> Connection:
        """Take an idle connection or open one. ``fresh``: open one, if another is allowed.

        Raises:
            aiohttp.ClientError, OSError, ConnectionFailedError: it could not be opened, and no
                other is open that could be waited for.
            ServiceUnavailableError: for a while there was no descriptor for the first one.
        """
        while True:
            connection = None if fresh else self.pop_idle()
            if connection is None:
                connection = await self._open_or_wait()
            fresh = False
            if connection is not None:
                if connection.is_usable:
                    return connection
                self.discard_unused(connection)  # it ended while this task woke up

    def release(self, connection: Connection) -> None:
        """Give a connection back: its answer has been read to the end, or nothing was sent."""
        if not connection.rest():
            self.discard(connection)
        elif len(self._open) > self._limit and connection is not self._trial:  # few descriptors
            connection.close()  # nobody is woken, because no other may be opened
            self._open.discard(connection)
        elif not (self._waiting and self._wake(connection)):
            connection.idle_since = self._loop.time()
            self._idle.append(connection)
            if self._idle_timer is None:
                self._set_idle_timer(connection.idle_since)

    def answered(self, connection: Connection) -> None:
        """Note the first answer of a connection: the server has really taken it."""
        connection.is_reused = True
        self._refusals = 0
        if connection is self._trial:
            self._limit = 2 * self._count
            if not self._shortage.is_known:  # whose limit seldom changes
                self._try_after_s = FIRST_TRY_AFTER_S
            self._set_time_to_try(self._loop.time())
            for _ in range(len(self._waiting)):
                self._wake(None)

    def note_unanswered(self, connection: Connection) -> None:
        """Note that a connection ended after a request, before a byte of its answer.

        If that happens to one new connection after another and to no old one, the server takes no
        more of them.
        """
        if connection.is_reused:
            self._refusals = 0
        else:
            self._note_refusal()

    def discard(self, connection: Connection) -> None:
        """Close a connection."""
        connection.close()
        self._open.discard(connection)
        self._wake(None)

    def discard_unused(self, connection: Connection) -> None:
        """Close a connection that became unusable before a request was sent on it.

        Raises:
            ConnectionFailedError: it was new, and no other is open.
        """
        self.discard(connection)
        if connection.is_reused:
            return
        if not any(other.is_alive for other in self._open):
            raise ConnectionFailedError("the server closed a new connection before it was used")
        self._note_refusal()

    async def aclose(self, close_all: Callable[[], Awaitable[None]]) -> None:
        """Close all connections; ``close_all`` closes them at the level below, and waits."""
        for timer in (self._limit_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        await close_all()
        for connection in self._open:
            connection.close()
        self._open.clear()
        self._idle.clear()

    @property
    def _count(self) -> int:
        return len(self._open) + self._opening

    async def _open_or_wait(self) -> Connection | None:
        is_trial = self._count >= self._limit
        shortage: int | None = None
        if not is_trial or self._is_time_to_try():
            try:
                connection = await self._open_one()
            except aiohttp.ClientConnectorSSLError:
                self._note_refusal()
                raise
            except (aiohttp.ClientError, OSError) as error:
                shortage = shortage_in(error)
                if not self._may_wait(error, shortage):
                    raise
            else:
                if is_trial:
                    self._trial = connection
                return connection
        if shortage is not None and not self._count:
            await self._shortage.wait(shortage)
            return None
        # One may have become idle meanwhile; whoever waits is only told of later ones.
        return self.pop_idle() or await self._wait()

    def _may_wait(self, error: Exception, shortage: int | None) -> bool:
        """Whether a failure to connect only means to wait, with a lower limit."""
        if shortage is None:
            return _could_be_full(error) and self._lower_limit()
        return self._lower_limit(is_short=True) or shortage in FEW_DESCRIPTORS

    async def _open_one(self) -> Connection:
        self._opening += 1
        try:
            connection = await self._repeat_handshake()
        except BaseException:
            self._wake(None)
            raise
        finally:
            self._opening -= 1
        self.has_connected = True
        self._open.add(connection)
        return connection

    async def _repeat_handshake(self) -> Connection:
        """Open a connection; if a TLS handshake fails before any has succeeded, try once more.

        It fails again if there is no TLS on this port. If it was damaged on its way, it succeeds.
        What is no TLS at all is damage only if others, which are under way, may succeed.
        """
        if not self.has_connected:
            try:
                return await self._connect()
            except aiohttp.ClientConnectorSSLError as error:
                if self._opening == 1 and is_other_protocol(error):
                    raise
        return await self._connect()

    def _is_time_to_try(self) -> bool:
        now = self._loop.time()
        if now < self._try_at:
            return False
        self._try_at = now + self._try_after_s
        self._try_after_s = min(LAST_TRY_AFTER_S, 2 * self._try_after_s)
        return True

    def _note_refusal(self) -> None:
        self._refusals += 1
        if self._refusals >= REFUSALS:
            self._lower_limit()

    def _lower_limit(self, *, is_short: bool = False) -> bool:
        """Let as many as there are be the limit; return whether one can be waited for.

        ``is_short``: this process can open no more, also if none is open yet. Then the limit is a
        bit lower, so that others of this process can open something.
        """
        alive = sum(connection.is_alive for connection in self._open)
        if not (alive or (is_short and self._opening)):
            return False
        limit = alive + self._opening
        if is_short:
            limit = self._shortage.lower(limit)
        if limit < self._limit:  # otherwise one more was tried in vain
            if not self._shortage.is_known:
                self._try_after_s = FIRST_TRY_AFTER_S
            self._set_time_to_try(self._loop.time() + self._try_after_s)
        self._limit = limit
        _log.debug(
            "No more than %d connections can be opened now",
            self._limit,
            extra={"connections": self._limit},
        )
        return True

    async def _wait(self) -> Connection | None:
        """Wait for a connection, or (``None``) until one more may perhaps be opened."""
        turn: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(turn)
        if self._limit_timer is None:
            self._limit_timer = self._loop.call_at(self._try_at, self._on_time_to_try)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                if turn in self._waiting:
                    self._waiting.remove(turn)
            elif (connection := turn.result()) is not None:
                self.release(connection)
            else:
                self._wake(None)
            raise

    def _set_time_to_try(self, when: float) -> None:
        self._try_at = when
        if self._limit_timer is not None:
            self._limit_timer.cancel()
            self._limit_timer = self._loop.call_at(when, self._on_time_to_try)

    def _on_time_to_try(self) -> None:
        self._limit_timer = None
        self._wake(None)

    def _wake(self, connection: Connection | None) -> bool:
        """Wake the first that waits, if any, with a connection for it or without."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _oldest(self) -> float:
        return self._loop.time() - KEEP_ALIVE_S

    def _set_idle_timer(self, idle_since: float) -> None:
        # A weak reference, so that a client that is never closed can be collected and reported.
        self._idle_timer = self._loop.call_at(
            idle_since + KEEP_ALIVE_S, _drop_expired, weakref.ref(self)
        )

    def drop_expired(self) -> None:
        """Close what was idle for too long, or was closed by the server."""
        oldest = self._oldest()
        while self._idle and (self._idle[0].idle_since <= oldest or not self._idle[0].is_usable):
            self.discard(self._idle.popleft())
        self._idle_timer = None
        if self._idle:
            self._set_idle_timer(self._idle[0].idle_since)


def _drop_expired(reference: "weakref.ref[Pool]") -> None:
    if (pool := reference()) is not None:
        pool.drop_expired()


def _could_be_full(error: Exception) -> bool:
    """Whether a failure to connect may mean that there are too many connections."""
    return isinstance(map_error(error), ConnectionFailedError | RequestTimeoutError)
