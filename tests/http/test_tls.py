"""Row 40: one damaged TLS handshake or record among good connections is a failed attempt.

A relay between client and server reads the TLS records on their way (RFC 8446, 5.1) and damages
some. Only a server that has never spoken TLS, or whose certificate is wrong, ends the run at once;
the former when it was asked twice, unless it speaks something else than TLS.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from certificates import tls_for
from sending import CountingLimiter
from wire import Script, answer, leads_by_id, scripted

from instantly_async import Found, InstantlyClient, Lead, RetryPolicy, errors
from instantly_async.testing import lead_ids

KEY = "canary-key-of-tls-tests"
IDS = list(lead_ids(40))
QUICK = RetryPolicy(backoff_base_s=0.01, breaker_patience_s=3)

PLAIN_HTTP = answer(b"The plain HTTP request was sent to HTTPS port", "400 Bad Request")
ALERT = b"\x15\x03\x03\x00\x02\x02\x50"  # fatal, internal_error
APPLICATION_DATA = 23  # the type of encrypted records

Damage = bytes | int | None
"""What is done to a connection. Bytes are sent in place of the server's first record. A number says
which of the server's records is changed on its way: 0 is its hello, 1 its first answer, and so on.
"""


class Relay:
    """Forwards each connection to the server, and does the next damage to it."""

    def __init__(self, port: int, damages: Iterable[Damage]) -> None:
        self.url = ""
        self.damaged = 0
        self.tasks: set[asyncio.Task[Any]] = set()
        self.port = port
        self.next_port: Callable[[], int] = lambda: self.port
        self._damages = iter(damages)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self.next_port())
        damage = next(self._damages, None)
        asked = -1  # the client's first encrypted record ends its handshake

        async def forward_requests() -> None:
            nonlocal asked
            while record := await read_record(reader):
                asked += record[0] == APPLICATION_DATA
                their_writer.write(record)
            their_writer.close()

        async def forward_answers() -> None:
            nonlocal damage
            while record := await read_record(their_reader):
                if isinstance(damage, bytes):
                    record, damage = damage, None
                    self.damaged += 1
                elif damage is not None and max(0, asked) == damage:
                    record, damage = record[:-1] + bytes([record[-1] ^ 1]), None
                    self.damaged += 1
                writer.write(record)
            writer.close()

        await asyncio.gather(forward_requests(), forward_answers())


async def read_record(reader: asyncio.StreamReader) -> bytes:
    """Return the next TLS record with its header; empty: the connection has ended."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        head = await reader.readexactly(5)
        return head + await reader.readexactly(int.from_bytes(head[3:]))
    return b""


@pytest.fixture(scope="module")
def tls() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server, client = tls_for("127.0.0.1")
    server.num_tickets = 0  # otherwise a ticket comes at about the time of the first answer
    return server, client


@asynccontextmanager
async def relay(server: ssl.SSLContext, damages: Iterable[Damage]) -> AsyncIterator[Relay]:
    """Serve any lead through a relay."""
    async with leads_by_id(tls=server) as wire:
        made = Relay(int(wire.url.rpartition(":")[2]), damages)
        listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        made.url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        try:
            yield made
        finally:
            listening.close()
            if made.tasks:
                await asyncio.wait(made.tasks)
            await asyncio.sleep(0)


def connecting(url: str, context: ssl.SSLContext, **settings: Any) -> InstantlyClient[Lead]:
    settings = {"limiter": CountingLimiter(), "retry": QUICK, "concurrency": 2, **settings}
    return InstantlyClient(KEY, base_url=url, ssl_context=context, **settings)


def close_all(client: InstantlyClient[Lead]) -> None:
    """Close the idle connections of a client, so that its next request needs a new one."""
    pool = client._connections._pool
    assert pool is not None
    for connection in pool._open:
        connection.close()


def run_in(loop: str, main: Coroutine[Any, Any, None]) -> None:
    """Run a test in a loop of this module."""
    with asyncio.Runner(loop_factory=pytest.importorskip(loop).new_event_loop) as runner:
        runner.run(asyncio.wait_for(main, 30))


LOOPS = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])

HANDSHAKES = {
    "plain HTTP": PLAIN_HTTP,
    "an alert": ALERT,
    "noise": bytes(range(256)),
    "a changed hello": 0,
}


@LOOPS
@pytest.mark.parametrize("damage", HANDSHAKES.values(), ids=HANDSHAKES)
def test_row_40_a_damaged_handshake(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
    damage: Damage,
    loop: str,
) -> None:
    """The second connection: its attempt has failed and is repeated, and no lead is lost."""

    async def main() -> None:
        async with relay(tls[0], [None, damage]) as through:
            async with connecting(through.url, tls[1]) as client:
                await client.get_lead(IDS[0])
                # Two at once need a second connection.
                batch = await client.get_leads(IDS)
                assert all(isinstance(each, Found) for each in batch.outcomes)
                assert sorted({each.attempts for each in batch.outcomes}) == [1, 2]
                assert client.stats.retries == through.damaged == 1

    run_in(loop, main())


