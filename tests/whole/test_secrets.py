"""Canaries: the API key and a proxy's password must appear nowhere, and emails in no log.

The tests search everything that a program can print, log or send by accident: all texts of the
objects that users get (clients, streams, loaders, batches, outcomes, errors), and their pickles;
the frames of tracebacks, including aiohttp's; every log record at DEBUG, with every callback of
the event loop logged as slow; all that observers are told, and the fields of records, which hold
no id either; warnings; and what the command prints and writes. They do not search the private parts
of the client, which must hold the key (masked, see test_credentials.py), nor the frames and
variables of the caller.

A caller may see the leads: ``Found`` and batches show them, and ``DecodeError.raw`` and
``RunError.partial`` hold them on purpose. Texts of errors, logs and messages do not.
"""

import asyncio
import base64
import copy
import gc
import logging
import os
import pickle
import reprlib
import ssl
import subprocess
import sys
import traceback
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import pytest
import trustme
from commands import MODULE, wait_until
from rich.pretty import pretty_repr
from wire import CLOSE, HANG, READ, RESET, Script, answer, scripted

from instantly_async import InstantlyClient, Lead, RetryPolicy, Timeouts, errors
from instantly_async.events import Event
from instantly_async.testing import FakeInstantly, Fault, lead_ids, lead_json

KEY = f"canary-key-begins-{'k' * 70}-canary-key-ends"
PROFILE_KEY = f"canary-profile-begins-{'p' * 70}-canary-profile-ends"
PASSWORD = "canary-pass:word"
PAIR = base64.b64encode(f"proxy-user:{PASSWORD}".encode()).decode()
SECRETS = (
    "canary-key", "canary-profile", "canary-pass", PAIR[:16], PAIR[-16:], "kkkkkkkk", "pppppppp"
)  # fmt: skip
"""Parts of the secrets, so that a shortened secret is found too."""

EMAIL = "ada.canary@example.com"
BODY = "canary-body"
PERSONAL = ("@example.com", "ada.canary", BODY)
"""Every invented lead has an address at ``example.com``."""

IDS = list(lead_ids(6))
QUOTING = f'the key "Bearer {KEY}" may not read {EMAIL}'
FAST = RetryPolicy(
    attempts=2, throttled_attempts=1, backoff_base_s=0.001, backoff_cap_s=0.002,
    breaker_patience_s=0.05,
)  # fmt: skip
IMPATIENT = Timeouts(connect_s=5, read_s=0.05, total_s=0.1, list_read_s=0.05, list_total_s=0.1)


def found_in(markers: tuple[str, ...], text: str) -> list[str]:
    return [text[max(0, at - 200) : at + 80] for m in markers if (at := text.find(m)) >= 0]


def forms(value: object) -> Iterator[str]:
    """Yield every text that Python makes from a value."""
    yield from (repr(value), str(value), f"{value}", f"{value!a}", reprlib.repr(value))
    yield logging.makeLogRecord({"msg": "%s %r", "args": (value, value)}).getMessage()


def pickled(value: object) -> str:
    """Return the pickles of two protocols; if it cannot be pickled, the error's text."""
    texts = []
    for protocol in (0, pickle.HIGHEST_PROTOCOL):
        try:
            texts.append(pickle.dumps(value, protocol).decode("latin-1"))
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            texts.append(str(error))
    return "\n".join(texts)


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and all errors that it refers to."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        linked = [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
        todo += [other for other in [*linked, *each.args] if isinstance(other, BaseException)]


def locals_of(frames: TracebackType | None) -> Iterator[str]:
    """Yield the local variables of all frames, except those of tests.

    They are shown by ``repr``, as in pytest and ``capture_locals``, and as in Rich, which formats
    values itself and cuts long strings.
    """
    for frame, _ in traceback.walk_tb(frames):
        if "/tests/" not in frame.f_code.co_filename:
            yield repr(frame.f_locals)
            yield pretty_repr(frame.f_locals, max_string=40, max_length=50, max_depth=5)


def texts_of(error: BaseException) -> Iterator[str]:
    """Yield all texts of an error, without its frames."""
    for each in chain(error):
        attributes = {**getattr(each, "__dict__", {})}
        for name in ("raw", "partial"):
            attributes.pop(name, None)
        yield from forms(each)
        yield from (repr(each.args), repr(attributes), repr(getattr(each, "__notes__", ())))
        if getattr(each, "partial", None) is None:
            yield from map(pickled, (each, copy.copy(each), copy.deepcopy(each)))


