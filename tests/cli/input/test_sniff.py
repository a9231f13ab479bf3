"""What is no list of ids is said in one sentence, by the first bytes."""

import gzip
import io
import json
import pickle
import sqlite3
import tarfile
import zipfile
from contextlib import closing
from itertools import chain
from pathlib import Path

import pytest
from commands import Command
from hypothesis import given
from hypothesis import strategies as st
from reading import read

from instantly_async.cli.exits import InputError
from instantly_async.cli.input import InputFormat
from instantly_async.cli.input.reader import MOST_HELD_BACK, IdReader
from instantly_async.cli.input.sniff import LEAST_BYTES
from instantly_async.cli.known import KnownIds
from instantly_async.cli.records import number_of
from instantly_async.testing import FakeInstantly, lead_ids

A, B, C = lead_ids(3)
IDS = f"{A}\r\n{B}\r\n"


def zipped() -> bytes:
    book = io.BytesIO()
    with zipfile.ZipFile(book, "w") as archive:
        archive.writestr("export.csv", f"id\n{A}\n" * 3)
    return book.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        entry = tarfile.TarInfo("export/ids.txt")
        entry.size = len(IDS)
        archive.addfile(entry, io.BytesIO(IDS.encode()))
    return file.getvalue()


def database() -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE leads (id TEXT)")
        return connection.serialize()


FILES = {
    "zip": (zipped(), "a ZIP archive, and no workbook; unpack it first"),
    "tar": (tarred(), "a tar archive; unpack it first (tar -xf)"),
    "an old zip": (b"PK\x03\x04\n\0" + b"x" * 30, "a ZIP archive"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "an empty ZIP archive"),
    "lz4": (b"\x04\x22\x4d\x18\x64\x40", "compressed with lz4; unpack it first (lz4 -dc)"),
    "gzip twice": (gzip.compress(gzip.compress(IDS.encode())), "compressed with gzip twice"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "a PDF document"),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a JPEG image"),
    "gif": (b"GIF89a\x01\0\x01\0", "a GIF image"),
    "webp": (b"RIFF\n\0\0\0WEBPVP8 ", "a WebP image"),
    "parquet": (b"PAR1\x15\x04\x15", "a Parquet file; export its ids"),
    "sqlite": (database(), "an SQLite database"),
    "avro": (b"Obj\x01\x04\x16avro.codec", "an Avro file"),
    "pickles": (pickle.dumps([A, B]), "a Python pickle"),
    "an old pickle": (pickle.dumps([A, B], 2), "a Python pickle"),
    "rtf": (b"{\\rtf1\\ansi " + A.encode() + b"}", "an RTF document"),
    "program": (b"\x7fELF\x02\x01\x01", "a program"),
    "html": (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "an HTML page"),
    "part of html": (b"\n <table class='x'>\n<tr>", "an HTML page"),
    "xml": (b'\xef\xbb\xbf<?xml version="1.0"?>\n<leads/>', "XML"),
    "xml without declaration": (b"<leads>\n<lead id='1'/></leads>", "XML"),
}
JSON: list[tuple[str, InputFormat]] = [
    (json.dumps([A, B]), "text"),
    (json.dumps([{"id": A}], indent=1), "csv"),
    ("[]\n", "tsv"),
    (f'{{"id": "{A}"}}\n', "text"),
    (f'{{\n "id": "{A}"\n}}\n', "csv"),
    ("{}", "csv"),
]


