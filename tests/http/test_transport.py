"""The transport against real sockets that send exactly the bytes that a test names."""

import asyncio
import gc
import inspect
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
import trustme
from aiohttp import client_exceptions
from wire import CLOSE, HANG, READ, RESET, Script, Step, answer, scripted

import instantly_async
from instantly_async import RateLimit, errors
from instantly_async._http import AiohttpTransport, ApiKey, Exchange, Response
from instantly_async._http.credentials import Proxy
from instantly_async._http.failures import map_error
from instantly_async._pace import AdaptiveLimiter
from instantly_async.settings import Timeouts

KEY = "canary-key-in-session-tests"
GOOD = answer(b'{"id":"x"}', "200 OK", "Content-Type: application/json")


class CountingPacer:
    """Counts the tokens that are taken, and never waits."""

    def __init__(self) -> None:
        self.paid = 0

    async def acquire(self) -> None:
        self.paid += 1


def exchange(**changes: object) -> Exchange:
    settings: dict[str, object] = {
        "pacer": None,
        "read_s": 5.0,
        "total_s": 5.0,
        "max_bytes": 100_000,
    }
    return Exchange("GET", "/api/v2/leads/x", **(settings | changes))  # type: ignore[arg-type]


def post(pacer: CountingPacer) -> Exchange:
    body = b'{"ids":[]}'
    return Exchange("POST", "/list", pacer=pacer, read_s=5, total_s=5, max_bytes=100_000, body=body)


@asynccontextmanager
async def pool(
    url: str, *, timeouts: Timeouts = Timeouts(), **options: object
) -> AsyncIterator[AiohttpTransport]:
    made = AiohttpTransport(
        url,
        ApiKey(KEY, "a test"),
        timeouts=timeouts,
        **options,  # type: ignore[arg-type]
    )
    try:
        yield made
    finally:
        await made.aclose()
        await asyncio.sleep(0)  # transports report their closing in the next turn


async def settle() -> None:
    """Let the servers of a test end, now that nobody is connected any more."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)
    await asyncio.sleep(0)


async def ask(*scripts: Script, count: int = 1, **changes: object) -> list[Response]:
    async with scripted(scripts) as wire, pool(wire.url) as p:
        return [await p.request(exchange(**changes)) for _ in range(count)]


async def test_a_request_carries_key_and_headers() -> None:
    """The key is on the wire, and nowhere in reprs of what was sent."""
    async with scripted([[READ, GOOD]]) as wire, pool(wire.url) as p:
        sent = exchange(headers={"x-as-workspace": "ws-1"})
        response = await p.request(sent)
        assert (response.status, response.body) == (200, b'{"id":"x"}')
        head = wire.requests[0].decode()
        assert head.startswith("GET /api/v2/leads/x HTTP/1.1\r\n")
        assert f"Authorization: Bearer {KEY}\r\n" in head
        assert "x-as-workspace: ws-1\r\n" in head
        assert f"User-Agent: instantly-async/{instantly_async.__version__} (aiohttp/" in head
        assert "Accept-Encoding: gzip, deflate\r\n" in head
        assert KEY not in repr(p)
        assert sent.sends == 1
        assert sent.sent_at is not None


async def test_connections_are_reused_and_idle_ones_closed_with_the_pool() -> None:
    async with scripted([[READ, GOOD] * 3]) as wire:
        async with pool(wire.url) as p:
            for _ in range(3):
                await p.request(exchange())
            assert wire.connections == 1
            assert "open" in repr(p)
        assert "closed" in repr(p)


async def test_every_wire_attempt_is_paid_for() -> None:
    """aiohttp re-sends a GET once by itself when a connection dies: that costs a token too."""
    pacer = CountingPacer()
    async with scripted([[READ, RESET], [READ, GOOD]]) as wire, pool(wire.url) as p:
        sent = exchange(pacer=pacer)
        await p.request(sent)
        assert len(wire.requests) == 2
        assert pacer.paid == sent.sends == 2


async def test_a_post_carries_its_body_as_json() -> None:
    async with scripted([[READ, GOOD]]) as wire, pool(wire.url) as p:
        await p.request(post(CountingPacer()))
        head, _, body = wire.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /list HTTP/1.1\r\n")
        assert b"Content-Type: application/json" in head
        assert body == b'{"ids":[]}'


@pytest.mark.parametrize("end", [RESET, CLOSE])
async def test_a_post_on_a_connection_that_was_closed_meanwhile_is_sent_again(end: Step) -> None:
    """aiohttp does that only for a GET. It is sent once more, without delay, and takes a token."""
    pacer = CountingPacer()
    async with scripted([[READ, GOOD, READ, end], [READ, GOOD]]) as wire, pool(wire.url) as p:
        await p.request(post(pacer))
        sent = post(pacer)
        assert (await p.request(sent)).status == 200
        assert len(wire.requests) == 3
        assert (sent.sends, pacer.paid) == (2, 3)


async def test_a_post_is_sent_again_once_only() -> None:
    scripts: list[Script] = [[READ, GOOD, READ, RESET], [READ, RESET], [READ, GOOD]]
    async with scripted(scripts) as wire, pool(wire.url) as p:
        await p.request(post(CountingPacer()))
        with pytest.raises(errors.ConnectionFailedError):
            await p.request(post(CountingPacer()))
        assert len(wire.requests) == 3


async def test_a_post_on_a_new_connection_is_not_sent_again() -> None:
    """That is a failure, not a race with an idle connection's end: the retry policy decides."""
    pacer = CountingPacer()
    async with scripted([[READ, RESET], [READ, GOOD]]) as wire, pool(wire.url) as p:
        with pytest.raises(errors.ConnectionFailedError):
            await p.request(post(pacer))
        assert (len(wire.requests), pacer.paid) == (1, 1)