@pytest.mark.parametrize(
    ("damage", "damages", "concurrency"),
    [(0, 1, 1), (ALERT, 1, 1), (0, 3, 10), (ALERT, 3, 10), (PLAIN_HTTP, 3, 10)],
)
async def test_row_40_damaged_handshakes_at_the_start(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], damage: Damage, damages: int, concurrency: int
) -> None:
    """Nothing has succeeded yet, and others are under way: they are repeated, and nobody fails."""
    async with relay(tls[0], repeat(damage, damages)) as through:
        async with connecting(through.url, tls[1], concurrency=concurrency) as client:
            batch = await client.get_leads(IDS)
            assert len(batch.leads) == len(IDS)
            assert client.stats.retries == 0
    assert through.damaged == damages


@LOOPS
@pytest.mark.parametrize("number", [1, 2, 5])
def test_row_40_a_damaged_record(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
    number: int,
    loop: str,
) -> None:
    """On a new connection and on one that has been used: a failure, which is no idle connection."""

    async def main() -> None:
        async with relay(tls[0], [number]) as through:
            async with connecting(through.url, tls[1]) as client:
                batch = await client.get_leads(IDS)
                assert all(isinstance(each, Found) for each in batch.outcomes)
                assert sorted({each.attempts for each in batch.outcomes}) == [1, 2]
                assert client.stats.retries == through.damaged == 1
                assert client.stats.requests == len(IDS) + 1

    run_in(loop, main())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(ALERT, "the TLS handshake failed (TLS: "), (1, "the connection broke (TLS: ")],
    ids=["handshake", "record"],
)
async def test_row_40_what_is_always_damaged_fails(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], damage: Damage, reason: str
) -> None:
    """The error of the id says what happened, and the breaker ends a run."""
    retry = RetryPolicy(backoff_base_s=0.001, breaker_threshold=3, breaker_patience_s=0.2)
    async with relay(tls[0], chain([None], repeat(damage))) as through:
        async with connecting(through.url, tls[1], retry=retry, concurrency=1) as client:
            await client.get_lead(IDS[0])
            close_all(client)
            with pytest.raises(errors.ServiceUnavailableError) as caught:
                await client.get_leads(IDS)
    assert reason in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


async def test_row_40_a_server_that_takes_four_connections(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """It answers to others with an alert. After three, no more are opened, and no lead is lost."""
    async with relay(tls[0], chain(repeat(None, 4), repeat(ALERT))) as through:
        async with connecting(through.url, tls[1], concurrency=20) as client:
            await client.get_lead(IDS[0])
            batch = await client.get_leads(lead_ids(300))
            assert len(batch.leads) == 300
            assert through.damaged <= 40


async def test_row_40_authorities_of_the_environment_are_named(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """OpenSSL ignores a file that is not there, and then trusts nobody."""
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such.pem")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    async with leads_by_id(tls=tls[0]) as wire, InstantlyClient(KEY, base_url=wire.url) as client:
        with pytest.raises(errors.TLSError) as caught:
            await client.get_lead(IDS[0])
    named = f"(SSL_CERT_FILE is /no/such.pem, which cannot be read) (SSL_CERT_DIR is {tmp_path});"
    assert named in str(caught.value)


@pytest.mark.parametrize("worked", [False, True])
async def test_row_40_a_wrong_certificate_is_fatal(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], *, worked: bool
) -> None:
    """At once; if other connections have worked, when another one has it, too."""
    stranger, _ = tls_for("127.0.0.1")
    async with leads_by_id(tls=stranger) as wire, relay(tls[0], []) as through:
        async with connecting(through.url, tls[1]) as client:
            if worked:
                await client.get_lead(IDS[0])
                close_all(client)
            through.port = int(wire.url.rpartition(":")[2])
            with pytest.raises(errors.TLSError):
                await client.get_leads(IDS)
            assert client.stats.retries >= worked
            assert worked or client.stats.retries == 0
        assert wire.requests == []


async def test_row_40_one_wrong_certificate_among_good_ones(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """Such as that of one server whose certificate was not renewed: no lead is lost."""
    stranger, _ = tls_for("127.0.0.1")
    async with leads_by_id(tls=stranger) as wire, relay(tls[0], []) as through:
        async with connecting(through.url, tls[1], concurrency=1) as client:
            good, other = through.port, int(wire.url.rpartition(":")[2])
            await client.get_lead(IDS[0])
            close_all(client)
            ports = chain([other], repeat(good))
            through.next_port = lambda: next(ports)
            assert len((await client.get_leads(IDS)).leads) == len(IDS)
            assert client.stats.retries == 1


NO_COMMON_VERSION = b"\x15\x03\x01\x00\x02\x02\x46"  # asyncio's server does not send this alert
OTHER_SERVERS: dict[str, Script] = {
    "plain HTTP": [PLAIN_HTTP],
    "an alert": [ALERT],
    "no common version": [NO_COMMON_VERSION],
}


@pytest.mark.parametrize("script", OTHER_SERVERS.values(), ids=OTHER_SERVERS)
async def test_row_40_no_tls_before_any_success_is_fatal(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], script: Script
) -> None:
    async with scripted(repeat(script)) as wire:
        url = wire.url.replace("http://", "https://")
        async with connecting(url, tls[1], concurrency=1) as client:
            with pytest.raises(errors.TLSError):
                await client.get_leads(IDS)
            assert client.stats.retries == 0
        assert wire.connections == (1 if script == [PLAIN_HTTP] else 2)
