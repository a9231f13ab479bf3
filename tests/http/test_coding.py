"""Content codings that nobody asked for are read if they can be, and named otherwise."""

import gzip
import sys
import zlib
from collections.abc import Callable

import brotli
import pytest
from aiohttp import compression_utils
from hypothesis import given
from hypothesis import strategies as st
from sending import get, loop_passes, sender
from wire import HANG, READ, Script, answer, scripted

from instantly_async import InstantlyClient, RetryPolicy, errors
from instantly_async._http import Response
from instantly_async._http.coding import Unpacker, unpack_at_once
from instantly_async.testing import lead_ids, lead_json

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BODY = b'{"id":"x","text":"%s"}' % (b"abc" * 99)


def raw_deflate(body: bytes) -> bytes:
    return zlib.compress(body)[2:-4]


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


async def ask(
    data: bytes, *codings: str, status: str = "200 OK", max_bytes: int = 9999
) -> Response:
    headers = [f"Content-Encoding: {coding}" for coding in codings]
    script: Script = [READ, answer(data, status, *headers)]
    async with scripted([script]) as wire, sender(wire.url) as s:
        return await s.send(get(max_bytes=max_bytes))


async def refused(data: bytes, *codings: str) -> errors.ProtocolError:
    with pytest.raises(errors.ProtocolError) as caught:
        await ask(data, *codings)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    return caught.value


@pytest.mark.parametrize(
    ("codings", "packed"),
    [
        (["gzip"], gzip.compress(BODY)),
        (["GZIP"], gzip.compress(BODY)),
        (["x-gzip"], gzip.compress(BODY)),
        (["X-Gzip "], gzip.compress(BODY)),
        (["gzip"], gzip.compress(BODY[:9]) + gzip.compress(BODY[9:])),
        (["deflate"], zlib.compress(BODY)),
        (["deflate"], raw_deflate(BODY)),
        (["x-deflate"], zlib.compress(BODY)),
        (["br"], brotli.compress(BODY)),
        (["zstd"], zstd.compress(BODY)),
        (["gzip, br"], brotli.compress(gzip.compress(BODY))),
        (["deflate", "identity, gzip"], gzip.compress(zlib.compress(BODY))),
        (["identity"], BODY),
        ([""], BODY),
        ([",, identity ,"], BODY),
        (["utf-8"], BODY),
        (["aws-chunked, gzip"], gzip.compress(BODY)),
        (["none"], b" \r\n" + BODY),
    ],
    ids=range(18),  # the packed bytes depend on the time
)
async def test_a_coding_that_can_be_read_is_read(codings: list[str], packed: bytes) -> None:
    response = await ask(packed, *codings)
    assert (response.status, response.body.strip()) == (200, BODY)


