"""Faults 1 to 29 and 34: the client against a socket that produces each fault.

Rows 30 to 33 and 38 are about processes and disks, rows 35, 39 and 40 need servers of their own;
they are in other files, and ``pytest -k test_row_`` runs all rows.

Only one id of a run has the fault. The others show that the run continues.
"""

import asyncio
import contextlib
import gc
import gzip
import socket
import ssl
import time
import tracemalloc
import warnings
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import pytest
import trustme
from sending import CountingLimiter
from wire import (
    CLOSE,
    HANG,
    KEEP,
    READ,
    RESET,
    Script,
    Step,
    Wire,
    answer,
    leads_by_id,
    scripted,
    unconnectable,
)

from instantly_async import (
    ConfigurationError,
    Failed,
    Found,
    InstantlyClient,
    Lead,
    NotFound,
    Outcome,
    RetryPolicy,
    RunError,
    Strategy,
    Timeouts,
    errors,
)
from instantly_async.testing import FakeInstantly, lead_ids, lead_json
from instantly_async.testing.answers import error_body

KEY = "canary-key-0123456789"
BAD, *OTHERS = lead_ids(20)
LEAD = lead_json(BAD)
GOOD: Script = [answer(LEAD), KEEP]
QUICK = RetryPolicy(backoff_base_s=0.01, breaker_patience_s=3)


@dataclass
class Played:
    """The result of a run: outcomes by id, the error that ended it, the wire, tokens taken."""

    outcomes: dict[Any, Outcome[Lead]]
    error: RunError | None
    wire: Wire
    paid: int

    @property
    def bad(self) -> Outcome[Lead]:
        return self.outcomes[BAD]

    @property
    def asked(self) -> int:
        """Return how many requests for the bad id were sent."""
        return sum(BAD.encode() in request.split(b"\r\n")[0] for request in self.wire.requests)

    def require_neighbours(self) -> None:
        assert all(isinstance(self.outcomes[each], Found) for each in OTHERS)
        assert self.paid >= len(self.wire.requests)


async def run(wire: Wire, ids: Iterable[str] = (BAD, *OTHERS), **settings: Any) -> Played:
    limiter = CountingLimiter()
    settings = {"retry": QUICK, "limiter": limiter, "concurrency": 2, **settings}
    outcomes: dict[Any, Outcome[Lead]] = {}
    error = None
    async with InstantlyClient(KEY, base_url=wire.url, **settings) as client:
        try:
            async with client.stream_leads(ids) as stream:
                async for outcome in stream:
                    outcomes[outcome.lead_id] = outcome
        except RunError as caught:
            error = caught
    for each in outcomes.values():
        if isinstance(each, Failed):
            require_clean(each.error)
    if error is not None:
        require_clean(error)
    return Played(outcomes, error, wire, limiter.paid)


def require_clean(error: BaseException) -> None:
    """Check that the error holds neither the key nor another error that could hold it."""
    assert error.__cause__ is None
    assert error.__context__ is None
    assert KEY not in f"{error!r} {error} {vars(error)}"


async def play(*scripts: Script, always: Script | None = None, **settings: Any) -> Played:
    """Answer the bad id with these scripts, then with its lead; or with ``always`` each time."""
    forever: Iterable[Script] = () if always is None else repeat(always)
    async with leads_by_id({BAD: [*scripts, *[]] if always is None else forever}) as wire:
        return await run(wire, **settings)


async def transient(script: Script, kind: type[errors.TransientError], **settings: Any) -> None:
    """Check a fault that is retried: once, and the lead is found; always, and five attempts fail.

    ``kind`` is the error of the failed id.
    """
    played = await play(script, **settings)
    assert isinstance(played.bad, Found)
    assert (played.bad.attempts, played.asked) == (2, 2)
    played.require_neighbours()
    played = await play(always=script, **settings)
    assert isinstance(played.bad, Failed)
    assert type(played.bad.error) is kind
    assert (played.bad.attempts, played.asked) == (5, 5)
    played.require_neighbours()


