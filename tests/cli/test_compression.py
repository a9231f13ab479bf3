"""Each compression is known by its name and its first bytes; what it writes it reads again."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instantly_async.cli.exits import CommandError
from instantly_async.cli.system import (
    COMPRESSIONS,
    Compression,
    compression_of,
    compression_of_name,
)

each_compression = pytest.mark.parametrize("compression", COMPRESSIONS, ids=lambda each: each.name)


def packed(compression: Compression, data: bytes) -> bytes:
    file = io.BytesIO()
    with compression.load().wrap_to_write(file) as wrapped:
        wrapped.write(data)
    return file.getvalue()


@each_compression
@given(data=st.binary(max_size=300), size=st.integers(1, 50), most=st.integers(1, 50))
def test_what_is_written_can_be_read(
    compression: Compression, data: bytes, size: int, most: int
) -> None:
    """In pieces of any size, whose output is limited."""
    written = packed(compression, data)
    assert compression_of(written) is compression
    codec = compression.load()
    decompressor, pieces, rest = codec.decompressor(), [], written + b"more"
    while not decompressor.eof:
        chunk = rest[:size] if decompressor.needs_input else b""
        rest = rest[len(chunk) :]
        pieces.append(decompressor.decompress(chunk, most))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= most
    assert decompressor.unused_data + rest == b"more"


@each_compression
def test_equal_content_gives_equal_bytes(
    compression: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    first = packed(compression, b"leads")
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert packed(compression, b"leads") == first


@each_compression
def test_damage_raises_one_of_the_errors(compression: Compression) -> None:
    written = packed(compression, b"leads" * 100)
    codec = compression.load()
    damaged = written[:9] + b"\xa5" * 200
    with pytest.raises(codec.errors):
        codec.decompressor().decompress(damaged)


def test_names_and_first_bytes() -> None:
    assert [compression_of_name(f"A.CSV{each.suffix.upper()}") for each in COMPRESSIONS] == [
        *COMPRESSIONS
    ]
    assert compression_of_name("gz") is compression_of_name("a.gzip") is None
    assert compression_of(b"BZh is a name") is compression_of(b"") is None


def test_without_zstd_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    with pytest.raises(CommandError, match=r"zstd needs Python 3\.14 or the extra \"zstd\": pip"):
        COMPRESSIONS[-1].load()
