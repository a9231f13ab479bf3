"""``Connector`` and ``Connection``: aiohttp's connector and HTTP parser, without its session.

aiohttp opens connections (names, addresses, TLS, proxies) and parses answers. Its session would
also build URLs, header tables, timers, cookies and a response object for every request, and send
again behind our back. The calls below are the seams between aiohttp's session, connector and
protocol. Its documentation does not describe them: ``TCPConnector.connect`` with a
``ClientRequest`` that says where to, and of ``ResponseHandler`` ``set_response_params``, ``read``,
``should_close``, ``transport``, ``closed``, ``exception`` and ``_parser``. They are
used in this file only, and ``tests/http/test_connection.py`` says which one has changed.
"""

import asyncio
import ssl

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection as HeldConnection
from aiohttp.http import HttpProcessingError as BrokenHttpError
from aiohttp.http import RawResponseMessage as ResponseHead
from yarl import URL

from .addresses import Proxy
from .credentials import SecretBytes

__all__ = ["BrokenHttpError", "Connection", "Connector", "ResponseHead"]

DNS_CACHE_S = 60
"""How long a resolved address is kept, in seconds (*choice*)."""

MAX_HEADER_BYTES = 64 * 1024
"""The longest header, or first line, of an answer that is read (*choice*). Policies of a CDN or of
a company's proxy can be longer than aiohttp's 8 KiB."""

MAX_HEADERS = 256
"""How many of them are read (*choice*; aiohttp's own limit is 128)."""

_MAX_LINE_BYTES = MAX_HEADER_BYTES + 256  # with its name
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)


class Connection:
    """One open connection. ``is_reused``: it has answered before."""

    __slots__ = ("_body", "_held", "_protocol", "idle_since", "is_reused")

    def __init__(self, held: HeldConnection) -> None:
        assert held.protocol is not None  # it has just been opened
        self._held = held
        self._protocol: ResponseHandler = held.protocol
        self._body: aiohttp.StreamReader | None = None  # once one came without its end
        self.is_reused = False
        self.idle_since = 0.0

    @property
    def is_alive(self) -> bool:
        transport = self._protocol.transport
        return transport is not None and not transport.is_closing()

    @property
    def is_usable(self) -> bool:
        """Whether it is open, and nothing has arrived that no request asked for."""
        protocol = self._protocol
        transport = protocol.transport
        return transport is not None and not transport.is_closing() and not protocol.should_close

    async def exchange(self, request: SecretBytes) -> tuple[ResponseHead, aiohttp.StreamReader]:
        """Write a request; return the head of its answer, and its body as it arrives.

        Interim answers (1xx) are skipped, but 101 is returned.

        Raises:
            BrokenHttpError: what came is not HTTP.
            aiohttp.ClientError, OSError: the connection ended.
        """
        protocol = self._protocol
        assert protocol.transport is not None  # it was usable a moment ago
        protocol.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
        )
        protocol.transport.write(memoryview(request))  # asyncio slices what it has sent
        while True:
            message, body = await protocol.read()
            if message.code >= 200:
                if not body.is_eof():
                    self._follow(body)
                return message, body
            if message.code == 101:
                self.close()  # what follows would be another protocol
                return message, body

    def _follow(self, body: aiohttp.StreamReader) -> None:
        """Let reading it fail if what follows is not HTTP: aiohttp's parser in C does not."""
        is_first, self._body = self._body is None, body
        if is_first and (closed := self._protocol.closed) is not None:
            closed.add_done_callback(self._on_closed)

    def _on_closed(self, closed: asyncio.Future[None]) -> None:
        closed.exception()  # it was looked at
        error, body = self._protocol.exception(), self._body
        if error is not None and body is not None and not body.is_eof() and not body.exception():
            body.set_exception(error)

    def rest(self) -> bool:
        """Let it be idle: what arrives then makes it unusable. Return whether it is usable now."""
        if not self.is_usable:
            return False
        # Without a parser, as before the first request, aiohttp keeps what arrives and says
        # should_close. Its parser would swallow the beginning of an answer in silence.
        self._protocol._parser = None  # noqa: SLF001 - there is no method for it
        return True

    def close(self) -> None:
        """Close it. Idempotent."""
        self._held.close()


class Connector:
    """Opens connections to one server. Made in the running loop.

    ``ssl_context`` ``None``: the system's certificates, always verified. ``proxy`` ``None``: no
    proxy; the environment is ignored.
    """

    def __init__(
        self,
        base_url: str,
        *,
        proxy: Proxy | None,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self._connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=DNS_CACHE_S)
        url = URL(base_url)
        name = url.raw_host or ""
        # Never sent: it only says where to connect.
        self._target = aiohttp.ClientRequest(
            "GET",
            url,
            # Certificates have no dot at the end; through a proxy aiohttp leaves it there.
            server_hostname=name.rstrip(".") if name.endswith(".") else None,
            loop=asyncio.get_running_loop(),
            ssl=ssl_context or True,
            proxy=URL(proxy.url) if proxy else None,
            proxy_headers=proxy.headers if proxy else None,
        )

    async def open(self) -> Connection:
        """Open a connection. The caller sets a deadline.

        Raises:
            aiohttp.ClientError, OSError: it could not be opened.
        """
        return Connection(await self._connector.connect(self._target, [], _NO_TIMEOUT))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connector.close()