FOREIGN_ATTEMPTS = 21


async def foreign(script: Script, kind: type[errors.LeadError]) -> Played:
    """Check an answer that is not from this API: once, and the lead is found; always, and it fails.

    It says nothing about the lead, so it is repeated more often than any other.
    """
    retry = RetryPolicy(backoff_base_s=0.01, backoff_cap_s=0.01)
    played = await play(script, retry=retry)
    assert isinstance(played.bad, Found)
    assert (played.bad.attempts, played.asked) == (2, 2)
    return await final(script, kind, FOREIGN_ATTEMPTS, retry=retry)


async def final(script: Script, kind: type[errors.LeadError], attempts: int, **more: Any) -> Played:
    """Check that an id with this answer fails with ``kind`` after ``attempts`` attempts."""
    played = await play(always=script, **more)
    assert isinstance(played.bad, Failed)
    assert type(played.bad.error) is kind
    assert (played.bad.attempts, played.asked) == (attempts, attempts)
    played.require_neighbours()
    return played


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
LENGTH = HEAD + b"Content-Length: %d\r\n\r\n" % len(LEAD)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ONE_CHUNK = b"%x\r\n%s\r\n" % (len(LEAD), LEAD)


# --- 1 to 9: connections and framing -----------------------------------------------------


@pytest.mark.parametrize("end", [RESET, CLOSE])
async def test_row_01_a_new_connection_ends_before_any_header(end: Step) -> None:
    """Each is a failed attempt with one request on the wire: nothing is sent again in silence."""
    async with scripted([[READ, end], [READ, answer(LEAD)]]) as wire:
        played = await run(wire, [BAD])
        assert isinstance(played.bad, Found)
        assert played.bad.attempts == len(wire.requests) == played.paid == 2
    # All connections are new, because the good answers close theirs, also the answer to a probe.
    closing = {other: answer(lead_json(other), "200 OK", "Connection: close") for other in OTHERS}
    good = {other: repeat([closing[other]]) for other in OTHERS}
    async with leads_by_id({BAD: repeat([end]), **good}) as wire:
        played = await run(wire)
        assert isinstance(played.bad, Failed)
        assert type(played.bad.error) is errors.ConnectionFailedError
        assert played.bad.attempts == played.asked == 5
        assert played.paid == len(wire.requests) == wire.connections
        played.require_neighbours()


@pytest.mark.parametrize("end", [RESET, CLOSE])
@pytest.mark.parametrize("strategy", ["get", "list"])
async def test_row_01_a_reused_connection_ends(end: Step, strategy: Strategy) -> None:
    """The request is repeated at once, once, on a new connection, and takes a second token."""
    good = answer(LEAD if strategy == "get" else b'{"items":[%s]}' % LEAD)
    async with scripted([[READ, good, READ, end], [READ, good]]) as wire:
        limiter = CountingLimiter()
        async with InstantlyClient(KEY, base_url=wire.url, limiter=limiter, retry=QUICK) as client:
            for _ in range(2):
                (found,) = (await client.get_leads([BAD], strategy=strategy)).outcomes
                assert isinstance(found, Found)
                assert found.attempts == 1
            assert (client.stats.retries, client.stats.requests) == (0, 3)
        assert len(wire.requests) == limiter.paid == 3


async def test_row_01_it_is_repeated_on_a_new_connection() -> None:
    """Other idle connections may have ended with this one."""
    good = answer(LEAD)
    ending: Script = [READ, good, READ, RESET]
    async with scripted([ending, ending, [READ, good]]) as wire:
        async with InstantlyClient(KEY, base_url=wire.url, retry=QUICK) as client:
            assert len((await client.get_leads([BAD, BAD])).leads) == 2
            assert wire.connections == 2
            await client.get_lead(BAD)
            assert (client.stats.retries, wire.connections) == (0, 3)