async def test_a_connection_that_dies_in_the_queue_is_replaced_and_paid_for_again() -> None:
    """With stale tokens, all requests that reconnect would be sent at once."""
    async with scripted([[READ, GOOD, CLOSE], [READ, GOOD]]) as wire, pool(wire.url) as p:

        class SlowPacer(CountingPacer):
            async def acquire(self) -> None:
                await super().acquire()
                if self.paid == 2:  # by then the first connection has been closed
                    while next(iter(p._session.connector._acquired)).is_connected():  # type: ignore[union-attr]
                        await asyncio.sleep(0)

        pacer = SlowPacer()
        sent = exchange(pacer=pacer)
        await p.request(exchange(pacer=pacer))
        await p.request(sent)
        assert (pacer.paid, sent.sends, wire.connections) == (3, 1, 2)


async def test_cancelled_at_the_limiter_the_connection_goes_back() -> None:
    class NeverPacer:
        async def acquire(self) -> None:
            await asyncio.Event().wait()

    async with scripted([[READ, GOOD]]) as wire, pool(wire.url) as p:
        waiting = asyncio.create_task(p.request(exchange(pacer=NeverPacer())))
        while not (p._session and p._session.connector and p._session.connector._acquired):
            await asyncio.sleep(0)
        while not wire.connections:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await p.request(exchange())
        assert wire.connections == 1
        assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param([[READ, RESET], [READ, RESET]], errors.ConnectionFailedError, id="reset"),
        pytest.param([[READ, CLOSE], [READ, CLOSE]], errors.ConnectionFailedError, id="hangs up"),
        pytest.param(
            [[READ, b"HTTP/1.1 200 OK\r\nX-Secret: header"]] * 2,
            errors.ConnectionFailedError,
            id="within the headers",
        ),
        pytest.param(
            [[READ, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc"]],
            errors.ConnectionFailedError,
            id="short body",
        ),
        pytest.param(
            [[READ, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"]],
            errors.ProtocolError,
            id="bad chunk",
        ),
        pytest.param([[READ, b"NONSENSE\r\n\r\n"]], errors.ProtocolError, id="bad status line"),
        pytest.param(
            [[READ, b"HTTP/1.1 200 OK\r\nX: " + b"a" * 9000 + b"\r\n\r\n"]],
            errors.ProtocolError,
            id="long header",
        ),
        pytest.param(
            [[READ, answer(b"no gzip", "200 OK", "Content-Encoding: gzip")]],
            errors.ConnectionFailedError,
            id="bad gzip",
        ),
    ],
)
async def test_broken_answers(script: list[Script], expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught:
        await ask(*script)
    error = caught.value
    assert isinstance(error, errors.TransientError)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert "Secret" not in str(error)


async def test_a_refused_connection_names_its_reason() -> None:
    async with scripted([]) as wire:
        url = wire.url
    async with pool(url) as p:
        with pytest.raises(errors.ConnectionFailedError, match="refused"):
            await p.request(exchange())


async def test_a_name_that_does_not_resolve() -> None:
    async with pool("https://no-such-host.invalid") as p:
        with pytest.raises(errors.ConnectionFailedError, match="resolve"):
            await p.request(exchange())


async def test_redirects_are_not_followed() -> None:
    (response,) = await ask([READ, answer(b"", "302 Found", "Location: http://evil.example/")])
    assert response.status == 302


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([READ, HANG], id="never answers"),
        pytest.param([READ, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", HANG], id="stalls"),
    ],
)
async def test_silence_times_out(script: Script) -> None:
    """``read_s`` without progress ends an attempt; the caller sees no cancellation."""
    timeouts = Timeouts(read_s=0.08, total_s=5)
    async with scripted([script, [READ, GOOD]]) as wire, pool(wire.url, timeouts=timeouts) as p:
        with pytest.raises(errors.RequestTimeoutError):
            await p.request(exchange(read_s=0.08))
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert (await p.request(exchange())).status == 200


async def test_slow_loris_times_out_by_the_total() -> None:
    """A byte now and then is progress, but ``total_s`` ends the attempt."""
    drip: list[Step | bytes | float] = [READ, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"]
    for _ in range(50):
        drip += [b"x", 0.02]
    timeouts = Timeouts(read_s=1, total_s=0.2)
    async with scripted([drip]) as wire, pool(wire.url, timeouts=timeouts) as p:
        with pytest.raises(errors.RequestTimeoutError):
            await p.request(exchange(read_s=1.0, total_s=0.2))


async def test_the_deadline_does_not_run_while_waiting_for_a_token() -> None:
    class SlowPacer:
        async def acquire(self) -> None:
            await asyncio.sleep(0.3)

    timeouts = Timeouts(read_s=0.1, total_s=0.1)
    async with scripted([[READ, GOOD]]) as wire, pool(wire.url, timeouts=timeouts) as p:
        sent = exchange(read_s=0.1, total_s=0.1, pacer=SlowPacer())
        assert (await p.request(sent)).status == 200
        assert sent.spent_s < 0.3


async def test_the_callers_cancellation_wins_over_a_deadline() -> None:
    """If both come at once, the caller's ``CancelledError`` is raised, not a timeout."""
    async with scripted([[READ, HANG]]) as wire, pool(wire.url) as p:
        sent = exchange()
        waiting = asyncio.create_task(p.request(sent))
        while not wire.requests:
            await asyncio.sleep(0)
        waiting.cancel()
        sent.abort(errors.RequestTimeoutError("too late"))
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert "in_flight=0" in repr(p)


async def test_a_body_over_the_cap_is_not_read_on() -> None:
    with pytest.raises(errors.DecodeError, match="larger than 1000 bytes") as caught:
        await ask([READ, answer(b"x" * 5000)], max_bytes=1000)
    assert caught.value.reason == "oversized"


async def test_a_gzip_bomb_stops_at_the_cap() -> None:
    """The cap counts decompressed bytes."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = squeezer.compress(bytes(30_000_000)) + squeezer.flush()
    with pytest.raises(errors.DecodeError, match="larger than"):
        await ask([READ, answer(bomb, "200 OK", "Content-Encoding: gzip")])


async def test_a_body_in_pieces_is_put_together() -> None:
    pieces: Script = [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", 0.01, b"abc", 0.01, b"def"]
    (response,) = await ask([READ, *pieces])
    assert response.body == b"abcdef"


async def test_a_dropped_connection_is_not_used_again() -> None:
    async with scripted([[READ, GOOD], [READ, GOOD]]) as wire, pool(wire.url) as p:
        sent = exchange()
        await p.request(sent)
        sent.drop_connection()
        await p.request(exchange())
        assert wire.connections == 2
    exchange().drop_connection()  # nothing was sent: nothing to drop


@pytest.mark.parametrize("status", ["401 Unauthorized", "503 Unavailable", "429 Busy"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param([b"Content-Length: 99\r\n\r\ncut"], id="cut"),
        pytest.param([b"Content-Length: 9999\r\n\r\n" + b"x" * 9999], id="over the cap"),
        pytest.param([b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nbad"], id="bad gzip"),
        pytest.param([b"Content-Length: 99\r\n\r\n", HANG], id="stalls"),
    ],
)
async def test_an_error_status_counts_whatever_its_body(
    status: str, body: list[Step | bytes | float]
) -> None:
    """A 401 stays a 401, and a 429 keeps its Retry-After, when the body cannot be read."""
    head = f"HTTP/1.1 {status}\r\nRetry-After: 3\r\n".encode()
    script = [READ, head, *body]
    timeouts = Timeouts(read_s=0.1)
    async with scripted([script]) as wire, pool(wire.url, timeouts=timeouts) as p:
        response = await p.request(exchange(max_bytes=1000, read_s=0.1))
        assert response.status == int(status[:3])
        assert response.headers["retry-after"] == "3"
        assert response.body == b""


async def test_closing_twice_at_once_is_told_apart_from_a_cancellation() -> None:
    async with scripted([[READ, HANG]]) as wire, pool(wire.url) as p:
        waiting = asyncio.create_task(p.request(exchange()))
        while not wire.requests:
            await asyncio.sleep(0)
        await asyncio.gather(p.aclose(), p.aclose())
        with pytest.raises(errors.ClosedError):
            await waiting


def test_another_loop_is_a_clear_error() -> None:
    async def main() -> None:
        async with scripted([[READ, GOOD]]) as wire, pool(wire.url) as p:
            await p.request(exchange())

            def elsewhere() -> None:
                with pytest.raises(errors.ClosedError, match="another event loop"):
                    asyncio.run(p.request(exchange()))

            await asyncio.to_thread(elsewhere)

    asyncio.run(main())


async def test_closed_is_a_clear_error() -> None:
    async with pool("http://127.0.0.1:9") as p:
        assert "unused" in repr(p)
    with pytest.raises(errors.ClosedError, match="is closed"):
        await p.request(exchange())


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_tls_with_a_private_authority(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with scripted([[READ, GOOD]], tls=server_tls) as wire:
        async with pool(wire.url, ssl_context=client_tls) as p:
            assert (await p.request(exchange())).status == 200


async def test_an_unknown_certificate_is_fatal(server_tls: ssl.SSLContext) -> None:
    async with scripted([[READ, GOOD]] * 2, tls=server_tls) as wire, pool(wire.url) as p:
        with pytest.raises(errors.TLSError):
            await p.request(exchange())
        assert wire.requests == []


async def test_plain_http_on_a_tls_port_is_fatal() -> None:
    async with scripted([[b"HTTP/1.1 400 Bad Request\r\n\r\n"]]) as wire:
        async with pool(wire.url.replace("http://", "https://")) as p:
            with pytest.raises(errors.TLSError):
                await p.request(exchange())


async def test_the_proxy_is_used_only_when_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxy variables of the environment are ignored; a given proxy is used, 407 is fatal."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert (await ask([READ, GOOD]))[0].status == 200
    refusal = answer(b"", "407 Proxy Authentication Required")
    async with scripted([[READ, refusal], [READ, answer(b"", "502 Bad Gateway")]]) as proxy:
        async with pool("https://api.invalid", proxy=Proxy(proxy.url, {})) as p:
            with pytest.raises(errors.ProxyError):
                await p.request(exchange())
            with pytest.raises(errors.ConnectionFailedError, match="proxy answered HTTP 502"):
                await p.request(exchange())
        assert proxy.requests[0].startswith(b"CONNECT api.invalid:443 ")
        assert KEY.encode() not in b"".join(proxy.requests)


async def test_tokens_are_paid_with_the_connection_in_hand(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Early connections take longer to open, but no burst results: at most 99 in a second.

    If tokens were taken before the connection, all 100 requests would be sent at once: the
    design measured 108 to 183 in a second that way.
    """
    arrivals: list[float] = []
    connections = 0
    loop = asyncio.get_running_loop()

    async def accept_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
        await asyncio.sleep(max(0.0, 1 - connections / 100))
        await writer.start_tls(server_tls)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                arrivals.append(loop.time())
                writer.write(GOOD)
        writer.close()

    server = await asyncio.start_server(accept_slowly, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    limiter = AdaptiveLimiter(RateLimit())
    async with pool(url, ssl_context=client_tls) as p:
        slots = asyncio.Semaphore(100)

        async def request() -> None:
            async with slots:
                await p.request(exchange(pacer=limiter))

        await asyncio.gather(*(request() for _ in range(210)))
    server.close()
    await settle()
    worst = max(sum(t <= u < t + 1 for u in arrivals) for t in arrivals)
    assert len(arrivals) == 210
    assert connections > 80
    assert worst <= 99


def concrete_errors() -> Iterator[type[Exception]]:
    for kind in vars(client_exceptions).values():
        if inspect.isclass(kind) and issubclass(kind, aiohttp.ClientError):
            yield kind


@pytest.mark.parametrize("kind", sorted(set(concrete_errors()), key=repr))
def test_every_aiohttp_error_is_mapped(kind: type[Exception]) -> None:
    """A new error of aiohttp must not stay unmapped; certificate errors stay fatal."""
    error = kind.__new__(kind)
    if issubclass(kind, aiohttp.ClientResponseError):
        error.status = 407  # type: ignore[attr-defined]
    if issubclass(kind, aiohttp.ClientConnectorError):
        error._os_error = OSError(111, "refused")  # type: ignore[attr-defined]
    mapped = map_error(error)
    assert isinstance(mapped, errors.TransientError | errors.TLSError | errors.ProxyError)
    assert isinstance(mapped, errors.TLSError) == issubclass(kind, aiohttp.ClientSSLError)


def test_a_defect_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError):
        map_error(ZeroDivisionError())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_pool_that_is_never_closed_says_so(recwarn: pytest.WarningsRecorder) -> None:
    """A client that is not closed causes aiohttp's own ``ResourceWarning``."""
    loop = asyncio.get_running_loop()
    complaints: list[str] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
    async with scripted([[READ, GOOD]]) as wire:
        leaked = AiohttpTransport(wire.url, ApiKey(KEY, "x"), timeouts=Timeouts())
        await leaked.request(exchange())
        if leaked._sweeper:
            leaked._sweeper.cancel()
        del leaked
        gc.collect()
    assert any("Unclosed client session" in complaint for complaint in complaints)
    assert not any(KEY in complaint for complaint in complaints)
