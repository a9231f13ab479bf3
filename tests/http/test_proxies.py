"""Through real proxies: what they are asked for, whatever the form of their address and ours.

Row 39 is what becomes of a proxy's refusal.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from itertools import repeat
from typing import Any

import pytest
from certificates import tls_for
from sending import GOOD, KEY, sender
from wire import HANG, READ, answer, leads_by_id, scripted

from instantly_async import InstantlyClient, RetryPolicy, Strategy, Timeouts, errors
from instantly_async._http import Response, read_proxy
from instantly_async.testing import lead_ids


class Tunnel:
    """A proxy that opens every tunnel to the same server, and keeps what it was asked for.

    The first ones get the answers in ``busy`` instead.
    """

    def __init__(self, port: int, busy: Iterable[bytes]) -> None:
        self.port = port
        self.busy = iter(busy)
        self.asked: list[bytes] = []
        self.tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        if (refusal := next(self.busy, None)) is not None:
            writer.write(refusal)
            writer.close()
            return
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, their_writer), pump(their_reader, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def tunnel(
    port: int,
    host: str = "127.0.0.1",
    busy: Iterable[bytes] = (),
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[Tunnel, int]]:
    proxy = Tunnel(port, busy)
    server = await asyncio.start_server(proxy.serve, host, 0, ssl=tls)
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


async def test_a_proxy_over_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """TLS within TLS: the proxy's certificate is verified, and its password is encrypted."""
    async with scripted([[READ, GOOD, READ, GOOD]], tls=server_tls) as wire:
        async with tunnel(int(wire.url.rpartition(":")[2]), tls=server_tls) as (proxy, port):
            relay = read_proxy(f"https://user:pass@127.0.0.1:{port}")
            async with sender("https://api.leads.example", proxy=relay) as s:
                assert type((await s.reply()).result) is errors.TLSError
            assert not proxy.asked
            options = {"proxy": relay, "ssl_context": client_tls}
            async with sender("https://api.leads.example", **options) as s:
                for _ in range(2):
                    assert (await s.send()).status == 200
        (asked,) = proxy.asked
        assert asked.startswith(b"CONNECT api.leads.example:443 HTTP/1.1\r\n")
        assert b"\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n" in asked


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
        *(
            ([READ, answer(b"", f"{status} Sorry")], errors.ProxyError)
            for status in (400, 401, 403, 404, 405, 451, 499)
        ),
        *(
            ([READ, answer(b"", f"{status} Sorry")], errors.ConnectionFailedError)
            for status in (204, 302, 408, 429, 500, 502, 503, 504)
        ),
        ([READ, HANG], errors.RequestTimeoutError),
        ([b"", HANG], errors.RequestTimeoutError),
    ],
)
async def test_row_39_a_proxy_that_opens_no_tunnel(script: Any, kind: type[Exception]) -> None:
    timeouts = Timeouts(connect_s=0.2) if HANG in script else Timeouts()
    async with scripted([script]) as proxy:
        options = {"proxy": read_proxy(proxy.url), "timeouts": timeouts}
        async with sender("https://api.leads.example", **options) as s:
            reply = await s.reply()
            assert not isinstance(reply.result, Response)
            assert type(reply.result) is kind
            assert (s.sent, s.pool._open) == ([], set())


QUICK = RetryPolicy(backoff_base_s=0.01, breaker_patience_s=3)


@pytest.mark.parametrize("status", [401, 403, 404, 451])
@pytest.mark.parametrize("strategy", ["get", "list"])
async def test_row_39_a_refusal_ends_the_run_at_once(status: int, strategy: Strategy) -> None:
    """The message has the status and a remedy, and neither the key nor the proxy's password."""
    async with scripted(repeat([READ, answer(b"canary-body", f"{status} canary-reason")])) as proxy:
        url = proxy.url.replace("//", "//user:canary-password@")
        async with InstantlyClient(
            KEY, base_url="https://api.invalid", proxy=url, concurrency=1
        ) as client:
            with pytest.raises(errors.ProxyError) as caught:
                await client.get_leads(lead_ids(20), strategy=strategy)
            assert client.stats.retries == 0
        assert proxy.connections == 1
    assert f"HTTP {status}" in str(caught.value)
    assert "proxy=…" in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    said = f"{caught.value} {caught.value!r} {vars(caught.value)}"
    assert not [each for each in ("canary", "user:", KEY, "dXNlcjpj") if each in said]


@pytest.mark.parametrize("status", [408, 429, 502, 503])
async def test_row_39_what_passes_is_repeated(
    status: int, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """The proxy has too much to do at first, and no lead is lost."""
    async with leads_by_id(tls=server_tls) as wire:
        port = int(wire.url.rpartition(":")[2])
        async with tunnel(port, busy=[answer(b"", f"{status} Later")] * 3) as (proxy, at):
            async with InstantlyClient(
                KEY,
                base_url=wire.url,
                proxy=f"http://127.0.0.1:{at}",
                ssl_context=client_tls,
                rate_limit=None,
                retry=QUICK,
                concurrency=2,
            ) as client:
                batch = await client.get_leads(lead_ids(20))
                assert 1 <= client.stats.retries <= 3
        assert len(batch.leads) == 20
        assert len(proxy.asked) >= 4


@pytest.mark.parametrize(
    ("status", "kind"),
    [("407 Proxy Authentication Required", errors.ProxyError), ("403 No", errors.EdgeBlockedError)],
)
async def test_row_39_plain_http_through_a_proxy(status: str, kind: type[Exception]) -> None:
    """407 is a proxy's. Its 403 cannot be told from one of the API, so it is read as the API's."""
    async with scripted([[READ, answer(b"", status)]]) as proxy:
        async with InstantlyClient(
            KEY, base_url="http://127.0.0.1:9", proxy=proxy.url, rate_limit=None
        ) as client:
            with pytest.raises(kind):
                await client.get_leads(lead_ids(20))
        assert client.stats.retries == 0