@pytest.mark.parametrize(("data", "sentence"), FILES.values(), ids=FILES)
@pytest.mark.parametrize("form", ["text", "csv", "jsonl"])
@pytest.mark.parametrize("size", [1, 1 << 16])
def test_each_kind_of_file_is_named(
    data: bytes, sentence: str, form: InputFormat, size: int
) -> None:
    """Whatever the format, and wherever a chunk of a pipe ends."""
    with pytest.raises(InputError) as caught:
        read(data, form, size=size)
    assert str(caught.value).startswith("in is ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("text", "form"), JSON)
def test_json_that_the_format_does_not_read(text: str, form: InputFormat) -> None:
    with pytest.raises(InputError, match=r"^in begins like JSON; add --input-format json\.$"):
        read(text, form)


def test_a_workbook_or_text_that_the_format_does_not_read() -> None:
    with pytest.raises(InputError, match="in is a workbook; leave out --input-format"):
        read(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "csv")
    with pytest.raises(InputError, match="in is not a workbook; leave out --input-format"):
        read(A, "excel")


@pytest.mark.parametrize(
    "text",
    [
        "ids, one per line",
        "paid,x",
        "# id,name",
        f"%{A}",
        f"{A[:8]}",
        "PK",
        "BZh",
        "GIF",
        "{",
    ],
)
def test_a_line_that_only_resembles_a_kind_is_an_id(text: str) -> None:
    """It is invalid, and named with its line."""
    is_comment = text.startswith("#")
    if text != "{":
        assert read(f"{text}\n{B}\n") == [*[(text, 1)][is_comment:], (B, 2)]
    assert read(f"{B}\n{text}\n") == [(B, 1), (text, 2)][: 2 - is_comment]


@given(st.binary(max_size=3 * LEAST_BYTES), st.integers(1, 20))
def test_any_bytes_are_read_or_refused_alike(data: bytes, size: int) -> None:
    """Law: it does not matter how a pipe divides them."""

    def result(size: int) -> object:
        try:
            return read(data, size=size)
        except InputError as error:
            return str(error)

    assert result(size) == result(1000)


def test_a_first_line_is_not_held_up() -> None:
    """Whoever writes it into a pipe sees its lead before writing the next one."""
    reader = IdReader("text", "in")
    assert list(reader.feed(f"{A}\n".encode())) == [A]
    assert list(reader.feed(B.encode())) == []
    assert list(reader.feed(b"\n")) == [B]


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_nul_bytes_are_named_with_their_place(size: int) -> None:
    """Such as those at the end of a file that was not written completely."""
    for before, line in ((f"{A}\n", 2), (f"{A}\r\n{B}\r\n", 3), (f"{A}\r", 2), (A, 1), ("", 1)):
        data = before.encode() + bytes(100)
        with pytest.raises(
            InputError, match=f"Line {line} of in has a NUL byte .at offset"
        ) as caught:
            read(data, size=size)
        assert f"(at offset {len(before)})" in str(caught.value)
    reader = IdReader("text", "in")
    assert list(reader.feed(f"{A}\n{B}\n".encode())) == [A, B]
    with pytest.raises(InputError, match="Line 3"):
        list(reader.feed(b"\0"))


# --- nothing but invalid ids -----------------------------------------------------------------


def test_emails_are_no_ids() -> None:
    text = "ada@example.com\nGrace <grace@example.com>\n"
    cases: list[tuple[str, InputFormat, str | None]] = [
        (text, "text", None),
        (f"email\n{text}", "csv", "email"),
        ("ada@example.com", "text", None),
    ]
    for data, form, column in cases:
        with pytest.raises(
            InputError, match=r"holds emails and no lead ids, which are UUIDs; add --by email"
        ):
            read(data, form, column)
    assert len(read(f"{text}{A}\n")) == 3


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (["ada@example.com"] * 20_000, "The first 50 entries of in are emails and no lead ids"),
        (["email", "ada@example.com"], "in holds emails and no lead ids"),
        ([f"*{A}*", f"{B}!"], "in holds UUIDs with other characters around them and"),
        ([f"https://app.example/leads/{A}"], "in holds web addresses and"),
        (["4711", "+1 (202) 555-0125", "1.5"], "in holds numbers and no lead ids"),
        (["name,city", "Ada,Rome"], "in holds rows of a table and"),
        (['"id": 1,', '"name": "x"', "}"], "in holds JSON and no lead ids"),
        (["x"], "No entry of in is a lead id, which is a UUID; check the file"),
        ([f"line {n}" for n in range(MOST_HELD_BACK)], "None of the first 50 entries of in is a"),
    ],
)
def test_entries_of_which_none_is_an_id_are_named_by_their_looks(
    entries: list[str], said: str
) -> None:
    """One sentence, which never has the text itself."""
    with pytest.raises(InputError) as caught:
        read("\n".join(entries), size=1 << 16)
    assert str(caught.value).startswith(said)
    assert not any(entry in str(caught.value) for entry in entries if len(entry) > 5)
    many = [*entries[: MOST_HELD_BACK - 1], A, *entries]
    assert len(read("\n".join(many), size=1 << 16)) == len(many)


