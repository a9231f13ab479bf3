"""The transport against real sockets that send exactly the bytes that a test names."""

import asyncio
import gc
import inspect
import ssl
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import client_exceptions
from certificates import tls_for
from sending import GOOD, KEY, POST, CountingPacer, Sender, get, loop_passes, sender
from virtual_loop import worst_window
from wire import CLOSE, HANG, READ, RESET, Script, Step, answer, scripted

import instantly_async
from instantly_async import RateLimit, errors
from instantly_async._http import Request, Response, read_proxy
from instantly_async._http.failures import map_error
from instantly_async._http.request import Reply
from instantly_async._pace import AdaptiveLimiter
from instantly_async.settings import Timeouts


async def settle() -> None:
    """Let the servers of a test end, now that nobody is connected any more."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)
    await asyncio.sleep(0)


async def ask(*scripts: Script, count: int = 1, **changes: object) -> list[Response]:
    async with scripted(scripts) as wire, sender(wire.url) as s:
        return [await s.send(get(**changes)) for _ in range(count)]


async def test_a_request_carries_key_and_headers() -> None:
    """The key is on the wire, and nowhere in reprs of what was sent."""
    async with (
        scripted([[READ, GOOD]]) as wire,
        sender(wire.url, headers={"x-as-workspace": "ws-1"}) as s,
    ):
        reply = await s.reply()
        assert isinstance(reply.result, Response)
        assert (reply.result.status, reply.result.body) == (200, b'{"id":"x"}')
        head = wire.requests[0].decode()
        assert head.startswith("GET /api/v2/leads/x HTTP/1.1\r\nHost: 127.0.0.1:")
        assert f"Authorization: Bearer {KEY}\r\n" in head
        assert "x-as-workspace: ws-1\r\n" in head
        assert f"User-Agent: instantly-async/{instantly_async.__version__} (aiohttp/" in head
        assert "Accept-Encoding: gzip, deflate\r\n" in head
        assert KEY not in repr([s.connections, s.transport, reply, *vars(s.transport).values()])
        assert len(s.sent) == 1


async def test_connections_are_reused_and_idle_ones_closed_with_the_pool() -> None:
    async with scripted([[READ, GOOD] * 3]) as wire:
        async with sender(wire.url) as s:
            for _ in range(3):
                await s.send()
            assert wire.connections == 1
            assert "open" in repr(s.connections)
        assert "closed" in repr(s.connections)


async def test_a_post_carries_its_body_as_json() -> None:
    async with scripted([[READ, GOOD]]) as wire, sender(wire.url) as s:
        await s.send(POST)
        head, _, body = wire.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /list HTTP/1.1\r\n")
        assert b"\r\nContent-Type: application/json" in head
        assert body == b'{"ids":[]}'


@pytest.mark.parametrize("end", [RESET, CLOSE])
@pytest.mark.parametrize("request_", [get(), POST], ids=["get", "post"])
async def test_one_call_is_one_request(end: Step, request_: Request) -> None:
    """If a reused connection ends before any answer, the reply is stale, but not if a new one."""
    pacer = CountingPacer()
    scripts: list[Script] = [[READ, GOOD, READ, end], [READ, end], [READ, GOOD]]
    async with scripted(scripts) as wire, sender(wire.url, pacer=pacer) as s:
        replies = [await s.reply(request_) for _ in range(4)]
        assert [reply.is_stale for reply in replies] == [False, True, False, False]
        kinds = [type(reply.result) for reply in replies]
        failed = errors.ConnectionFailedError
        assert kinds == [Response, failed, failed, Response]
        assert len(wire.requests) == len(s.sent) == pacer.paid == 4


@pytest.mark.parametrize("begun", [b"X-Half: an", b"Content-Length: 9\r\n\r\n"])
async def test_an_answer_that_has_begun_is_not_stale(begun: bytes) -> None:
    script: Script = [READ, GOOD, READ, b"HTTP/1.1 200 OK\r\n" + begun, CLOSE]
    async with scripted([script]) as wire, sender(wire.url) as s:
        await s.send()
        reply = await s.reply()
        assert isinstance(reply.result, errors.ConnectionFailedError)
        assert not reply.is_stale


async def test_fresh_means_a_new_connection() -> None:
    async with scripted([[READ, GOOD], [READ, GOOD]]) as wire, sender(wire.url) as s:
        await s.send()
        await s.reply(fresh=True)
        assert wire.connections == 2


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
            [[READ, b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"]],
            errors.ProtocolError,
            id="long header",
        ),
        pytest.param(
            [[READ, answer(b"no gzip", "200 OK", "Content-Encoding: gzip")]],
            errors.ProtocolError,
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
    async with sender(url) as s:
        with pytest.raises(errors.ConnectionFailedError, match="refused"):
            await s.send(get())


async def test_a_name_that_does_not_resolve() -> None:
    async with sender("https://no-such-host.invalid") as s:
        with pytest.raises(errors.ConnectionFailedError, match="resolve"):
            await s.send(get())


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
    async with scripted([script, [READ, GOOD]]) as wire, sender(wire.url, timeouts=timeouts) as s:
        with pytest.raises(errors.RequestTimeoutError):
            await s.send(get(read_s=0.08))
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert (await s.send(get())).status == 200


async def test_slow_loris_times_out_by_the_total() -> None:
    """A byte now and then is progress, but ``total_s`` ends the attempt."""
    drip: list[Step | bytes | float] = [READ, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"]
    for _ in range(50):
        drip += [b"x", 0.02]
    timeouts = Timeouts(read_s=1, total_s=0.2)
    async with scripted([drip]) as wire, sender(wire.url, timeouts=timeouts) as s:
        with pytest.raises(errors.RequestTimeoutError):
            await s.send(get(read_s=1.0, total_s=0.2))


async def test_the_deadline_does_not_run_while_waiting_for_a_token() -> None:
    class SlowPacer(CountingPacer):
        async def acquire(self, is_ready: Callable[[], bool]) -> bool:
            await asyncio.sleep(0.6)
            return await super().acquire(is_ready)

    timeouts = Timeouts(read_s=0.5, total_s=0.5)
    async with (
        scripted([[READ, GOOD]]) as wire,
        sender(wire.url, timeouts=timeouts, pacer=SlowPacer()) as s,
    ):
        reply = await s.reply(get(read_s=0.5, total_s=0.5))
        assert isinstance(reply.result, Response)
        assert 0 < reply.spent_s < 0.6


async def test_the_callers_cancellation_wins_over_a_deadline() -> None:
    """If both come at once, the caller's ``CancelledError`` is raised, not a timeout."""
    async with scripted([[READ, HANG]]) as wire, sender(wire.url) as s:
        waiting = asyncio.create_task(s.send())
        while not wire.requests:
            await asyncio.sleep(0)
        waiting.cancel()
        (attempt,) = s.connections.in_flight._attempts
        attempt.abort(errors.RequestTimeoutError("too late"))
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert "in_flight=0" in repr(s.connections)