@pytest.mark.parametrize(
    ("coding", "said"),
    [
        ("br", 'content encoding "br"'),
        ("BR", 'content encoding "br"'),
        ("gzip, zstd", 'content encoding "zstd"'),
        ("compress", 'content encoding "compress"'),
        ("x-compress", 'content encoding "x-compress"'),
        ("lz4", 'content encoding "lz4"'),
        ("utf-8", 'content encoding "utf-8"'),
        ("sk-" + "secret" * 9, "has a content encoding, which"),
        ("caf\u00e9", "has a content encoding, which"),
        ('"', "has a content encoding, which"),
    ],
)
async def test_one_that_cannot_be_read_is_named(
    coding: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an answer all the same, so the error has the status."""
    monkeypatch.setattr(compression_utils, "HAS_BROTLI", False)
    monkeypatch.setattr(compression_utils, "HAS_ZSTD", False)
    error = await refused(b"\x1b\x08\x00packed", coding)
    assert said in str(error)
    assert error.status == 200
    library = {"br": "pip install 'Brotli", "zstd": "pip install backports.zstd"}
    for name, remedy in library.items():
        assert (remedy in str(error)) == (name in coding.lower())


async def test_a_status_counts_whatever_the_coding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression_utils, "HAS_BROTLI", False)
    for coding in ("br", "lz4", "gzip"):
        response = await ask(b"packed", coding, status="401 No")
        assert (response.status, response.body) == (401, b"")


@pytest.mark.parametrize("coding", PACK)
async def test_damaged_data_is_broken_http(coding: str) -> None:
    """It was damaged on its way, so it has no status."""
    error = await refused(b"\xff\xff\xffcanary", coding)
    assert str(error) == f"the answer is not valid {coding}"
    assert error.status is None


async def test_too_many_codings_are_refused() -> None:
    """Each multiplies what a few bytes unpack to."""
    error = await refused(b"", "gzip, gzip", "gzip, gzip")
    assert (str(error), error.status) == ("the answer has too many content encodings", 200)


@pytest.mark.parametrize("coding", [*PACK, "gzip, gzip", "gzip, br"])
async def test_no_bomb_passes_the_cap(coding: str) -> None:
    packed = bytes(30_000_000)
    for name in coding.split(", "):
        packed = PACK[name](packed)
    with pytest.raises(errors.DecodeError, match="larger than the cap of 9999 bytes"):
        await ask(packed, coding)


async def test_the_loop_runs_while_much_unpacks_to_nothing() -> None:
    """30 kB unpack to 30 MB of empty blocks (RFC 1951, 3.2.4), and these to nothing."""
    taken = []
    for blocks in (1, 6_000_000):
        header = gzip.compress(b"", mtime=0)[:10]
        packed = gzip.compress(header + b"\0\0\0\xff\xff" * blocks, 9)
        async with loop_passes() as passes:
            assert (await ask(packed, "gzip, gzip")).body == b""
        taken.append(len(passes))
    assert taken[1] - taken[0] >= 5


@pytest.mark.parametrize("coding", PACK)
async def test_a_body_in_small_parts_is_put_together(coding: str) -> None:
    packed = PACK[coding](BODY)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(packed)}\r\n\r\n"
    parts = [part for byte in packed for part in (bytes([byte]), 0)]
    script: Script = [READ, head.encode(), *parts, HANG]
    async with scripted([script]) as wire, sender(wire.url) as s:
        assert (await s.send(get())).body == BODY


@pytest.mark.parametrize("strategy", ["get", "list"])
async def test_a_lead_in_brotli_is_found(strategy: str) -> None:
    (lead_id,) = lead_ids(1)
    body = lead_json(lead_id) if strategy == "get" else b'{"items":[%s]}' % lead_json(lead_id)
    packed = answer(brotli.compress(body), "200 OK", "Content-Encoding: br")
    async with scripted([[READ, packed]]) as wire:
        retry = RetryPolicy(attempts=1)
        async with InstantlyClient("k", base_url=wire.url, retry=retry) as client:
            batch = await client.get_leads([lead_id], strategy=strategy)  # type: ignore[arg-type]
            assert [lead.id for lead in batch.leads] == [lead_id]


@given(
    st.binary(max_size=300),
    st.lists(st.sampled_from(sorted(PACK)), max_size=3),
    st.integers(1, 50),
)
def test_what_was_packed_is_unpacked(body: bytes, codings: list[str], size: int) -> None:
    packed = body
    for coding in codings:
        packed = PACK[coding](packed)
    unpacker = Unpacker([", ".join(codings)], 200)
    parts = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert b"".join(piece for part in parts for piece in unpacker.feed(part)) == body


@given(st.sampled_from(sorted(PACK)), st.binary(max_size=100))
def test_any_bytes_are_unpacked_or_refused(coding: str, data: bytes) -> None:
    try:
        size = sum(map(len, Unpacker([coding], 200).feed(data)))
    except errors.ProtocolError as error:
        assert str(error) == f"the answer is not valid {coding}"  # noqa: PT017 - either is right
    else:
        assert size >= 0


@given(st.binary(max_size=300), st.integers(0, 40))
def test_the_usual_coding_is_undone_at_once(body: bytes, cut: int) -> None:
    """What is cut, damaged, large, or in several parts, is left to ``Unpacker``."""
    packed = gzip.compress(body)
    assert unpack_at_once([], packed) == packed
    assert unpack_at_once(["gzip"], packed) == body
    assert unpack_at_once(["gzip"], packed[: len(packed) - 1 - cut]) is None
    assert unpack_at_once(["gzip"], packed + packed) is None
    assert unpack_at_once(["gzip"], b"x" + packed) is None
    assert unpack_at_once(["x-gzip"], packed) is None


def test_a_large_body_is_not_unpacked_at_once() -> None:
    assert unpack_at_once(["gzip"], gzip.compress(bytes(300_000))) is None
