"""``AiohttpTransport``: sends one request and reads its answer, within deadlines and a body cap.

Theory of operation. The limiter's token is taken inside ``connect()``, for each wire attempt and
after the connection is ready. There are two reasons. If a reused connection is dead, aiohttp
re-sends an idempotent request once, and a limiter in front of the session would not see that. And
connections take different times to open, so requests that were well paced would leave in bursts.
The key is added there too, as late as possible.

Deadlines start when the token is granted. One sweep checks all of them a few times a second,
which costs far less than a timer each. It cancels the task and records why, as
``asyncio.timeout`` does, so that its cancellation is not mistaken for the caller's.
"""

import asyncio
import platform
import ssl
from contextvars import ContextVar
from typing import Any

import aiohttp
from yarl import URL

from instantly_async import errors
from instantly_async._version import __version__
from instantly_async.errors import LeadError
from instantly_async.settings import KEEP_ALIVE_S, Timeouts

from .credentials import ApiKey, Proxy
from .exchange import Exchange, Response
from .failures import map_error

USER_AGENT = (
    f"instantly-async/{__version__} "
    f"(aiohttp/{aiohttp.__version__}; Python/{platform.python_version()})"
)
"""The CDN blocks clients that do not identify themselves (documented)."""

DNS_CACHE_S = 60
"""How long a resolved address is kept, in seconds (*choice*)."""

MAX_SWEEP_INTERVAL_S = 0.25
"""How late a deadline may be noticed, in seconds (*choice*)."""

_HEADERS = {
    "User-Agent": USER_AGENT,
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
}

_JSON = {"Content-Type": "application/json"}

_current: ContextVar[Exchange] = ContextVar("instantly_async_exchange")


