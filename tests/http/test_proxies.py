"""Through real proxies: what they are asked for, whatever the form of their address and ours."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from certificates import tls_for
from sending import GOOD, KEY, sender
from wire import HANG, READ, answer, scripted

from instantly_async import errors
from instantly_async._http import Response, read_proxy
from instantly_async.settings import Timeouts


class Tunnel:
    """A proxy that opens every tunnel to the same server, and keeps what it was asked for."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[bytes] = []
        self.tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, their_writer), pump(their_reader, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def tunnel(port: int, host: str = "127.0.0.1") -> AsyncIterator[tuple[Tunnel, int]]:
    proxy = Tunnel(port)
    server = await asyncio.start_server(proxy.serve, host, 0)
    yield proxy, server.sockets[0].getsockname()[1]
    server.close()
    if proxy.tasks:
        await asyncio.wait(proxy.tasks)
    await asyncio.sleep(0)


NAMES = ["api.leads.example", "127.0.0.1", "::1"]


@pytest.fixture(scope="module")
def tls() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return tls_for(*NAMES)


@pytest.fixture
def server_tls(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> ssl.SSLContext:
    return tls[0]


@pytest.fixture
def client_tls(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> ssl.SSLContext:
    return tls[1]


@pytest.mark.parametrize(
    ("base_url", "tunnel_to", "host"),
    [
        ("https://api.leads.example", b"api.leads.example:443", b"api.leads.example"),
        ("https://api.leads.example:8443", b"api.leads.example:8443", b"api.leads.example:8443"),
        ("https://api.leads.example.", b"api.leads.example.:443", b"api.leads.example"),
        ("https://127.0.0.1:8443", b"127.0.0.1:8443", b"127.0.0.1:8443"),
        ("https://[::1]:8443", b"[::1]:8443", b"[::1]:8443"),
    ],
)
async def test_a_tunnel_to_any_form_of_address(
    base_url: str,
    tunnel_to: bytes,
    host: bytes,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
) -> None:
    """The proxy sees where to, and its own password; the server sees the key, and not that."""
    async with scripted([[READ, GOOD, READ, GOOD]], tls=server_tls) as wire:
        async with tunnel(int(wire.url.rpartition(":")[2])) as (proxy, port):
            relay = read_proxy(f"http://user:pass@127.0.0.1:{port}")
            async with sender(base_url, proxy=relay, ssl_context=client_tls) as s:
                for _ in range(2):
                    assert (await s.send()).status == 200
        (asked,) = proxy.asked
        assert asked.startswith(b"CONNECT %s HTTP/1.1\r\n" % tunnel_to)
        assert b"\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n" in asked
        assert KEY.encode() not in asked
        for request in wire.requests:
            assert request.startswith(b"GET /api/v2/leads/x HTTP/1.1\r\nHost: %s\r\n" % host)
            assert b"Proxy-" not in request
            assert b"Bearer %s\r\n" % KEY.encode() in request


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "[::1]"])
async def test_a_proxy_by_any_form_of_address(
    address: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with scripted([[READ, GOOD]], tls=server_tls) as wire:
        listen = address.strip("[]")
        async with tunnel(int(wire.url.rpartition(":")[2]), listen) as (_, port):
            relay = read_proxy(f"http://{address}:{port}")
            async with sender(wire.url, proxy=relay, ssl_context=client_tls) as s:
                assert (await s.send()).status == 200


async def test_plain_http_through_a_proxy_asks_for_a_whole_url() -> None:
    """Only for a server on this machine; the connection is kept like any other."""
    async with scripted([[READ, GOOD, READ, GOOD]]) as proxy:
        url = proxy.url.replace("//", "//user:pass@")
        async with sender("http://127.0.0.1:9", proxy=read_proxy(url)) as s:
            for _ in range(2):
                assert (await s.send()).status == 200
        assert proxy.connections == 1
        for request in proxy.requests:
            start = b"GET http://127.0.0.1:9/api/v2/leads/x HTTP/1.1\r\nHost: 127.0.0.1:9\r\n"
            assert request.startswith(start)
            assert b"\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n" in request


async def test_a_base_url_by_ipv6() -> None:
    server = await asyncio.start_server(answer_once, "::1", 0)
    url = f"http://[::1]:{server.sockets[0].getsockname()[1]}"
    async with sender(url) as s:
        assert (await s.send()).status == 200
    server.close()
    await asyncio.sleep(0)


async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"\r\nHost: [::1]:" in head
    writer.write(GOOD)
    await reader.read()
    writer.close()


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([READ, answer(b"", "407 Proxy Authentication Required")], errors.ProxyError),
        ([READ, answer(b"", "502 Bad Gateway")], errors.ConnectionFailedError),
        ([READ, HANG], errors.RequestTimeoutError),
        ([b"", HANG], errors.RequestTimeoutError),
    ],
)
async def test_a_proxy_that_opens_no_tunnel(script: Any, kind: type[Exception]) -> None:
    async with scripted([script]) as proxy:
        options = {"proxy": read_proxy(proxy.url), "timeouts": Timeouts(connect_s=0.2)}
        async with sender("https://api.leads.example", **options) as s:
            reply = await s.reply()
            assert not isinstance(reply.result, Response)
            assert type(reply.result) is kind
            assert (s.sent, s.pool._open) == ([], set())