def frames_of(error: BaseException) -> Iterator[str]:
    """Yield all texts of the frames of an error."""
    for each in chain(error):
        yield from locals_of(each.__traceback__)
    yield "".join(traceback.format_exception(error))


class Everything(logging.Handler):
    """Keeps each record in full: text, arguments, and the frames of its error."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []
        self.told: list[str] = []

    def see(self, event: Event) -> None:
        """Keep a record, as an observer."""
        self.told += [*forms(event), pickled(event), pretty_repr(event)]

    def emit(self, record: logging.LogRecord) -> None:
        self.texts += [self.format(record), repr(record.args)]
        if record.name.startswith("instantly_async"):
            own = vars(logging.makeLogRecord({})).keys() | {"message"}
            self.told += [repr({k: v for k, v in vars(record).items() if k not in own})]
        if record.exc_info and record.exc_info[1] is not None:
            self.texts += [*texts_of(record.exc_info[1]), *frames_of(record.exc_info[1])]

    def sweep(self) -> str:
        text = "\n".join(self.texts)
        assert found_in(SECRETS + PERSONAL, text) == []
        told = "\n".join(self.told)
        assert "Opened(" in told
        assert found_in((*SECRETS, *PERSONAL, *IDS, *(i.replace("-", "") for i in IDS)), told) == []
        return text


@pytest.fixture
async def log() -> AsyncIterator[Everything]:
    """Yield a handler of all log records; each callback of the event loop is logged as slow."""
    handler, root = Everything(), logging.getLogger()
    level, loop = root.level, asyncio.get_running_loop()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


def sweep(client: InstantlyClient[Any], results: Iterable[Any]) -> None:
    """Check that client and results hold no secret, and errors no email."""
    texts = [
        *forms(client),
        *forms(vars(client)),
        *forms(vars(client._connections)),
        *forms(client._workspace.transport),
        pickled(client),
    ]
    for result in results:
        if isinstance(result, BaseException):
            said = list(texts_of(result))
            assert found_in(PERSONAL, "\n".join(said)) == []
            texts += [*said, *frames_of(result)]
        else:
            texts += [*forms(result), pickled(result), *forms(client.stats)]
    assert found_in(SECRETS, "\n".join(texts)) == []


async def call_everything(client: InstantlyClient[Any]) -> list[Any]:
    """Call every method; return the results, or the errors that were raised."""
    loader, sibling = client.loader(), client.for_workspace("ws-2")

    async def consume() -> list[Any]:
        async with client.stream_leads(IDS, ordered=True) as stream:
            return [outcome async for outcome in stream] + [stream]

    async def browse() -> list[Any]:
        async with client.list_leads() as leads, client.find_leads([EMAIL, "no email"]) as matches:
            return [
                *[outcome async for outcome in leads],
                *[match async for match in matches],
                leads,
                matches,
            ]

    asked = await asyncio.gather(
        client.get_lead(IDS[0]),
        client.get_leads([*IDS[:2], "no id"]),
        client.get_leads(IDS, strategy="list", keep_raw=True),
        client.check(),
        loader.load_many(IDS[:3]),
        sibling.get_lead(IDS[3]),
        consume(),
        browse(),
        return_exceptions=True,
    )
    settled = [o for batch in asked[1:3] if hasattr(batch, "failed") for o in batch.failed]
    return [*asked, *settled, *(o.error for o in settled), loader, sibling]


def body(status: int, message: str = QUOTING) -> bytes:
    return msgspec.json.encode({"statusCode": status, "error": message, "message": message})


PERSON = {"email": EMAIL, "payload": {"note": BODY}}
ENDS: dict[str, tuple[Fault, type[object]]] = {
    "found": (Fault.patch(**PERSON), Lead),
    "salvaged": (Fault.patch(**PERSON, status="odd"), Lead),
    "wrong id": (Fault.wrong_id(), errors.DecodeError),
    "no JSON": (Fault.body(f"<p>{QUOTING}".encode()), errors.DecodeError),
    "400": (Fault.status(400, body(400)), errors.RequestRejectedError),
    "401": (Fault.status(401, body(401)), errors.AuthenticationError),
    "402": (Fault.status(402, body(402)), errors.PaymentRequiredError),
    "403": (Fault.status(403, body(403)), errors.PermissionDeniedError),
    "403 of the edge": (Fault.status(403, QUOTING.encode()), errors.EdgeBlockedError),
    "404": (Fault.status(404, body(404)), errors.NotFoundError),
    "404 of a route": (Fault.status(404, QUOTING.encode()), errors.ProtocolError),
    "429": (Fault.throttle(0), errors.RateLimitedError),
    "429 for ever": (Fault.throttle(1e6), errors.RateLimitPauseError),
    "500": (Fault.status(500, body(500)), errors.ServerError),
    "302": (Fault.redirect(f"http://127.0.0.1/{KEY}"), errors.ProtocolError),
    "reset": (Fault.reset(), errors.ConnectionFailedError),
    "cut": (Fault.truncate(), errors.ConnectionFailedError),
    "no HTTP": (Fault.raw(f"HTTP/1.1 {QUOTING}\r\n".encode()), errors.ProtocolError),
    "silence": (Fault.stall(60), errors.RequestTimeoutError),
    "407": (Fault.status(407, body(407)), errors.ProxyError),
}


@pytest.mark.parametrize("end", ENDS)
async def test_however_it_ends(end: str, log: Everything) -> None:
    """Also if the API's answer quotes the key and an email."""
    fault, kind = ENDS[end]
    timeouts = IMPATIENT if end == "silence" else Timeouts()
    with FakeInstantly(api_key=KEY, rate_limit=None, fault_rate=1.0, fault_kinds=[fault]) as fake:
        async with InstantlyClient(
            KEY,
            base_url=fake.url,
            rate_limit=None,
            retry=FAST,
            timeouts=timeouts,
            observer=log.see,
        ) as client:
            (first,) = await asyncio.gather(client.get_lead(IDS[5]), return_exceptions=True)
            assert isinstance(first, kind)
            # Each further 429 would pause the test for a second.
            more = [] if "429" in end else await call_everything(client)
            sweep(client, [first, *more])
        with pytest.raises(errors.ClosedError) as closed:
            await client.get_lead(IDS[0])
        sweep(client, [closed.value])
    await asyncio.sleep(0)
    assert "asyncio" in log.sweep()