class PacedConnector(aiohttp.TCPConnector):
    """A connector that also takes a token of the limiter before it returns a connection."""

    def __init__(self, key: ApiKey, proxy: Proxy | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._key = key
        self._proxy = proxy

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Any:
        """Get a connection, take a token, add the key to the request."""
        exchange = _current.get()
        while True:
            exchange.reuses_connection = True
            connection = await super().connect(req, traces, timeout)
            exchange.connected(self._loop.time())
            if exchange.pacer is None:
                break
            try:
                await exchange.pacer.acquire()
            except BaseException:
                connection.release()
                raise
            if not connection.closed:
                break
            # The connection died during the wait. Take a new token: if all requests that
            # reconnect kept their old ones, they would send at once.
            connection.close()
            exchange.connecting(self._loop.time())
        exchange.sending(self._loop.time(), connection.protocol)
        req.headers[aiohttp.hdrs.AUTHORIZATION] = self._key.header()
        if self._proxy is not None and not req.is_ssl():  # otherwise CONNECT has sent them
            req.headers.update(self._proxy.headers)
        if exchange.headers:
            req.headers.update(exchange.headers)
        return connection

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Any:
        """Note that the connection is new."""
        _current.get().reuses_connection = False
        return await super()._create_connection(req, traces, timeout)


class AiohttpTransport:
    """Connections to one server, opened lazily in the loop of the first request.

    ``ssl_context`` ``None``: the system's certificates, always verified. ``proxy`` ``None``: no
    proxy; the environment is ignored. The caller bounds the requests in flight.
    """

    def __init__(
        self,
        base_url: str,
        key: ApiKey,
        *,
        timeouts: Timeouts,
        proxy: Proxy | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._base_url = URL(base_url)
        self._key = key
        self._timeouts = timeouts
        self._proxy = proxy
        self._route: dict[str, Any] = (
            {} if proxy is None else {"proxy": proxy.url, "proxy_headers": proxy.headers}
        )
        self._ssl: ssl.SSLContext | bool = ssl_context or True
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._in_flight: set[Exchange] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        shortest = min(
            timeouts.read_s, timeouts.total_s, timeouts.list_read_s, timeouts.list_total_s
        )
        self._sweep_interval_s = min(MAX_SWEEP_INTERVAL_S, shortest / 4)
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._session else "unused"
        return f"<AiohttpTransport {self._base_url} {state} in_flight={len(self._in_flight)}>"

    async def request(self, exchange: Exchange) -> Response:
        """Send one request and read its answer to the end.

        If the body of an error status cannot be read, the answer is returned with an empty one.

        Raises:
            ClosedError: the transport is closed or belongs to another loop.
            DecodeError: the body is larger than ``exchange.max_bytes``.
            TransientError, RunError: as ``map_error`` says.
        """
        loop = asyncio.get_running_loop()
        session = self._session_in(loop)
        token = _current.set(exchange)
        exchange.begin(loop.time(), asyncio.current_task(loop))  # type: ignore[arg-type]  # within a task
        self._in_flight.add(exchange)
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._sweep_interval_s, self._sweep, loop)
        response: aiohttp.ClientResponse | None = None
        body = b""
        failure: errors.InstantlyError | None = None
        try:
            response = await self._send(session, exchange)
            try:
                body = await _read_body(response, exchange, loop)
            except BaseException:
                response.close()
                raise
        except asyncio.CancelledError:
            failure = exchange.aborted()
            if failure is None:
                raise
        except errors.DecodeError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - map_error re-raises unknown errors
            failure = map_error(error)
        finally:
            exchange.finish(loop.time())
            self._in_flight.discard(exchange)
            _current.reset(token)
        if failure is None:
            assert response is not None
            return Response(response.status, response.headers, body)
        if response is not None and response.status != 200 and isinstance(failure, LeadError):
            return Response(response.status, response.headers, b"")
        # Outside the except block: ``from None`` would keep __context__, whose frames hold
        # the request and its key.
        raise failure

    async def _send(
        self, session: aiohttp.ClientSession, exchange: Exchange
    ) -> aiohttp.ClientResponse:
        """Send. If an idle connection is dead, aiohttp re-sends a GET, and this method a POST."""
        url = self._base_url.with_path(exchange.path, encoded=True)
        if exchange.body is None:
            return await session.request(exchange.method, url, allow_redirects=False, **self._route)
        is_repeated = False
        while True:
            try:
                return await session.request(
                    exchange.method,
                    url,
                    data=exchange.body,
                    headers=_JSON,
                    allow_redirects=False,
                    **self._route,
                )
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
                if is_repeated or not exchange.reuses_connection:
                    raise
            is_repeated = True  # the server closed an idle connection, which is not a failure

    async def aclose(self) -> None:
        """Close all connections; requests in flight end with ``ClosedError``. Idempotent."""
        self._closed = True
        for exchange in self._in_flight:  # aiohttp would let their readers wait forever
            exchange.abort(_closed())
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _session_in(self, loop: asyncio.AbstractEventLoop) -> aiohttp.ClientSession:
        if self._closed:
            raise _closed()
        if self._loop is None:
            self._loop = loop
            self._session = self._open()
        elif self._loop is not loop:
            raise errors.ClosedError(
                "The client belongs to another event loop; make one client per loop."
            )
        assert self._session is not None
        return self._session

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=PacedConnector(
                self._key,
                self._proxy,
                limit=0,  # the caller bounds requests; waiting in the pool would be unfair
                keepalive_timeout=KEEP_ALIVE_S,
                ttl_dns_cache=DNS_CACHE_S,
                ssl=self._ssl,
            ),
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            # The sweep does both: total would start before the wait for the limiter, and
            # sock_read costs a timer per request.
            timeout=aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect_s),
            trust_env=False,
        )

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for exchange in self._in_flight:
            if now >= exchange.until or now >= exchange.stalls_at:
                exchange.abort(errors.RequestTimeoutError("no answer within the timeout"))
        self._sweeper = (
            loop.call_later(self._sweep_interval_s, self._sweep, loop) if self._in_flight else None
        )


def _closed() -> errors.ClosedError:
    return errors.ClosedError("The client is closed; make a new one.")


async def _read_body(
    response: aiohttp.ClientResponse, exchange: Exchange, loop: asyncio.AbstractEventLoop
) -> bytes:
    content = response.content
    chunks: list[bytes] = []
    size = 0
    while True:
        # Usually the whole body came with the headers, and nothing is awaited.
        chunk = content.read_nowait() if content.is_eof() else await content.readany()
        if not chunk:
            return b"".join(chunks)
        size += len(chunk)
        if size > exchange.max_bytes:
            raise errors.DecodeError(
                f"The body is larger than {exchange.max_bytes} bytes", reason="oversized"
            )
        if content.at_eof() and not chunks:
            return chunk
        chunks.append(chunk)
        exchange.stalls_at = loop.time() + exchange.read_s