async def test_row_01_it_is_repeated_once_only() -> None:
    """What ends the repetition too is a failure."""
    scripts: list[Script] = [[READ, answer(LEAD), READ, RESET], [READ, RESET], [READ, answer(LEAD)]]
    async with scripted(scripts) as wire:
        async with InstantlyClient(KEY, base_url=wire.url, retry=QUICK) as client:
            await client.get_lead(BAD)
            await client.get_lead(BAD)
            assert (client.stats.retries, client.stats.requests) == (1, 4)


async def test_row_02_fin_within_the_headers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    script: Script = [b"HTTP/1.1 200 OK\r\nX-Secret: header-canary", CLOSE]
    await transient(script, errors.ConnectionFailedError)
    assert "header-canary" not in caplog.text


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([LENGTH + LEAD[:99], RESET], id="reset"),
        pytest.param([LENGTH + LEAD[:99], CLOSE], id="truncated length"),
        pytest.param([CHUNKED + ONE_CHUNK[:99], CLOSE], id="truncated chunk"),
        pytest.param([CHUNKED + ONE_CHUNK, CLOSE], id="last chunk missing"),
    ],
)
async def test_row_03_body_ends_early(script: Script) -> None:
    await transient(script, errors.ConnectionFailedError)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([HEAD + b"\r\n" + LEAD[:99], CLOSE], id="cut JSON"),
        pytest.param(
            [HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(LEAD)[:400], CLOSE],
            id="gzip member cut",
        ),
    ],
)
async def test_row_04_short_body_without_an_error(script: Script) -> None:
    await final(script, errors.DecodeError, attempts=3)
    once = await play(script)
    assert isinstance(once.bad, Found)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([CHUNKED + b"xyz\r\n", CLOSE], id="bad chunk size"),
        pytest.param([b"NONSENSE\r\n\r\n", CLOSE], id="bad status line"),
        pytest.param([CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n")], id="CL+TE"),
        pytest.param([HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n"], id="two CLs"),
        pytest.param([HEAD + b"X: " + b"a" * 70_000 + b"\r\n\r\n"], id="long header"),
        pytest.param([HEAD + b"X: a\r\n" * 300 + b"\r\n"], id="many headers"),
    ],
)
async def test_row_05_broken_http_is_not_a_400_of_the_api(script: Script) -> None:
    await transient(script, errors.ProtocolError)


@pytest.mark.parametrize("more", [b"X: " + b"a" * 64_000 + b"\r\n", b"X: a\r\n" * 250])
async def test_row_05_headers_up_to_64_kib_and_256_of_them_are_read(more: bytes) -> None:
    played = await play([HEAD + more + LENGTH.removeprefix(HEAD) + LEAD, KEEP])
    assert isinstance(played.bad, Found)
    assert played.bad.attempts == 1


async def test_row_06_keep_alive_race() -> None:
    """The server promises keep-alive in each answer, and then closes the connection."""
    async with scripted(repeat([READ, answer(LEAD), CLOSE])) as wire:
        limiter = CountingLimiter()
        async with InstantlyClient(KEY, base_url=wire.url, limiter=limiter, retry=QUICK) as client:
            for _ in range(50):
                assert (await client.get_lead(BAD)).id == BAD
            assert client.stats.retries == 0
        assert limiter.paid >= len(wire.requests) >= 50


@pytest.mark.parametrize(
    "script",
    [pytest.param([HANG], id="never"), pytest.param([LENGTH + LEAD[:99], HANG], id="body")],
)
async def test_row_07_silence(script: Script) -> None:
    await transient(script, errors.RequestTimeoutError, timeouts=Timeouts(read_s=0.3))


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(b" ", id="slow loris"),
        pytest.param(b"HTTP/1.1 102 Processing\r\n\r\n", id="endless 1xx"),
    ],
)
async def test_row_08_progress_without_an_end(step: bytes) -> None:
    """Each byte is progress, so only the total timeout ends it."""
    drip: list[Any] = [LENGTH] if step == b" " else []
    for _ in range(500):
        drip += [step, 0.02]
    timeouts = Timeouts(read_s=5, total_s=0.3)
    await transient(drip, errors.RequestTimeoutError, timeouts=timeouts)