def of_proxy(url: str) -> str:
    return url.replace("//", f"//proxy-user:{PASSWORD.replace(':', '%3A')}@")


@pytest.fixture(scope="module")
def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


REFUSED = answer(QUOTING.encode(), "407 Proxy Authentication Required", f"X-Seen: Basic {PAIR}")


@pytest.mark.parametrize(
    ("script", "kind", "has_proxy", "is_tls"),
    [
        pytest.param([READ, REFUSED], errors.ProxyError, True, False, id="407"),
        pytest.param(
            [READ, answer(b"", "502 No")], errors.ConnectionFailedError, True, False, id="502"
        ),
        pytest.param([READ, RESET], errors.ConnectionFailedError, True, False, id="proxy resets"),
        pytest.param([READ, CLOSE], errors.ConnectionFailedError, True, False, id="proxy hangs up"),
        pytest.param([], errors.TLSError, False, True, id="bad certificate"),
        pytest.param([b"HTTP/1.1 400 No\r\n\r\n"], errors.TLSError, False, False, id="no TLS"),
    ],
)
async def test_however_a_connection_fails(  # noqa: PLR0917 - fixtures
    script: Script,
    kind: type[Exception],
    has_proxy: bool,
    is_tls: bool,
    server_tls: ssl.SSLContext,
    log: Everything,
) -> None:
    """The proxy gets its password, and quotes it in its answer."""
    async with scripted([script] * 8, tls=server_tls if is_tls else None) as wire:
        secure = wire.url.replace("http:", "https:")
        async with InstantlyClient(
            KEY,
            base_url="https://api.invalid" if has_proxy else secure,
            proxy=of_proxy(wire.url) if has_proxy else None,
            retry=FAST,
            observer=log.see,
        ) as client:
            results = await asyncio.gather(
                client.get_lead(IDS[0]), client.check(), return_exceptions=True
            )
            assert [type(each) for each in results] == [kind, kind]
            sweep(client, results)
        seen = b"".join(wire.requests).decode()
        assert (f"Proxy-Authorization: Basic {PAIR}\r\n" in seen) == has_proxy
        assert KEY not in seen
    await asyncio.sleep(0)
    log.sweep()


