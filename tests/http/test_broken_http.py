"""Answers that are not HTTP: the error says what is wrong, and quotes nothing of the server's."""

import asyncio

import aiohttp
import pytest
from certificates import tls_for
from hypothesis import given
from hypothesis import strategies as st
from sending import get, sender
from wire import CLOSE, HANG, READ, Script, Step, answer, scripted, serving_with

from instantly_async import errors
from instantly_async._http import read_proxy
from instantly_async._http.broken import describe
from instantly_async._http.connection import MAX_HEADER_BYTES, MAX_HEADERS
from instantly_async._http.failures import map_error

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MARK = b"canary"

CASES = {
    "another protocol": (b"220 canary ESMTP\r\n", "does not begin with HTTP/"),
    "HTML": (b"<html>canary</html>", "does not begin with HTTP/"),
    "SSH": (b"SSH-2.0-canary\r\n", "it is SSH"),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x46canary", "it is TLS; begin the URL with https://"),
    "HTTP/2": (b"\x00\x00\x06\x04\x00\x00\x00\x00\x00canary", "it is HTTP/2"),
    "status": (b"HTTP/1.1 2x0 canary\r\n\r\n", "a bad status line"),
    "version": (b"HTTP/9.9 200 canary\r\n\r\n", "a bad status line"),
    "no colon": (HEAD + b"canary header\r\n\r\n", "a bad header"),
    "NUL": (HEAD + b"X: canary\0\r\n\r\n", "a bad header"),
    "CR": (HEAD + b"X: a\rcanary\r\n\r\n", "a bad header"),
    "CL+TE": (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "both Content-Length and Transfer-Encoding",
    ),
    "TE+CL": (
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "both Content-Length and Transfer-Encoding",
    ),
    "two lengths": (
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "more than one Content-Length",
    ),
    "length": (HEAD + b"Content-Length: canary\r\n\r\n", "a bad Content-Length"),
    "chunk size": (CHUNKED + b"canary\r\n", "a bad chunk size"),
    "large chunk": (CHUNKED + b"f" * 20 + b"\r\n", "a bad chunk size"),
    "chunk": (CHUNKED + b"6\r\ncanaryXX\r\n", "a bad chunk"),
    "trailer": (CHUNKED + b"0\r\ncanary trailer\r\n\r\n", "a bad header"),
    "long header": (
        HEAD + b"X: " + MARK * 11_000 + b"\r\n\r\n",
        "a header or the status line is longer than 64 KiB",
    ),
    "long name": (HEAD + MARK * 11_000 + b": x\r\n\r\n", "longer than 64 KiB"),
    "long reason": (b"HTTP/1.1 200 " + MARK * 11_000 + b"\r\n\r\n", "longer than 64 KiB"),
    "many headers": (HEAD + b"X: canary\r\n" * 257 + b"\r\n", "more than 256 headers"),
    "after the end": (
        HEAD + b"Connection: close\r\nContent-Length: 1\r\n\r\nxcanary",
        "data after the end",
    ),
}


async def refused(*steps: Step | bytes | float) -> errors.ProtocolError:
    async with scripted([[READ, *steps]]) as wire, sender(wire.url) as s:
        with pytest.raises(errors.ProtocolError) as caught:
            await s.send(get())
    error = caught.value
    assert error.status is None
    assert "canary" not in repr(error)
    assert (error.__cause__, error.__context__) == (None, None)
    return error


@pytest.mark.parametrize("name", CASES)
async def test_the_error_says_what_is_wrong(name: str) -> None:
    data, reason = CASES[name]
    assert reason in str(await refused(data, HANG))


@pytest.mark.parametrize("name", ["chunk size", "large chunk", "chunk", "trailer"])
@pytest.mark.parametrize("status", ["200 OK", "503 No"])
async def test_so_it_does_if_the_head_came_before(name: str, status: str) -> None:
    """aiohttp's parser does not tell this to the body, so reading it would time out."""
    data, reason = CASES[name]
    rest = data.removeprefix(CHUNKED)
    head = CHUNKED.replace(b"200 OK", status.encode())
    script: Script = [READ, head + b"1\r\nx\r\n", 0.02, rest, HANG]
    async with scripted([script]) as wire, sender(wire.url) as s:
        reply = await s.reply(get(read_s=60, total_s=60))
    if status == "503 No":
        assert not isinstance(reply.result, Exception)  # the status counts
    else:
        assert isinstance(reply.result, errors.ProtocolError)
        assert reason in str(reply.result)


