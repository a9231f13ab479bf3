"""``Connector`` and ``Connection``: aiohttp's connector and HTTP parser, without its session.

aiohttp opens connections (names, addresses, TLS, proxies) and parses answers. Its session would
also build URLs, header tables, timers, cookies and a response object for every request, and send
again behind our back. The calls below are the seams between aiohttp's session, connector and
protocol. Its documentation does not describe them: ``TCPConnector.connect`` with a
``ClientRequest`` that says where to, and of ``ResponseHandler`` ``set_response_params``, ``read``,
``should_close``, ``transport`` and ``_parser``. They are used in this file only, and
``tests/http/test_connection.py`` says which one has changed.
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

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)


class Connection:
    """One open connection. ``is_reused``: it has answered before."""

    __slots__ = ("_held", "_protocol", "idle_since", "is_reused")

    def __init__(self, held: HeldConnection) -> None:
        assert held.protocol is not None  # it has just been opened
        self._held = held
        self._protocol: ResponseHandler = held.protocol
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
        protocol.set_response_params(read_until_eof=True)
        protocol.transport.write(memoryview(request))  # asyncio slices what it has sent
        while True:
            message, body = await protocol.read()
            if message.code >= 200:
                return message, body
            if message.code == 101:
                self.close()  # what follows would be another protocol
                return message, body

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