@pytest.mark.parametrize("status", [b"100 Continue", b"103 Early Hints"])
async def test_row_09_informational_then_200(status: bytes) -> None:
    played = await play([b"HTTP/1.1 %s\r\n\r\n" % status, *GOOD])
    assert isinstance(played.bad, Found)
    assert played.bad.attempts == 1
    played.require_neighbours()


# --- 10 to 16: statuses and bodies -------------------------------------------------------


@pytest.mark.parametrize("status", ["101 Switching Protocols", "204 No", "304 Not", "206 A"])
async def test_row_10_a_status_that_is_never_sent(status: str) -> None:
    script: Script = [f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode(), CLOSE]
    await foreign(script, errors.ProtocolError)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 520, 524, 527, 530])
@pytest.mark.parametrize("body", [error_body(503, "Down"), b"<html>Down</html>", LEAD])
async def test_row_11_server_errors(status: int, body: bytes) -> None:
    """A lead in the body of an error is not a lead."""
    kind = errors.RequestTimeoutError if status == 408 else errors.ServerError
    played = await play([answer(body, f"{status} Sorry"), KEEP])
    assert isinstance(played.bad, Found)
    assert played.bad.attempts == 2
    played.require_neighbours()
    if body == LEAD:
        always = await play(always=[answer(body, f"{status} Sorry"), KEEP])
        assert isinstance(always.bad, Failed)
        assert isinstance(always.bad.error, kind | errors.ServerError)


@pytest.mark.parametrize(
    "body", [b"<html></html>", b'{"id": nope}', b"null", b"[]", b'"x"', b"7", b"", b"{}"]
)
async def test_row_12_200_with_something_else(body: bytes) -> None:
    await foreign([answer(body), KEEP], errors.DecodeError)


async def test_row_12_the_lead_itself_is_malformed() -> None:
    body = LEAD.replace(b'"email_open_count":0', b'"email_open_count":nope')
    await final([answer(body), KEEP], errors.DecodeError, attempts=2)


@pytest.mark.parametrize(
    ("body", "kind", "asked"),
    [
        (error_body(404, "No"), NotFound, 1),
        (error_body(400, "No"), errors.RequestRejectedError, 1),
        (error_body(500, "No"), errors.ServerError, 5),
        (b'{"statusCode":"503","message":"No"}', errors.ServerError, 5),
        (b'{"statusCode":404}', errors.ProtocolError, FOREIGN_ATTEMPTS),
        (b'{"statusCode":200,"data":{}}', errors.DecodeError, FOREIGN_ATTEMPTS),
    ],
)
async def test_row_12_an_error_with_200_counts_by_its_status(
    body: bytes, kind: type[Any], asked: int
) -> None:
    retry = RetryPolicy(backoff_base_s=0.01, backoff_cap_s=0.01)
    played = await play(always=[answer(body), KEEP], retry=retry)
    bad = played.bad
    assert type(bad.error if isinstance(bad, Failed) else bad) is kind
    assert played.asked == asked
    played.require_neighbours()


async def test_row_12_a_field_of_the_wrong_type_is_salvaged() -> None:
    body = LEAD.replace(b'"email_open_count":0', b'"email_open_count":"many"')
    played = await play([answer(body), KEEP])
    assert isinstance(played.bad, Found)
    assert played.bad.attempts == 1
    assert played.bad.problems == ("email_open_count",)


@pytest.mark.parametrize(
    ("extra", "attempts"),
    [(b'"new":"\xff"', 2), (b'"new":' + b"[" * 200_000 + b"]" * 200_000, 2)],
    ids=["invalid UTF-8", "deep nesting"],
)
async def test_row_13_bytes_that_cannot_be_read(extra: bytes, attempts: int) -> None:
    await final([answer(b"{%s,%s" % (extra, LEAD[1:])), KEEP], errors.DecodeError, attempts)


async def test_row_13_half_a_surrogate_pair_is_salvaged() -> None:
    played = await play([answer(b'{"first_name":"a\\ud83d",%s' % LEAD[1:]), KEEP])
    assert isinstance(played.bad, Found)
    assert played.bad.lead.id == BAD
    assert played.bad.attempts == 1


