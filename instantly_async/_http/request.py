"""What goes into the transport and what comes out: frozen values, and two protocols."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from instantly_async.errors import LeadError, RunError


class Request(msgspec.Struct, frozen=True, gc=False):
    """One request. ``path`` is ASCII; ``body`` ``None``: none, otherwise JSON.

    ``read_s`` bounds the seconds without progress, ``total_s`` those from sending to the last
    byte, ``max_bytes`` the decompressed body of the answer.
    """

    method: str
    path: str
    body: bytes | None
    read_s: float
    total_s: float
    max_bytes: int


class Response(msgspec.Struct, frozen=True, gc=False):
    """An answer, read to its end. ``headers`` are case-insensitive; ``body`` is decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Hide headers and body from tracebacks with locals, because they may quote anything."""
        return [("status", self.status), ("bytes", len(self.body))]

    def __repr__(self) -> str:
        return f"Response(status={self.status}, bytes={len(self.body)})"


class Closable(Protocol):
    """The connection of an answer, as far as others may touch it."""

    def close(self) -> None:
        """Close it, so that it is not used again. Idempotent."""


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What became of one request: an answer of any status, or an error.

    ``result`` ``None``: a pause had begun, so nothing was sent.
    ``spent_s``: the seconds it took, without the wait for the limiter. ``is_stale``: the
    request may be repeated at once. Its connection had been used before and ended without an
    answer, so the server has closed an idle connection; or it broke while the event loop was
    blocked, so the server has not waited. ``connection`` ``None``: there was none.
    """

    result: Response | LeadError | RunError | None
    spent_s: float
    is_stale: bool = False
    connection: Closable | None = None

    def drop_connection(self) -> None:
        """Close the connection, because it delivered the answer to another request."""
        if self.connection is not None:
            self.connection.close()


class Transport(Protocol):
    """The interface to the network: one call, one request on the wire at most."""

    async def send(
        self, request: Request, *, on_sent: Callable[[float], None], fresh: bool = False
    ) -> Reply:
        """Send one request and read its answer to the end.

        ``on_sent`` is called with the loop's time as the request is sent. ``fresh``: use a new
        connection.

        Raises:
            ClosedError: the client is closed or belongs to another loop.
        """


class Pacer(Protocol):
    """Grants each request its token."""

    @property
    def is_slow(self) -> bool:
        """Whether a connection could die before the token comes."""

    @property
    def is_paused(self) -> bool:
        """Whether nothing may be sent now."""

    async def acquire(self, is_ready: Callable[[], bool]) -> bool:
        """Take a token, if ``is_ready`` holds and nothing is paused when it is its turn."""
