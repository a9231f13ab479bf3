"""One request and what becomes of it: what a lookup and the transport below it share.

An ``Exchange`` keeps the clocks of its attempt and remembers who cancelled it; it sends
nothing itself.
"""

import asyncio
from collections.abc import Mapping
from math import inf
from typing import Any, Protocol

import msgspec

from instantly_async.errors import InstantlyError


class Response(msgspec.Struct, gc=False):
    """An answer, read to its end. ``headers`` are case-insensitive; ``body`` is decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show neither headers nor body, which may quote anything, in tracebacks with locals."""
        return [("status", self.status), ("bytes", len(self.body))]

    def __repr__(self) -> str:
        return f"Response(status={self.status}, bytes={len(self.body)})"


class Pacer(Protocol):
    """What a wire attempt pays its token to."""

    async def acquire(self) -> None:
        """Return when one request may be sent."""


class Exchange:
    """One request to make, and what became of it on the wire.

    ``sent_at`` is the loop's time of the last sending (``None``: nothing was sent),
    ``reuses_connection`` whether that was on a connection used before, ``sends`` how often it
    was sent (aiohttp's own re-send included) and ``spent_s`` the seconds it took, without
    those at the limiter.
    """

    __slots__ = (
        "_aborted", "_cancelling", "_handler", "_started_at", "_task", "body", "headers",
        "max_bytes", "method", "pacer", "path", "read_s", "reuses_connection", "sends", "sent_at",
        "spent_s", "stalls_at", "total_s", "until",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        path: str,
        *,
        pacer: Pacer | None,
        read_s: float,
        total_s: float,
        max_bytes: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.pacer = pacer
        self.read_s = read_s
        self.total_s = total_s
        self.max_bytes = max_bytes
        self.headers = headers
        self.body = body
        self.sent_at: float | None = None
        self.sends = 0
        self.spent_s = 0.0
        self.reuses_connection = False
        self.until = inf
        self.stalls_at = inf
        self._handler: Any = None
        self._aborted: InstantlyError | None = None

    def begin(self, now: float, task: "asyncio.Task[Any]") -> None:
        """Note that the request belongs to ``task`` and is about to look for a connection."""
        self._started_at = now
        self._task = task
        self._cancelling = task.cancelling()

    def connecting(self, now: float) -> None:
        """Start the clock."""
        self._started_at = now

    def connected(self, now: float) -> None:
        """Stop the clock: the connection is there, the limiter comes next."""
        self.spent_s += now - self._started_at
        self.until = self.stalls_at = inf

    def sending(self, now: float, handler: Any) -> None:
        """Start the deadlines: the token is paid, the connection is ``handler``."""
        self._started_at = self.sent_at = now
        self._handler = handler
        self.sends += 1
        self.until = now + self.total_s
        self.stalls_at = now + self.read_s

    def finish(self, now: float) -> None:
        """Stop the clock for good."""
        self.spent_s += now - self._started_at

    def abort(self, reason: InstantlyError) -> None:
        """Cancel the request, once, and leave word why."""
        if self._aborted is not None:
            return
        self._aborted = reason
        self.until = self.stalls_at = inf
        self._task.cancel()

    def aborted(self) -> InstantlyError | None:
        """Why the cancellation that arrives was ``abort``'s; ``None``: it is the caller's."""
        if self._aborted is not None and self._task.uncancel() <= self._cancelling:
            return self._aborted
        return None

    def drop_connection(self) -> None:
        """Close the connection that was used: it gave another request's answer."""
        if self._handler is not None:
            self._handler.close()


class Transport(Protocol):
    """The seam to the network: sends an exchange, or raises one of our errors."""

    async def request(self, exchange: Exchange) -> Response:
        """Send one request and read its answer to the end."""