async def test_row_14_another_lead_than_the_requested_one() -> None:
    """The connection is closed, because later answers on it may be wrong too."""
    other = answer(lead_json(OTHERS[0]))
    played = await final([other, KEEP], errors.DecodeError, attempts=2)
    async with scripted([[READ, other, READ, other, HANG], [READ, answer(LEAD)]]) as wire:
        played = await run(wire, [BAD])
        assert isinstance(played.bad, Found)
        assert wire.connections == 2


def bomb() -> bytes:
    """Return 300 MB of white space (a valid beginning of JSON), compressed to 300 kB."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, 31)
    blank = b" " * 1_000_000
    return b"".join([*(squeezer.compress(blank) for _ in range(300)), squeezer.flush()])


@pytest.mark.parametrize("kind", ["gzip bomb", "endless body"])
async def test_row_15_gzip_bomb_and_a_body_over_the_cap(kind: str) -> None:
    """By GET, that id fails. Memory grows by at most 8 MiB more than the cap."""
    body = bomb()
    if kind == "gzip bomb":
        script: Script = [answer(body, "200 OK", "Content-Encoding: gzip"), KEEP]
    else:
        script = [HEAD + b"\r\n", *[b" " * 65536] * 1000]
    tracemalloc.start()
    try:
        await final(script, errors.DecodeError, attempts=1)
        assert tracemalloc.get_traced_memory()[1] < 9 * 2**20 + 2 * len(body)
    finally:
        tracemalloc.stop()


async def test_row_15_a_page_over_the_cap_goes_one_by_one() -> None:
    page = answer(bomb(), "200 OK", "Content-Encoding: gzip")
    async with leads_by_id({"list": [[page, KEEP]]}) as wire:
        async with InstantlyClient(KEY, base_url=wire.url, rate_limit=None) as client:
            batch = await client.get_leads([BAD, *OTHERS], strategy="list")
        assert [lead.id for lead in batch.leads] == [BAD, *OTHERS]
        assert len(wire.requests) == 1 + len(batch.leads)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["same", "other", "loop", "file"])
async def test_row_16_redirects_are_not_followed(code: int, target: str) -> None:
    async with scripted([]) as elsewhere:
        location = {
            "same": f"/api/v2/leads/{OTHERS[0]}",
            "other": f"{elsewhere.url}/api/v2/leads/{BAD}",
            "loop": f"/api/v2/leads/{BAD}",
            "file": "file:///etc/passwd",
        }[target]
        redirect = answer(b"", f"{code} Moved", f"Location: {location}")
        played = await foreign([redirect, KEEP], errors.ProtocolError)
        assert elsewhere.connections == 0
        probes = len(played.wire.requests) - FOREIGN_ATTEMPTS - len(OTHERS)
        assert 0 <= probes <= 2


# --- 17 to 22: input ---------------------------------------------------------------------


@pytest.mark.parametrize("odd", ["\r", "\n", "\0", "\x7f"])
def test_row_17_key_with_control_characters(odd: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        InstantlyClient(f"canary{odd}key")
    assert "canary" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("key", ["", "  ", "ключ", "a key"])
def test_row_18_key_that_cannot_be_one(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INSTANTLY_API_KEY", raising=False)
    with pytest.raises(ConfigurationError):
        InstantlyClient(key)


async def test_row_18_key_is_stripped_once() -> None:
    async with leads_by_id() as wire:
        async with InstantlyClient(f" {KEY}\n", base_url=wire.url, rate_limit=None) as client:
            await client.get_lead(BAD)
        assert f"Authorization: Bearer {KEY}\r\n".encode() in wire.requests[0]


@pytest.mark.parametrize(
    "odd", ["../../v2/api-keys", "%2e%2e", "//evil.example/x", "", " ", f"{BAD}/..", f"{BAD}?a=b"]
)
async def test_row_19_an_id_that_is_not_a_uuid(odd: str) -> None:
    async with leads_by_id() as wire:
        played = await run(wire, [odd, *OTHERS])
        failed = played.outcomes[odd]
        assert isinstance(failed, Failed)
        assert type(failed.error) is errors.InvalidLeadIdError
        assert failed.attempts == 0
        assert len(wire.requests) == len(OTHERS)


@pytest.mark.parametrize("strategy", ["get", "list"])
async def test_row_20_duplicates_and_no_ids(strategy: Any) -> None:
    async with FakeInstantly(api_key=KEY, rate_limit=None) as fake:
        async with InstantlyClient(KEY, base_url=fake.url, rate_limit=None) as client:
            batch = await client.get_leads([BAD, OTHERS[0], BAD, BAD.upper()], strategy=strategy)
            assert [each.lead_id for each in batch.outcomes] == [BAD, OTHERS[0], BAD, BAD.upper()]
            assert [lead.id for lead in batch.leads] == [BAD, OTHERS[0], BAD, BAD]
            assert (await client.get_leads([], strategy=strategy)).outcomes == ()


@pytest.mark.parametrize("who", ["input", "consumer", "break"])
async def test_row_21_input_or_consumer_ends_the_run(who: str) -> None:
    """Tasks in flight are cancelled and awaited, the input is closed, the error is raised."""
    closed = []

    async def ids() -> AsyncIterator[str]:
        try:
            yield BAD
            yield OTHERS[0]
            if who == "input":
                raise LookupError("the input's own")
            for each in lead_ids(10_000):
                yield each
        finally:
            closed.append(True)

    async with leads_by_id({BAD: [[HANG]]}) as wire:
        async with InstantlyClient(KEY, base_url=wire.url, rate_limit=None) as client:
            before = asyncio.all_tasks()
            with pytest.raises(LookupError) if who != "break" else contextlib.nullcontext():
                async with client.stream_leads(ids()) as stream:
                    async for _ in stream:
                        if who == "consumer":
                            raise LookupError("the consumer's own")
                        if who == "break":
                            break
            assert closed == [True]
            assert client.stats.in_flight == 0
            assert not {task for task in asyncio.all_tasks() - before if "instantly" in repr(task)}


@pytest.fixture
def unconnectable_url() -> Iterator[str]:
    with unconnectable() as url:
        yield url


@pytest.mark.parametrize("where", ["limiter", "connection", "backoff", "body"])
async def test_row_22_cancelled(where: str, unconnectable_url: str) -> None:
    """No task, slot or connection is leaked, and the client can still be used."""
    down = answer(error_body(503, "Down"), "503 Down")
    scripts: dict[str, list[Script]] = {
        "limiter": [],
        "connection": [],
        "backoff": [[down, KEEP]],
        "body": [[LENGTH + LEAD[:99], HANG]],
    }
    async with leads_by_id({BAD: scripts[where]}) as wire:
        limiter = CountingLimiter()
        retry = RetryPolicy(backoff_base_s=1000, backoff_cap_s=1000, max_elapsed_s=1e6)
        url = unconnectable_url if where == "connection" else wire.url
        async with InstantlyClient(KEY, base_url=url, limiter=limiter, retry=retry) as client:
            if where == "limiter":
                limiter.pause(asyncio.get_running_loop().time(), 1000)
            before = asyncio.all_tasks()
            task = asyncio.create_task(client.get_lead(BAD))
            for _ in range(200 if where in {"limiter", "connection"} else 0):
                await asyncio.sleep(0)
            while where in {"backoff", "body"} and not wire.requests:
                await asyncio.sleep(0)
            for _ in range(100 if where == "body" else 0):
                await asyncio.sleep(0)
            if where == "backoff":
                while not client.stats.retries and client.stats.bytes_received == 0:
                    await asyncio.sleep(0)
                for _ in range(20):
                    await asyncio.sleep(0)
            assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not {left for left in asyncio.all_tasks() - before if "instantly" in repr(left)}
            assert client.stats.in_flight == 0
            assert not client._connections.in_flight
            assert client._slots.taken == 0
            assert not limiter._turn.locked()
            pool = client._connections._pool
            assert not pool or len(pool._open) == len(pool._idle)
            if where in {"backoff", "body"}:
                assert (await client.get_lead(BAD)).id == BAD


# --- 23 to 29: answers that concern all ids ----------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, error_body(401, "Invalid key"), errors.AuthenticationError),
        (402, error_body(402, "No plan"), errors.PaymentRequiredError),
        (403, error_body(403, "Scope"), errors.PermissionDeniedError),
        (403, b"error code: 1010", errors.EdgeBlockedError),
    ],
)
@pytest.mark.parametrize("source", ["argument", "INSTANTLY_API_KEY"])
async def test_row_23_fatal_statuses(
    status: int, body: bytes, kind: type[RunError], source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No further request is sent, none is retried; the error names the source of the key."""
    monkeypatch.setenv("INSTANTLY_API_KEY", KEY)
    script: Script = [READ, answer(body, f"{status} No")] * 50
    async with scripted(repeat(script)) as wire:
        async with InstantlyClient(
            KEY if source == "argument" else None, base_url=wire.url, concurrency=4
        ) as client:
            with pytest.raises(kind) as caught:
                async with client.stream_leads(lead_ids(100)) as stream:
                    async for _ in stream:
                        pass
        assert len(wire.requests) <= 4
    require_clean(caught.value)
    if status == 401:
        assert source in str(caught.value)


