"""``AiohttpTransport``: sends one request and reads its answer, within deadlines and a body cap.

Theory of operation. A request takes a connection, then a token of the limiter, and leaves at once:
if the token came first, requests that were well paced would leave in bursts, because connections
take different times to open. But a connection that waits can die. So only requests whose turn is
near come here (see ``_pace``), and the connection is looked at before the token is taken and again
after. A token whose connection died in between is used with an idle one.

One call is one request on the wire. Nothing is sent again here.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import aiohttp

from instantly_async import errors
from instantly_async.errors import LeadError, RunError

from .attempt import Attempt
from .coding import Unpacker, unpack_at_once
from .connection import Connection
from .connections import Connections
from .credentials import ApiKey
from .failures import ended_unanswered, map_error
from .head import RequestHead
from .pool import Pool
from .request import Pacer, Reply, Request, Response

_TURN_BYTES = 1024 * 1024  # after which the event loop runs: unpacking them takes 5 ms
_LEAST_BYTES = 128 * 1024  # that a piece counts for, because much may unpack to nothing


class AiohttpTransport:
    """Sends the requests of one workspace. ``pacer`` ``None``: each is sent at once."""

    def __init__(
        self,
        connections: Connections,
        key: ApiKey,
        *,
        headers: Mapping[str, str],
        pacer: Pacer | None,
    ) -> None:
        self._connections = connections
        self._head = RequestHead(
            connections.base_url, key, headers, connections.proxy, connections.user_agent
        )
        self._pacer = pacer

    async def send(
        self, request: Request, *, on_sent: Callable[[float], None], fresh: bool = False
    ) -> Reply:
        """Send one request and read its answer to the end.

        If the body of an error status cannot be read, the answer is returned with an empty one.

        Raises:
            ClosedError: the client is closed or belongs to another loop.
        """
        loop = asyncio.get_running_loop()
        pool = self._connections.pool_in(loop)
        attempt = self._connections.in_flight.begin(loop)
        failure: errors.InstantlyError | None = None
        is_unanswered = False
        try:
            await self._exchange(request, pool, attempt, on_sent, fresh=fresh)
        except asyncio.CancelledError:
            failure = attempt.aborted()
            if failure is None:
                raise
        except Exception as error:  # noqa: BLE001 - map_error re-raises unknown errors
            failure = map_error(error, has_connected=pool.has_connected)
            is_unanswered = attempt.head is None and ended_unanswered(error)
        finally:
            self._connections.in_flight.end(attempt)
            if attempt.connection is not None and attempt.response is None:
                pool.discard(attempt.connection)
                if is_unanswered and not attempt.was_blocked:
                    pool.note_unanswered(attempt.connection)
        if failure is None:
            return Reply(attempt.response, attempt.spent_s, connection=attempt.connection)
        head = attempt.head
        if head is not None and head.code != 200 and isinstance(failure, LeadError):
            return Reply(Response(head.code, head.headers, b""), attempt.spent_s)
        if isinstance(failure, LeadError | RunError):
            is_stale = is_unanswered and _was_reused(attempt.connection)
            # A server, or a proxy, does not wait for a process that has stopped.
            is_stale |= attempt.was_blocked and isinstance(failure, errors.ConnectionFailedError)
            return Reply(failure, attempt.spent_s, is_stale, attempt.connection)
        raise failure  # outside the except block, whose frames would be kept in __context__

    async def _exchange(
        self,
        request: Request,
        pool: Pool,
        attempt: Attempt,
        on_sent: Callable[[float], None],
        *,
        fresh: bool,
    ) -> None:
        if self._pacer is None:
            idle = None if fresh else pool.pop_idle()
            connection = idle or await _take(pool, attempt, fresh=fresh)
        else:
            paid = await _take_with_token(self._pacer, pool, attempt, fresh=fresh)
            if paid is None:
                return
            connection = paid
        on_sent(attempt.begin(connection, request))
        message, content = await connection.exchange(self._head.render(request))
        attempt.head = message
        if not connection.is_reused:
            pool.answered(connection)
        codings = message.headers.getall("Content-Encoding", ())
        # Usually the whole body came with the head.
        data = content.read_nowait() if content.is_eof() else None
        body = None if data is None else unpack_at_once(codings, data)
        if body is None:
            attempt.note_progress()
            unpacker = Unpacker(codings, message.code)
            body = await _read_body(content, unpacker, attempt, request.max_bytes, data or b"")
        elif len(body) > request.max_bytes:
            raise _oversized(request.max_bytes)
        attempt.response = Response(message.code, message.headers, body)
        pool.release(connection)


def _was_reused(connection: Connection | None) -> bool:
    return connection is not None and connection.is_reused


async def _take_with_token(
    pacer: Pacer, pool: Pool, attempt: Attempt, *, fresh: bool
) -> Connection | None:
    """Take a connection and a token; ``None``: a pause has begun."""
    while True:
        connection = None if pacer.is_slow else await _take(pool, attempt, fresh=fresh)
        try:
            is_paid = await pacer.acquire(partial(_is_ready, connection))
        except BaseException:
            if connection is not None:
                pool.release(connection)
            raise
        if connection is None:
            if not is_paid:
                return None
            connection = await _take(pool, attempt, fresh=fresh)
            is_paid = not pacer.is_paused
        if connection.is_usable:
            if is_paid:
                return connection
            pool.release(connection)
            return None
        pool.discard_unused(connection)
        if is_paid and (another := pool.pop_idle()) is not None:
            return another


def _is_ready(connection: Connection | None) -> bool:
    return connection is None or connection.is_usable


async def _take(pool: Pool, attempt: Attempt, *, fresh: bool) -> Connection:
    attempt.start_clock()
    try:
        return await pool.take(fresh=fresh)
    finally:
        attempt.stop_clock()


async def _read_body(
    content: aiohttp.StreamReader,
    unpacker: Unpacker,
    attempt: Attempt,
    max_bytes: int,
    chunk: bytes,
) -> bytes:
    """Read the rest of a body behind ``chunk``, and unpack all of it."""
    pieces: list[bytes] = []
    size = work = 0
    while chunk := chunk or await content.readany():
        for piece in unpacker.feed(chunk):
            size += len(piece)
            if size > max_bytes:
                raise _oversized(max_bytes)
            work += max(len(piece), _LEAST_BYTES)
            if work > _TURN_BYTES:  # a few bytes may unpack to many, without any wait
                work = 0
                await asyncio.sleep(0)
            pieces.append(piece)
        chunk = b""
        attempt.note_progress()
    body = b"".join(pieces)
    unpacker.check(body)
    return body


def _oversized(max_bytes: int) -> errors.DecodeError:
    # The cap of a page follows from that of a lead, so the remedy is the same.
    return errors.DecodeError(
        f"The answer is larger than the cap of {max_bytes} bytes; raise max_lead_bytes "
        "(--max-lead-bytes)",
        reason="oversized",
    )
