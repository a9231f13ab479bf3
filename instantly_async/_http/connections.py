"""``Connections``: what all clients of a family share; opened in the loop of the first request."""

import asyncio
import dataclasses
import ssl
from functools import partial

from instantly_async._reprs import safe_repr
from instantly_async.errors import ClosedError, ConfigurationError
from instantly_async.settings import Timeouts, check_type

from .addresses import Proxy, Server
from .attempt import InFlight
from .connection import Connection, Connector
from .head import read_user_agent
from .pool import Pool


class Connections:
    """The connections to one server, and the requests on their way.

    ``ssl_context`` ``None``: the system's certificates, always verified. ``proxy`` ``None``: no
    proxy; the environment is ignored. ``user_agent`` ``None``: the package's own. The caller
    bounds the requests in flight.

    Raises:
        ConfigurationError: ``ssl_context`` is something else, or is for servers; a header cannot
            have that ``user_agent``.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeouts: Timeouts,
        proxy: Proxy | None = None,
        ssl_context: ssl.SSLContext | None = None,
        user_agent: str | None = None,
    ) -> None:
        check_type("ssl_context", ssl_context, ssl.SSLContext, optional=True)
        if ssl_context is not None and ssl_context.protocol is ssl.PROTOCOL_TLS_SERVER:
            raise ConfigurationError("ssl_context is one for servers; make one for clients.")
        self.base_url = base_url
        self.server = Server.of(base_url)
        self.proxy = proxy
        self.user_agent = read_user_agent(user_agent)
        self._connect_s = timeouts.connect_s
        self._ssl_context = ssl_context
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connector: Connector | None = None
        self._pool: Pool | None = None
        self._closed = False
        self.in_flight = InFlight(
            min(getattr(timeouts, field.name) for field in dataclasses.fields(timeouts))
        )

    @safe_repr
    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._pool else "unused"
        return f"<Connections {self.base_url} {state} in_flight={len(self.in_flight)}>"

    def join(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note that they are used in this loop, to which they belong from now on.

        Raises:
            ClosedError: they belong to another loop.
        """
        self._loop = self._loop or loop
        if self._loop is not loop:
            raise ClosedError("The client belongs to another event loop; make one client per loop.")

    def is_forsaken(self) -> bool:
        """Whether their loop is closed, so that nothing is left that could be awaited.

        Raises:
            ClosedError: they belong to another loop, which is still open.
        """
        if self._loop is not None and self._loop.is_closed():
            return True
        if self._loop is not None:
            self.join(asyncio.get_running_loop())
        return False

    def pool_in(self, loop: asyncio.AbstractEventLoop) -> Pool:
        """Return the pool.

        Raises:
            ClosedError: it is closed or belongs to another loop.
        """
        if self._closed:
            raise _closed()
        if self._loop is not loop:
            self.join(loop)
        if self._pool is None:
            self._connector = Connector(
                self.base_url,
                proxy=self.proxy,
                ssl_context=self._ssl_context,
            )
            self._pool = Pool(
                partial(_open, self._connector, self.in_flight, self._connect_s), loop
            )
        return self._pool

    async def aclose(self) -> None:
        """Close all connections; requests in flight end with ``ClosedError``. Idempotent.

        Raises:
            ClosedError: they belong to another loop, which is still open.
        """
        is_forsaken = self.is_forsaken()
        self._closed = True
        if is_forsaken:
            return
        self.in_flight.abort_all(_closed())
        pool, self._pool = self._pool, None
        if pool is not None:
            assert self._connector is not None
            await pool.aclose(self._connector.aclose)


async def _open(connector: Connector, in_flight: InFlight, connect_s: float) -> Connection:
    with in_flight.connecting(connect_s):
        return await connector.open()


def _closed() -> ClosedError:
    return ClosedError("The client is closed; make a new one.")