@pytest.mark.parametrize("status", [400, 422, 404])
async def test_row_24_final_statuses(status: int) -> None:
    script: Script = [answer(error_body(status, "No"), f"{status} No"), KEEP]
    if status != 404:
        await final(script, errors.RequestRejectedError, attempts=1)
        return
    played = await play(always=script)
    assert isinstance(played.bad, NotFound)
    assert played.asked == 1
    played.require_neighbours()
    await foreign([answer(b"<html>", "404 No route"), KEEP], errors.ProtocolError)


@pytest.mark.parametrize(
    ("header", "least_s"),
    [
        (None, 0.5),
        ("0", 0.5),
        ("2", 2.0),
        ("1.5", 1.5),
        ("date", 1.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.5),
        ("nan", 0.5),
        ("soon", 0.5),
    ],
)
async def test_row_25_429_with_retry_after(header: str | None, least_s: float) -> None:
    """All requests wait. Without a usable header: d/2 + U(0, d/2), d = 1 s."""
    if header == "date":
        header = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 3))
    headers = [] if header is None else [f"Retry-After: {header}"]
    busy = answer(error_body(429, "Busy"), "429 Busy", *headers)
    began = time.monotonic()
    played = await play([busy, KEEP])
    assert isinstance(played.bad, Found)
    assert played.bad.attempts == 2
    assert time.monotonic() - began >= least_s
    played.require_neighbours()