async def test_a_body_over_the_cap_is_not_read_on() -> None:
    with pytest.raises(errors.DecodeError, match="larger than the cap of 1000 bytes") as caught:
        await ask([READ, answer(b"x" * 5000)], max_bytes=1000)
    assert caught.value.reason == "oversized"


async def test_a_gzip_bomb_stops_at_the_cap() -> None:
    """The cap counts decompressed bytes."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = squeezer.compress(bytes(30_000_000)) + squeezer.flush()
    with pytest.raises(errors.DecodeError, match="larger than"):
        await ask([READ, answer(bomb, "200 OK", "Content-Encoding: gzip")])


async def test_the_loop_runs_while_a_body_is_unpacked() -> None:
    """15 kB arrive at once, and unpack to 15 MB."""
    taken = []
    for size in (1_000, 15_000_000):
        squeezer = zlib.compressobj(9, zlib.DEFLATED, 31)
        packed = squeezer.compress(bytes(size)) + squeezer.flush()
        async with loop_passes() as passes:
            (response,) = await ask(
                [READ, answer(packed, "200 OK", "Content-Encoding: gzip")], max_bytes=size
            )
        assert len(response.body) == size
        taken.append(len(passes))
    assert taken[1] - taken[0] >= 5


async def test_a_body_in_pieces_is_put_together() -> None:
    pieces: Script = [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", 0.01, b"abc", 0.01, b"def"]
    (response,) = await ask([READ, *pieces])
    assert response.body == b"abcdef"


async def test_a_dropped_connection_is_not_used_again() -> None:
    async with scripted([[READ, GOOD], [READ, GOOD]]) as wire, sender(wire.url) as s:
        (await s.reply()).drop_connection()
        await s.send()
        assert wire.connections == 2
    Reply(errors.ConnectionFailedError("refused"), 0.0).drop_connection()  # there was none


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
    timeouts = Timeouts(read_s=0.4)
    async with scripted([script]) as wire, sender(wire.url, timeouts=timeouts) as s:
        response = await s.send(get(max_bytes=1000, read_s=0.4))
        assert response.status == int(status[:3])
        assert response.headers["retry-after"] == "3"
        assert response.body == b""


async def test_closing_twice_at_once_is_told_apart_from_a_cancellation() -> None:
    async with scripted([[READ, HANG]]) as wire, sender(wire.url) as s:
        waiting = asyncio.create_task(s.send(get()))
        while not wire.requests:
            await asyncio.sleep(0)
        await asyncio.gather(s.connections.aclose(), s.connections.aclose())
        with pytest.raises(errors.ClosedError):
            await waiting


def test_another_loop_is_a_clear_error() -> None:
    async def main() -> None:
        async with scripted([[READ, GOOD]]) as wire, sender(wire.url) as s:
            await s.send(get())

            def elsewhere() -> None:
                with pytest.raises(errors.ClosedError, match="another event loop"):
                    asyncio.run(s.send(get()))

            await asyncio.to_thread(elsewhere)

    asyncio.run(main())


async def test_closed_is_a_clear_error() -> None:
    async with sender("http://127.0.0.1:9") as s:
        assert "unused" in repr(s.connections)
    with pytest.raises(errors.ClosedError, match="is closed"):
        await s.send(get())


@pytest.fixture(scope="module")
def tls() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return tls_for("127.0.0.1")


@pytest.fixture
def server_tls(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> ssl.SSLContext:
    return tls[0]


@pytest.fixture
def client_tls(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> ssl.SSLContext:
    return tls[1]


async def test_tls_with_a_private_authority(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with scripted([[READ, GOOD]], tls=server_tls) as wire:
        async with sender(wire.url, ssl_context=client_tls) as s:
            assert (await s.send(get())).status == 200


async def test_an_unknown_certificate_is_fatal(server_tls: ssl.SSLContext) -> None:
    async with scripted([[READ, GOOD]] * 2, tls=server_tls) as wire, sender(wire.url) as s:
        with pytest.raises(errors.TLSError):
            await s.send(get())
        assert wire.requests == []


async def test_plain_http_on_a_tls_port_is_fatal() -> None:
    async with scripted([[b"HTTP/1.1 400 Bad Request\r\n\r\n"]]) as wire:
        async with sender(wire.url.replace("http://", "https://")) as s:
            with pytest.raises(errors.TLSError):
                await s.send(get())


async def test_the_proxy_is_used_only_when_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxy variables of the environment are ignored; a given proxy is used, 407 is fatal."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert (await ask([READ, GOOD]))[0].status == 200
    refusal = answer(b"", "407 Proxy Authentication Required")
    async with scripted([[READ, refusal], [READ, answer(b"", "502 Bad Gateway")]]) as proxy:
        async with sender("https://api.invalid", proxy=read_proxy(proxy.url)) as s:
            with pytest.raises(errors.ProxyError):
                await s.send(get())
            with pytest.raises(errors.ConnectionFailedError, match="proxy answered HTTP 502"):
                await s.send(get())
        assert proxy.requests[0].startswith(b"CONNECT api.invalid:443 ")
        assert KEY.encode() not in b"".join(proxy.requests)


async def test_tokens_are_paid_with_the_connection_in_hand(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Early connections take longer to open, but no burst results: at most 97 leave in a second.

    If tokens were taken before the connection, all requests that wait for one would be sent at
    once: the design measured 108 to 183 in a second that way.
    """
    arrivals: list[float] = []
    connections = 0
    loop = asyncio.get_running_loop()

    async def accept_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
        await asyncio.sleep(max(0.0, 1 - connections / 25))
        await writer.start_tls(server_tls)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                arrivals.append(loop.time())
                writer.write(GOOD)
        writer.close()

    server = await asyncio.start_server(accept_slowly, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    limiter = AdaptiveLimiter(RateLimit())
    async with sender(url, ssl_context=client_tls, pacer=limiter) as s:
        slots = asyncio.Semaphore(100)

        async def request() -> None:
            async with slots:
                await s.send_paced(limiter)

        await asyncio.gather(*(request() for _ in range(210)))
    server.close()
    await settle()
    assert len(arrivals) == 210
    assert connections >= 20
    assert worst_window(s.sent, 1.0) <= 97
    assert worst_window(arrivals, 1.0) <= 99


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
        leaked = Sender(wire.url)
        await leaked.send()
        leaked.connections.in_flight.abort_all(errors.ClosedError())  # only ends its timer
        del leaked
        gc.collect()
    assert any("Unclosed connection" in complaint for complaint in complaints)
    assert not any(KEY in complaint for complaint in complaints)
