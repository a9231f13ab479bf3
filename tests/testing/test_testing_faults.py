"""Each fault as a client without any library sees it."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from instantly_async.testing import FakeInstantly, Fault, lead_ids, lead_json

(LEAD_ID,) = lead_ids(1)
LEAD = lead_json(LEAD_ID)


@pytest.fixture
async def fake() -> AsyncIterator[FakeInstantly]:
    async with FakeInstantly() as running:
        yield running


async def open_request(
    fake: FakeInstantly,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = fake.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET /api/v2/leads/{LEAD_ID} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tests/1\r\n"
        f"Authorization: Bearer {fake.api_key}\r\nConnection: close\r\n\r\n".encode()
    )
    return reader, writer


async def receive(fake: FakeInstantly, *faults: Fault) -> bytes:
    """Return all that one request gets, up to FIN."""
    fake.script(LEAD_ID, *faults)
    reader, writer = await open_request(fake)
    try:
        return await reader.read()
    finally:
        writer.close()


def split(answer: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    return first, dict(line.lower().split(b": ", 1) for line in lines), body


async def test_no_fault(fake: FakeInstantly) -> None:
    first, headers, body = split(await receive(fake))
    assert first == b"HTTP/1.1 200 OK"
    assert headers[b"content-type"] == b"application/json; charset=utf-8"
    assert headers[b"content-length"] == b"%d" % len(LEAD)
    assert body == LEAD


async def test_status_with_the_api_error(fake: FakeInstantly) -> None:
    first, _, body = split(await receive(fake, Fault.status(503)))
    assert first == b"HTTP/1.1 503 Service Unavailable"
    expected = {"statusCode": 503, "error": "Service Unavailable", "message": "Scripted fault"}
    assert msgspec.json.decode(body) == expected


async def test_status_with_body_and_headers(fake: FakeInstantly) -> None:
    """The CDN's own statuses have no phrase and come with HTML."""
    fault = Fault.status(522, b"<html>", {"content-type": "text/html", "CF-Ray": "abc"})
    first, headers, body = split(await receive(fake, fault))
    assert first.rstrip() == b"HTTP/1.1 522"
    assert (headers[b"content-type"], headers[b"cf-ray"]) == (b"text/html", b"abc")
    assert body == b"<html>"


async def test_throttle(fake: FakeInstantly) -> None:
    first, headers, _ = split(await receive(fake, Fault.throttle(7)))
    assert first == b"HTTP/1.1 429 Too Many Requests"
    assert headers[b"retry-after"] == b"7"


async def test_redirect(fake: FakeInstantly) -> None:
    first, headers, _ = split(await receive(fake, Fault.redirect("file:///etc/x", 307)))
    assert first == b"HTTP/1.1 307 Temporary Redirect"
    assert headers[b"location"] == b"file:///etc/x"


async def test_body(fake: FakeInstantly) -> None:
    first, headers, body = split(await receive(fake, Fault.body(b"\xff", "text/html")))
    assert first == b"HTTP/1.1 200 OK"
    assert (headers[b"content-type"], body) == (b"text/html", b"\xff")


async def test_patch(fake: FakeInstantly) -> None:
    _, _, body = split(await receive(fake, Fault.patch(esp_code="new", extra=[1])))
    assert msgspec.json.decode(body) == {
        **msgspec.json.decode(LEAD),
        "esp_code": "new",
        "extra": [1],
    }


async def test_wrong_id(fake: FakeInstantly) -> None:
    _, _, body = split(await receive(fake, Fault.wrong_id()))
    lead = msgspec.json.decode(body)
    assert lead.pop("id") != LEAD_ID
    assert lead.items() <= msgspec.json.decode(LEAD).items()


async def test_close(fake: FakeInstantly) -> None:
    assert await receive(fake, Fault.close()) == b""
    assert fake.requests[0].status == 0


async def test_reset(fake: FakeInstantly) -> None:
    with pytest.raises(ConnectionResetError):
        await receive(fake, Fault.reset())
    assert fake.requests[0].status == 0


async def test_raw(fake: FakeInstantly) -> None:
    assert await receive(fake, Fault.raw(b"HTTP/9 what\r\n")) == b"HTTP/9 what\r\n"
    assert fake.requests[0].status == 0


async def test_truncate_breaks_the_content_length(fake: FakeInstantly) -> None:
    first, headers, body = split(await receive(fake, Fault.truncate()))
    assert first == b"HTTP/1.1 200 OK"
    assert int(headers[b"content-length"]) > len(body)
    assert body == LEAD[: len(LEAD) // 2]


async def test_truncate_by_reset(fake: FakeInstantly) -> None:
    """The header arrives, then the connection is gone."""
    fake.script(LEAD_ID, Fault.truncate(reset=True))
    reader, writer = await open_request(fake)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_truncate_in_chunks(fake: FakeInstantly) -> None:
    """A whole chunk, and never the last one."""
    _, headers, body = split(await receive(fake, Fault.truncate("chunked")))
    assert headers[b"transfer-encoding"] == b"chunked"
    half = LEAD[: len(LEAD) // 2]
    assert body == b"%x\r\n%b\r\n" % (len(half), half)


async def test_truncate_of_nothing_is_still_cut(fake: FakeInstantly) -> None:
    fake.unknown = lambda _: True
    empty = Fault(name="cut nothing", answer=Fault.status(599, b"").answer)
    for framing, expected in (("length", b"content-length: 1"), ("chunked", b"chunked")):
        truncate = Fault.truncate("chunked" if framing == "chunked" else "length")
        fault = msgspec.structs.replace(empty, delivery=truncate.delivery)
        answer = await receive(fake, fault)
        assert answer.startswith(b"HTTP/1.1 599 Unknown\r\n")
        assert expected in answer.lower()
        assert answer.endswith(b"\r\n\r\n")


async def test_truncate_without_any_framing(fake: FakeInstantly) -> None:
    """Nothing but the JSON itself shows that half is missing."""
    _, headers, body = split(await receive(fake, Fault.truncate("none")))
    assert headers.keys() == {b"content-type", b"connection"}
    assert body == LEAD[: len(LEAD) // 2]


async def test_stall_before_the_header(fake: FakeInstantly) -> None:
    """Logged when it arrives; then silent until the fake stops, not for the whole hour."""
    fake.script(LEAD_ID, Fault.stall(3600))
    reader, writer = await open_request(fake)
    while not fake.requests:
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.02)
    writer.close()


async def test_stall_that_ends(fake: FakeInstantly) -> None:
    assert split(await receive(fake, Fault.stall(0.01)))[2] == LEAD


async def test_stall_in_the_body(fake: FakeInstantly) -> None:
    fake.script(LEAD_ID, Fault.stall(3600, in_body=True))
    reader, writer = await open_request(fake)
    await reader.readuntil(b"\r\n\r\n")
    half = LEAD[: len(LEAD) // 2]
    assert await reader.readexactly(len(half)) == half
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.02)
    writer.close()


async def test_stall_in_the_body_that_ends(fake: FakeInstantly) -> None:
    assert split(await receive(fake, Fault.stall(0.01, in_body=True)))[2] == LEAD


async def test_afterwards_the_lead_is_as_before(fake: FakeInstantly) -> None:
    await receive(fake, Fault.close())
    assert split(await receive(fake))[2] == LEAD


def test_faults_are_values() -> None:
    assert Fault.status(500) == Fault.status(500)
    assert Fault.status(500) != Fault.status(502)
    assert hash(Fault.stall(1)) == hash(Fault.stall(1))
    with pytest.raises(AttributeError):
        Fault.reset().name = "x"  # type: ignore[misc]