async def test_row_25_429_longer_than_the_client_waits() -> None:
    busy = answer(error_body(429, "Busy"), "429 Busy", "Retry-After: 1e9")
    played = await play(always=[busy, KEEP])
    assert isinstance(played.error, errors.RateLimitPauseError)
    assert played.error.retry_after_s == 1e9


async def test_row_26_no_connection_opens_the_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS, refused, reset in the TLS handshake: retried until the breaker's patience ends."""
    async with scripted([]) as gone:
        pass
    async with scripted(repeat([RESET])) as wire:
        urls = [
            "https://no-such-host.invalid",
            gone.url,
            wire.url.replace("http://", "https://"),
        ]
        for url in urls:
            retry = RetryPolicy(backoff_base_s=0.001, breaker_threshold=3, breaker_patience_s=0.2)
            async with InstantlyClient(KEY, base_url=url, rate_limit=None, retry=retry) as client:
                with pytest.raises(errors.ServiceUnavailableError) as caught:
                    await client.get_leads(lead_ids(9))
                assert client.stats.breaker_open
            require_clean(caught.value)


async def test_row_26_a_server_that_comes_up_late() -> None:
    """Connections are refused at first, and no lead is lost."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with InstantlyClient(
        KEY, base_url=f"http://127.0.0.1:{port}", rate_limit=None, retry=QUICK
    ) as client:
        fetching = asyncio.create_task(client.get_leads(lead_ids(30)))
        while not client.stats.breaker_open:
            await asyncio.sleep(0.001)
        async with FakeInstantly(api_key=KEY, port=port, rate_limit=None):
            batch = await fetching
    assert len(batch.leads) == 30


async def test_row_27_certificates() -> None:
    """The run ends, without a retry, and no request is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with leads_by_id(tls=context) as wire:
        played = await run(wire, [BAD])
        assert isinstance(played.error, errors.TLSError)
        assert wire.requests == []
        assert played.paid <= 1
    async with scripted(repeat([b"HTTP/1.1 400 Bad Request\r\n\r\n"])) as plain:
        plain.url = plain.url.replace("http://", "https://")
        played = await run(plain, [BAD])
        assert isinstance(played.error, errors.TLSError)
        assert plain.connections == 1