def test_values_that_are_empty() -> None:
    with pytest.raises(InputError, match=r"holds empty values and no lead ids.*--column"):
        read("id,name\n,x\n,y\n", "csv")


def test_entries_that_an_earlier_run_has_recorded_are_no_ids_either() -> None:
    """They are skipped, so they are not held back; the input is refused nevertheless."""
    known = KnownIds()
    known.add_invalid("x")
    reader = IdReader("text", "in", None, known)
    with pytest.raises(InputError, match="No entry of in is a lead id"):
        list(chain(reader.feed(b"x\n"), reader.finish()))
    assert reader.done == 1


def test_ids_that_are_skipped_count_as_valid() -> None:
    """A run that is resumed, to which lines were added that are no ids."""
    known = KnownIds()
    number = number_of(A)
    assert number is not None
    known.add_done(number)
    for last in ("ada@example.com", "x\n" * MOST_HELD_BACK):
        reader = IdReader("text", "in", None, known)
        ids = [*reader.feed(f"x@y\n{A}\n{last}".encode()), *reader.finish()]
        assert len(ids) == 1 + (last.count("x\n") or 1)
        assert reader.done == 1


# --- the command -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gzip twice", "zip", "pdf", "html"])
def test_the_command_says_it_before_any_request(
    command: Command, tmp_path: Path, fake_instantly: FakeInstantly, kind: str
) -> None:
    """From a file and from a pipe, with --dry-run and without: one sentence, exit 2."""
    data, sentence = FILES[kind]
    path = tmp_path / "ids.csv"
    path.write_bytes(data)
    for options in ([], ["--dry-run"]):
        result = command("fetch", path, "--quiet", *options)
        assert (result.code, result.out) == (2, b"")
        assert result.err.startswith(f"{path} is ")
        assert sentence in result.err
        assert result.err.count("\n") == 1
        piped = command("fetch", "--quiet", *options, stdin=data)
        assert piped == (2, b"", result.err.replace(str(path), "stdin"))
    assert not fake_instantly.requests


@pytest.mark.parametrize(
    ("name", "text"),
    [("ids", "\n# none\n"), ("ids.csv", ""), ("ids.csv", "id,name\n"), ("ids.jsonl", "\n")],
)
def test_an_empty_input_is_refused_unless_it_is_allowed(
    command: Command, tmp_path: Path, name: str, text: str
) -> None:
    """In each format, from a file and from a pipe, with --dry-run, and with --quiet."""
    path, output = tmp_path / name, tmp_path / "out.jsonl"
    path.write_text(text)
    form = {"ids.csv": "csv", "ids.jsonl": "jsonl"}.get(name, "text")
    for options in (["-o", output], ["--dry-run"], ["--quiet"]):
        for source, shown in ((path, path), ("-", "stdin")):
            said = f"There are no ids in {shown}"
            refused = f"{said}; check it, or add --allow-empty if a job may have nothing to do.\n"
            arguments = ["fetch", source, "--input-format", form, *options]
            assert command(*arguments, stdin=text.encode()) == (2, b"", refused)
            assert not output.exists()
            result = command(*arguments, "--allow-empty", stdin=text.encode())
            assert result.code == 0
            assert result.err.count(f"{said}.\n") == ("--quiet" not in options)
            output.unlink(missing_ok=True)


def test_an_input_that_is_done_is_not_empty(command: Command, tmp_path: Path) -> None:
    path, output = tmp_path / "ids", tmp_path / "out.jsonl"
    path.write_text(f"{A}\n" * 2)
    assert command("fetch", path, "-o", output).code == 0
    assert command("fetch", path, "-o", output, "--resume").code == 0
    assert command("fetch", "-o", output, "--resume", stdin=path.read_bytes()).code == 0
