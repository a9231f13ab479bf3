"""Compressed files that ``convert`` writes and reads; damage is a sentence, never fewer leads."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import IDS, Command
from hypothesis import given
from hypothesis import strategies as st

from instantly_async.cli.convert.packing import Source, packed
from instantly_async.cli.system import COMPRESSIONS, Compression, DamageError
from instantly_async.testing import lead_json

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LINES = b"".join(lead_json(each) + b"\n" for each in IDS)

DECOMPRESS = {
    "gzip": gzip.decompress,
    "bzip2": bz2.decompress,
    "xz": lzma.decompress,
    "zstd": zstd.decompress,
}

each_compression = pytest.mark.parametrize("compression", COMPRESSIONS, ids=lambda each: each.name)


def pack(compression: Compression, data: bytes) -> bytes:
    file = io.BytesIO()
    with packed(file, compression) as wrapped:
        wrapped.write(data)
    return file.getvalue()


def unpack(compression: Compression, data: bytes) -> bytes:
    return DECOMPRESS[compression.name](data)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "leads.jsonl"
    path.write_bytes(LINES)
    return path


def others_than(*known: Path) -> list[Path]:
    return [path for path in known[0].parent.iterdir() if path not in known]


# --- what is written ------------------------------------------------------------------------


@each_compression
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_the_end_of_the_name_compresses(
    command: Command, journal: Path, form: str, compression: Compression
) -> None:
    """The content is that of the plain file; the bytes are the same each time, for their owner."""
    plain, output = journal.with_name(f"out.{form}"), journal.with_name(f"out.{form}")
    output = output.with_name(output.name + compression.suffix)
    assert command("convert", journal, plain, "--quiet") == (0, b"", "")
    for force in [(), ("--force",)]:
        result = command("convert", journal, output, *force)
        size = f"{output.stat().st_size / 1000:.1f} kB"
        assert result == (0, b"", f"Wrote 6 leads to {output} ({size}).\n")
        assert unpack(compression, output.read_bytes()) == plain.read_bytes()
    assert output.read_bytes() == pack(compression, plain.read_bytes())
    assert output.stat().st_mode & 0o777 == 0o600
    assert others_than(journal, plain, output) == []


@pytest.mark.parametrize(
    ("name", "form", "is_packed"),
    [
        ("leads.gz", "jsonl", True),
        ("leads.dat.GZ", "csv", True),
        ("leads.parquet.gz", "csv", True),
        ("leads.gz.dat", "csv", False),
    ],
)
def test_with_a_format_the_name_still_decides_the_compression(
    command: Command, journal: Path, name: str, form: str, *, is_packed: bool
) -> None:
    output = journal.with_name(name)
    assert command("convert", journal, output, "--format", form, "--quiet") == (0, b"", "")
    assert output.read_bytes().startswith(b"\x1f\x8b") == is_packed


def test_without_zstd_one_sentence(
    command: Command, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To write it, and to read it."""
    source = journal.with_name("leads.jsonl.zst")
    source.write_bytes(pack(COMPRESSIONS[-1], LINES))
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    for leads, output in [(journal, "out.csv.zst"), (source, "out.csv")]:
        result = command("convert", leads, journal.with_name(output))
        assert (result.code, result.out, result.err.count("\n")) == (2, b"", 1)
        assert "pip install 'instantly-async[zstd]'" in result.err
    assert others_than(journal, source) == []


def test_a_file_is_not_converted_into_itself(command: Command, journal: Path) -> None:
    source = journal.rename(journal.with_name("leads.jsonl.gz"))
    source.write_bytes(pack(COMPRESSIONS[0], LINES))
    before = source.read_bytes()
    result = command("convert", source, source, "--force")
    assert result == (2, b"", f"{source} is the file with the leads; choose another name.\n")
    assert source.read_bytes() == before


# --- a byte order mark ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz"])
def test_a_byte_order_mark_for_excel(command: Command, journal: Path, name: str) -> None:
    """It is in front of the same CSV, where Python skips it, and so does a ``fetch``."""
    lead = {"id": IDS[0], "first_name": "Jürgen"}
    journal.write_text(json.dumps(lead) + "\n")
    output, plain = journal.with_name(name), journal.with_name("plain.csv")
    assert command("convert", journal, output, "--csv-bom", "--quiet") == (0, b"", "")
    assert command("convert", journal, plain, "--quiet") == (0, b"", "")
    data = output.read_bytes()
    data = unpack(COMPRESSIONS[0], data) if name.endswith(".gz") else data
    assert data == b"\xef\xbb\xbf" + plain.read_bytes()
    (row,) = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    assert (row["id"], row["first_name"]) == (IDS[0], "Jürgen")
    assert command("fetch", output, "--quiet").found == [IDS[0]]


# --- what is read ---------------------------------------------------------------------------


@each_compression
@pytest.mark.parametrize("piped", [True, False])
def test_a_compressed_journal_is_read(
    command: Command, journal: Path, compression: Compression, *, piped: bool
) -> None:
    """Whatever its name is: its first bytes decide."""
    output = journal.with_name("out.jsonl")
    journal.write_bytes(data := pack(compression, LINES))
    source, stdin = ("-", data) if piped else (journal, None)
    assert command("convert", source, output, "--quiet", stdin=stdin) == (0, b"", "")
    assert output.read_bytes() == LINES