async def test_row_28_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    played = await play()
    assert isinstance(played.bad, Found)
    refusal = answer(b"", "407 Proxy Authentication Required")
    async with scripted(repeat([READ, refusal])) as proxy:
        target = Wire(url="https://api.invalid")
        played = await run(target, [BAD], proxy=proxy.url)
        assert isinstance(played.error, errors.ProxyError)
        assert proxy.connections == 1
        assert KEY.encode() not in b"".join(proxy.requests)


@pytest.mark.parametrize("jump_s", [3600, -3600])
async def test_row_29_wall_clock_jumps(jump_s: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A jump only affects a ``Retry-After`` that is a date, which is clamped."""
    real = time.time

    def jumped() -> float:
        return real() + jump_s

    down: Script = [answer(error_body(503, "Down"), "503 Down"), KEEP]
    async with leads_by_id({BAD: [down]}) as wire:
        async with InstantlyClient(KEY, base_url=wire.url, retry=QUICK) as client:
            async with client.stream_leads([BAD, *OTHERS]) as stream:
                await anext(stream)
                monkeypatch.setattr(time, "time", jumped)
                outcomes = [outcome async for outcome in stream]
            assert all(isinstance(outcome, Found) for outcome in outcomes)
            assert client.stats.elapsed_s < 60
            assert all(outcome.elapsed_s < 60 for outcome in outcomes)
    # The server's clock is an hour ahead of or behind ours.
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(real()))
    busy = answer(error_body(429, "Busy"), "429 Busy", f"Retry-After: {date}")
    played = await play([busy, KEEP], retry=RetryPolicy(max_retry_after_s=1.5))
    assert isinstance(played.bad, Found)


# --- 34: event loops ---------------------------------------------------------------------------


def test_row_34_a_client_of_another_loop() -> None:
    with FakeInstantly(api_key=KEY, rate_limit=None) as fake:
        client = InstantlyClient(KEY, base_url=fake.url)

        async def get() -> Lead:
            return await client.get_lead(BAD)

        runner = asyncio.Runner()
        assert runner.run(get()).id == BAD
        with asyncio.Runner() as other, pytest.raises(errors.ClosedError, match="loop"):
            other.run(get())
        runner.run(client.aclose())
        with pytest.raises(errors.ClosedError, match="closed"):
            runner.run(get())
        runner.close()


@pytest.mark.parametrize("used", [True, False])
def test_row_34_a_client_that_is_never_closed(*, used: bool) -> None:
    """A warning if connections leak, and none if there is nothing to close."""
    with FakeInstantly(api_key=KEY, rate_limit=None) as fake:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")

            async def main() -> None:
                client = InstantlyClient(KEY, base_url=fake.url)
                if used:
                    await client.get_lead(BAD)

            asyncio.run(main())
            gc.collect()
    leaks = [each for each in caught if issubclass(each.category, ResourceWarning)]
    assert bool(leaks) == used
    assert KEY not in repr(caught)
