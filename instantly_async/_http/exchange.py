"""``Exchange``: one request and its progress, shared by ``Requester`` and the transport.

It holds the deadlines of one attempt and records who cancelled it. It sends nothing itself.
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
        """Hide headers and body from tracebacks with locals, because they may quote anything."""
        return [("status", self.status), ("bytes", len(self.body))]

    def __repr__(self) -> str:
        return f"Response(status={self.status}, bytes={len(self.body)})"


class Pacer(Protocol):
    """Grants each wire attempt its token."""

    async def acquire(self) -> object:
        """Return when one request may be sent."""


class Exchange:
    """One request to make, and what happened to it on the wire.

    ``sent_at`` is the loop's time when it was last sent (``None``: it was not sent),
    ``reuses_connection`` whether that connection had been used before, ``sends`` how often it
    was sent (re-sends included), and ``spent_s`` the seconds it took without the wait for the
    limiter.
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
        """Note that ``task`` makes the request and now needs a connection."""
        self._started_at = now
        self._task = task
        self._cancelling = task.cancelling()

    def connecting(self, now: float) -> None:
        self._started_at = now

    def connected(self, now: float) -> None:
        """Stop the clock: there is a connection, and the limiter comes next."""
        self.spent_s += now - self._started_at
        self.until = self.stalls_at = inf

    def sending(self, now: float, handler: Any) -> None:
        """Start the deadlines: the token is taken, the connection is ``handler``."""
        self._started_at = self.sent_at = now
        self._handler = handler
        self.sends += 1
        self.until = now + self.total_s
        self.stalls_at = now + self.read_s

    def finish(self, now: float) -> None:
        self.spent_s += now - self._started_at

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

    def drop_connection(self) -> None:
        """Close the connection, because it delivered the answer to another request."""
        if self._handler is not None:
            self._handler.close()


class Transport(Protocol):
    """The interface to the network."""

    async def request(self, exchange: Exchange) -> Response:
        """Send one request and read its answer to the end, or raise one of our errors."""