@pytest.mark.parametrize(
    "script", [[READ, HANG], [READ, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", HANG]]
)
async def test_when_it_is_cancelled(script: Script, log: Everything) -> None:
    """A cancelled task's error keeps frames of aiohttp that hold the request and its connection."""
    async with scripted([script]) as wire:
        # A proxy for plain HTTP gets the whole request.
        async with InstantlyClient(
            KEY,
            base_url="http://127.0.0.1:9",
            proxy=of_proxy(wire.url),
            retry=FAST,
            observer=log.see,
        ) as client:
            task = asyncio.create_task(client.get_lead(IDS[0]))
            while not wire.requests:
                await asyncio.sleep(0)
            for _ in range(5):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            frames = {frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(caught.tb)}
            assert {"aiohttp.client", "instantly_async._http.transport"} & frames
            sweep(client, [caught.value])
        for sent in (f"Authorization: Bearer {KEY}", f"Proxy-Authorization: Basic {PAIR}"):
            assert f"\r\n{sent}\r\n".encode() in wire.requests[0]
    await asyncio.sleep(0)
    log.sweep()


async def test_when_it_is_never_closed(log: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    """The warnings of Python and aiohttp about leaked connections show their proxy."""
    unraisable: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(repr(args)))
    async with scripted([[READ, answer(lead_json(IDS[0])), HANG]]) as wire:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            client = InstantlyClient(
                KEY,
                base_url="http://127.0.0.1:9",
                proxy=of_proxy(wire.url),
                retry=FAST,
                observer=log.see,
            )
            await client.get_lead(IDS[0])
            while (
                client._connections.in_flight._clock.is_running
            ):  # a timer of the event loop holds the pool
                await asyncio.sleep(0.01)
            del client
            gc.collect()
            await asyncio.sleep(0)
    said = [repr(vars(each)) for each in warned] + unraisable
    assert any("Unclosed" in each for each in said)
    assert found_in(SECRETS, "\n".join(said)) == []
    assert "Unclosed" in log.sweep()


BAD_SETTINGS: list[Callable[[], object]] = [
    lambda: InstantlyClient(f"{KEY}\r\nX-Evil: 1"),
    lambda: InstantlyClient(f"{KEY} é"),
    lambda: InstantlyClient(f'"{KEY}"'),
    lambda: InstantlyClient(f"Bearer {KEY}"),
    lambda: InstantlyClient(f"INSTANTLY_API_KEY={KEY}"),
    lambda: InstantlyClient(f"{KEY}\n{KEY}"),
    lambda: InstantlyClient(KEY, proxy=of_proxy("http://proxy"), user_agent=""),
    lambda: InstantlyClient(f"\x00{KEY}"),
    lambda: InstantlyClient(KEY.encode()),  # type: ignore[call-overload]
    lambda: InstantlyClient([KEY]),  # type: ignore[call-overload]
    lambda: InstantlyClient(KEY, base_url=of_proxy("https://api.instantly.ai")),
    lambda: InstantlyClient(KEY, base_url=f"https://api.instantly.ai/{KEY}"),
    lambda: InstantlyClient(KEY, base_url=f"http://[{KEY}"),
    lambda: InstantlyClient(KEY, proxy=of_proxy("socks5://proxy")),
    lambda: InstantlyClient(KEY, proxy=of_proxy("http://proxy:no-port")),
    lambda: InstantlyClient(KEY, proxy=f"http://[{PASSWORD}@"),
    lambda: InstantlyClient(KEY, proxy=of_proxy("http://proxy"), workspace="w s"),
    lambda: InstantlyClient(KEY, proxy=of_proxy("http://proxy"), concurrency=0),
    lambda: InstantlyClient(KEY, proxy=of_proxy("http://proxy"), lead_type=dict),
    lambda: InstantlyClient(KEY).for_workspace("w s"),
    lambda: InstantlyClient(KEY).stream_leads([], concurrency=0),
]


@pytest.mark.parametrize("build", BAD_SETTINGS)
def test_when_a_setting_is_refused(build: Callable[[], object]) -> None:
    """The secret is neither in the error nor in a frame of the package."""
    with pytest.raises(errors.ConfigurationError) as caught:
        build()
    assert any("instantly_async" in str(f.path) for f in caught.traceback)
    texts = [*texts_of(caught.value), *frames_of(caught.value)]
    assert found_in(SECRETS, "\n".join(texts)) == []


class Unpicklable:
    """Fails in a frame outside the tests; its ``repr`` is the key."""

    def __repr__(self) -> str:
        return KEY

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError


def test_the_search_finds_secrets() -> None:
    """In causes, groups, notes and attributes of an error, in frames and in pickles."""
    outer, inner = RuntimeError(), ValueError()
    inner.add_note(KEY)
    outer.__cause__ = ExceptionGroup("both", [inner])
    assert found_in(SECRETS, "".join(texts_of(outer)))
    inner = ValueError()
    inner.held = KEY  # type: ignore[attr-defined]
    assert found_in(SECRETS, "".join(texts_of(inner)))
    with pytest.raises(TypeError) as caught:
        copy.deepcopy(Unpicklable())
    assert found_in(SECRETS, "".join(locals_of(caught.tb)))
    assert found_in(PERSONAL, pickled([EMAIL]))


def start(folder: Path, url: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Run the command in a separate process, in Python's development mode with its warnings."""
    environment = {
        "INSTANTLY_API_KEY": KEY,
        "INSTANTLY_API_KEY_ACME": PROFILE_KEY,
        "INSTANTLY_BASE_URL": url,
    }
    return subprocess.Popen(
        [sys.executable, "-X", "dev", *MODULE[1:], *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def stop_twice(process: "subprocess.Popen[bytes]", fake: FakeInstantly) -> bytes:
    """Send SIGTERM twice during the run, so that the process ends at once; return stderr so far."""
    wait_until(lambda: any(IDS[5] in seen.path for seen in fake.requests))
    process.terminate()
    assert process.stderr is not None
    said = b""
    while b"Stopping" not in said:
        line = process.stderr.readline()
        assert line
        said += line
    process.terminate()
    return said


def test_what_the_command_says_and_writes(tmp_path: Path, unmeasured: None) -> None:
    """The key is nowhere and emails are only in files with leads, although the input has both."""
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join([*IDS[:5], EMAIL, f"{KEY}", f"not an id: {KEY}", PROFILE_KEY]))
    (last := tmp_path / "last.txt").write_text("\n".join(IDS))
    folder = tmp_path / "made"
    folder.mkdir()
    debug = ("--log-level", "debug")
    with FakeInstantly(api_key=KEY, rate_limit=None, unknown={IDS[1]}) as fake:
        fake.script(IDS[0], *[Fault.patch(**PERSON, status="odd")] * 2)
        fake.script(IDS[2], *[Fault.status(400, body(400))] * 9)
        fake.script(IDS[3], Fault.status(500, body(500)))
        fake.script(IDS[5], Fault.stall(60))
        fake.script_list(Fault.status(400, body(400)))
        stats = ("--stats-json", "stats.json")
        by_get = start(folder, fake.url, "fetch", str(ids), "-o", "a.jsonl", *stats, *debug)
        by_list = ("fetch", str(ids), "-o", "b.csv", "--strategy", "list", *debug)
        killed = start(folder, fake.url, "fetch", str(last), "-o", "c.jsonl", *debug)
        runs = {
            by_get: 3,
            start(folder, fake.url, *by_list): 3,
            start(folder, fake.url.replace("http:", "https:"), "check", *debug): 5,
            start(folder, fake.url, "check", "--profile", "acme", *debug): 4,
            start(folder, fake.url, "check", "--profile", PROFILE_KEY, *debug): 2,
            start(folder, fake.url, "fetch", PROFILE_KEY, str(ids), *debug): 2,
            start(folder, "", "demo", "--count", "9", "-o", "d.jsonl", *debug): 0,
            killed: 143,
        }
        said = stop_twice(killed, fake)
        for process, code in runs.items():
            out, err = process.communicate(timeout=60)
            said += out + err
            assert process.returncode == code, err
        process = start(folder, "", "convert", "a.jsonl", "e.csv")
        said += b"".join(process.communicate(timeout=60))
        assert process.returncode == 0
    text = said.decode()
    assert "DEBUG instantly_async._fetch.attempts" in text
    assert "invalid: in line 6" in text
    assert found_in(SECRETS + PERSONAL, text) == []
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert EMAIL in written["a.jsonl"]
    assert EMAIL in written["e.csv"]
    for name, held in written.items():
        holds_leads = name.endswith((".jsonl", ".csv")) and "errors" not in name
        assert found_in(SECRETS if holds_leads else SECRETS + PERSONAL, held) == [], name
    assert {"a.jsonl.errors.jsonl", "b.csv.errors.jsonl", "stats.json"} <= written.keys()