@each_compression
def test_a_compressed_file_can_be_read_twice_but_not_a_pipe(
    command: Command, journal: Path, compression: Compression
) -> None:
    plain, output = journal.with_name("plain.csv"), journal.with_name("out.csv")
    fields = ("--fields", "id,payload.*", "--quiet")
    assert command("convert", journal, plain, *fields) == (0, b"", "")
    journal.write_bytes(data := pack(compression, LINES))
    assert command("convert", journal, output, *fields) == (0, b"", "")
    assert output.read_bytes() == plain.read_bytes()
    refused = command("convert", "-", output, *fields, "--force", stdin=data)
    assert (refused.code, "payload.* has to read the leads twice" in refused.err) == (2, True)


class Pipe(io.BytesIO):
    """A pipe: cannot be read twice, and returns few bytes at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def seekable(self) -> bool:
        return False

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(min(self._most, size or 0))


@given(
    parts=st.lists(st.tuples(st.sampled_from(COMPRESSIONS), st.binary(max_size=200)), max_size=3),
    plain=st.binary(max_size=30),
    padding=st.integers(0, 9),
    most=st.integers(1, 50),
)
def test_streams_behind_each_other_are_all_read(
    parts: list[tuple[Any, bytes]], plain: bytes, padding: int, most: int
) -> None:
    """As ``cat a.gz b.gz`` makes them, with zeros behind each; or a file that is not compressed."""
    data, content = b"A" + plain, b"A" + plain
    if parts:
        kind, content = parts[0][0], b"".join(part for _, part in parts)
        data = b"".join(pack(kind, part) + bytes(padding) for _, part in parts)
    file = io.BytesIO(b"skipped" + data)
    file.seek(7)
    for source in (Source(file, "leads"), Source(Pipe(data, most), "leads")):
        assert source.open().read() == content
        assert source.content == ("the unpacked leads" if parts else "leads")
        assert not source.can_be_read_twice or source.open().read() == content


# --- damage ---------------------------------------------------------------------------------


@each_compression
@pytest.mark.parametrize("piped", [True, False])
def test_a_file_that_ends_too_early(
    command: Command, journal: Path, compression: Compression, *, piped: bool
) -> None:
    """The sentence says after how many lines; nothing is created, not even if all are there."""
    lines = [b'{"id":"%b"}\n' % os.urandom(2500).hex().encode() for _ in range(9)]
    data = pack(compression, b"".join(lines))
    output = journal.with_name("out.csv")
    counts = []
    for size in (len(data) // 2, len(data) - 3):
        journal.write_bytes(data[:size])
        source, stdin, name = ("-", data[:size], "stdin") if piped else (journal, None, journal)
        result = command("convert", source, output, stdin=stdin)
        before, _, after = result.err.partition(" ends too early, after ")
        assert (result.code, result.out) == (2, b"")
        assert before == f"{name} is cut off: its {compression.name} data"
        count, _, rest = after.partition(" lines; ")
        assert rest == "copy or download it again.\n"
        counts.append(int(count))
        assert others_than(journal) == []
    assert counts == ([4, 9] if compression.name in {"gzip", "xz"} else [0, 9])


@each_compression
def test_each_shorter_file_is_noticed(compression: Compression) -> None:
    data = pack(compression, LINES)
    for size in range(len(data)):
        source = Source(io.BytesIO(data[:size]), f"a{compression.suffix}")
        if source.content == source.name:  # too short to be known: there is no line end
            assert 0 < size < 10
            assert b"\n" not in source.open().read()
            continue
        with pytest.raises(DamageError, match=rf"^is cut off: its {compression.name} data ends"):
            source.open().read()


@each_compression
@given(where=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_no_damage_goes_unnoticed(compression: Compression, where: float, bits: int) -> None:
    """Each changed byte is noticed, unless the content is still the same."""
    data = bytearray(pack(compression, LINES))
    data[int(where * len(data))] ^= bits
    source = Source(io.BytesIO(data), "leads")
    try:
        content = source.open().read()
    except DamageError:
        return
    assert content in {LINES, bytes(data)}


@each_compression
def test_damage_is_one_sentence(command: Command, journal: Path, compression: Compression) -> None:
    """Also for lines that somebody has added without compression: they must not be left out."""
    journal.write_bytes(pack(compression, LINES) + LINES)
    result = command("convert", journal, journal.with_name("out.parquet"))
    sentence = f"{journal} is damaged: its {compression.name} data is not valid, after 6 lines"
    assert result == (2, b"", f"{sentence}; copy or download it again.\n")
    assert others_than(journal) == []


def test_a_line_that_is_no_lead_is_named_in_the_unpacked_file(
    command: Command, journal: Path
) -> None:
    """So is what was compressed twice."""
    output = journal.with_name("out.csv")
    kind = COMPRESSIONS[0]
    journal.write_bytes(pack(kind, b'{"id":"a"}\n{]\n'))
    place = f"Line 2 of the unpacked {journal} (from byte 11)"
    sentence = f"{place} is not a lead; fix or remove it.\n"
    assert command("convert", journal, output) == (2, b"", sentence)
    journal.write_bytes(pack(kind, pack(kind, b"")))
    result = command("convert", journal, output)
    assert (result.code, result.err.startswith("Line 1 of the unpacked")) == (2, True)
    assert others_than(journal) == []