async def test_a_body_after_another_one_on_the_same_connection_fails_too() -> None:
    whole: Script = [CHUNKED + b"1\r\nx\r\n", 0.02, b"0\r\n\r\n"]
    script: Script = [READ, *whole, READ, *whole, READ, CHUNKED, 0.02, b"canary\r\n", HANG]
    async with scripted([script]) as wire, sender(wire.url) as s:
        assert [(await s.send(get())).body for _ in range(2)] == [b"x", b"x"]
        with pytest.raises(errors.ProtocolError, match="a bad chunk size"):
            await s.send(get())
        assert wire.connections == 1


@pytest.mark.parametrize("end", [CLOSE, HANG])
async def test_a_body_that_ends_early_is_cut_off(end: Step) -> None:
    """A closed connection is not broken HTTP, and silence is a timeout."""
    script: Script = [READ, CHUNKED + b"5\r\nabc", 0.02, end]
    async with scripted([script]) as wire, sender(wire.url) as s:
        result = (await s.reply(get(read_s=0.3))).result
    kind = errors.ConnectionFailedError if end is CLOSE else errors.RequestTimeoutError
    assert type(result) is kind


async def test_long_and_many_headers_are_read() -> None:
    long = "X-Policy: " + "a" * MAX_HEADER_BYTES
    many = [f"X-{number}: v" for number in range(MAX_HEADERS - 2)]  # and Content-Length
    reason = "200 " + "a" * MAX_HEADER_BYTES
    async with scripted([[READ, answer(b"x", reason, long, *many)]]) as wire, sender(wire.url) as s:
        response = await s.send(get())
    assert (response.status, response.body, len(response.headers)) == (200, b"x", MAX_HEADERS)


async def test_an_answer_in_many_small_parts_is_read() -> None:
    long = b"X-Policy: " + b"a" * 9000
    parts = [part for at in range(0, 9010, 901) for part in (long[at : at + 901], 0.001)]
    script: Script = [READ, HEAD, *parts, b"\r\nContent-Length: 1\r\n\r\nx"]
    async with scripted([script]) as wire, sender(wire.url) as s:
        assert (await s.send(get())).body == b"x"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"SSH-2.0-canary\r\n", "it is SSH"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: canary\r\n" * 200 + b"\r\n", "too many headers"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 9000 + b"\r\n\r\n", "longer than 8 KiB"),
    ],
)
async def test_of_a_proxy_aiohttp_reads_less(data: bytes, reason: str) -> None:
    """Its limits for the answer to CONNECT cannot be changed, so the error has to tell them."""
    async with scripted([[READ, data, HANG]]) as wire:
        proxy = read_proxy(wire.url)
        async with sender("https://api.example", proxy=proxy, ssl_context=tls_for("x")[1]) as s:
            with pytest.raises(errors.ProtocolError, match="answer to CONNECT is not") as caught:
                await s.send(get())
    assert reason in str(caught.value)
    assert "canary" not in str(caught.value)


async def test_what_arrives_before_the_request_is_no_answer() -> None:
    async def greet(_: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-canary\r\n")
        await reader.read()

    async with serving_with(greet) as wire, sender(wire.url) as s:
        with pytest.raises(errors.TransientError) as caught:
            await s.send(get())
    assert "canary" not in str(caught.value)


@given(st.text(), st.sampled_from(["", ":\n\n  ", "Bad status line:\n  Expected HTTP/"]), st.text())
def test_no_text_of_the_server_s_is_shown(before: str, between: str, after: str) -> None:
    """Whatever aiohttp's message is."""
    known = [reason for _, reason in CASES.values()]
    words = describe(before + between + after, MAX_HEADERS)
    assert any(words.endswith(each) for each in known) or words in {
        "it is malformed",
        "a bad Transfer-Encoding",
    }


def test_an_error_without_a_message_has_a_reason_too() -> None:
    assert str(map_error(aiohttp.ClientError())) == "the answer is not valid HTTP: it is malformed"
