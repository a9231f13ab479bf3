"""Inputs as people have them, through the command: samples, pipes, dry runs, resumed runs."""

import asyncio
import gzip
import json
import os
import re
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import MODULE, Command, ids_in
from inputs import COMPRESS, SAMPLES, book

from instantly_async.cli.input import FileOfIds
from instantly_async.cli.input.reader import IdReader
from instantly_async.testing import FakeInstantly, Fault, lead_ids

A, B, C, D = lead_ids(4)
FIVE = [f"019a3f62-5400-7abc-8def-{number:012}" for number in range(1, 6)]

UNDERSTOOD = {
    "LeadID.csv": "CSV, delimiter comma; UTF-8; Lead ID",
    "array.json": "JSON document; UTF-8",
    "braces.txt": "text; UTF-8",
    "concatbom.txt": "text; UTF-8",
    "ids.txt.gz": "text; gzip; UTF-8",
    "latin1.csv": "CSV, delimiter comma; UTF-8, but 5 lines in Windows-1252; id",
    "leads.ods": 'workbook, sheet "Leads"; Lead ID',
    "leads.xls": 'workbook, sheet "Leads"; Lead ID',
    "nbsp.txt": "text; UTF-8",
    "nohyphen.txt": "text; UTF-8",
    "quoted.txt": "text; UTF-8",
    "sep.csv": "CSV, delimiter semicolon; UTF-8; id",
    "u16.csv": "CSV, delimiter tab; UTF-16; id",
    "webhook.jsonl": "JSON Lines; UTF-8; lead_id",
}


def test_each_sample_is_run() -> None:
    assert {each.name for each in SAMPLES.iterdir()} == {*UNDERSTOOD, "encrypted.xlsx"}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_samples(command: Command, fake_instantly: FakeInstantly, name: str) -> None:
    """Five leads from the file, and from a pipe, which has no name."""
    for arguments, stdin in (([SAMPLES / name], None), ([], (SAMPLES / name).read_bytes())):
        done = command("fetch", *arguments, "--quiet", stdin=stdin)
        assert (done.code, done.found, done.err) == (0, FIVE, "")


@pytest.mark.parametrize(("name", "understood"), UNDERSTOOD.items())
def test_a_dry_run_says_how_it_is_read(
    command: Command, fake_instantly: FakeInstantly, name: str, understood: str
) -> None:
    done = command("fetch", SAMPLES / name, "--dry-run")
    said = dict(re.split(" {2,}", line, maxsplit=1) for line in done.out.decode().splitlines())
    names = ("format", "compression", "encoding", "column")
    assert "; ".join(said[each] for each in names if each in said) == understood
    assert (said["first id"], said["ids read"], said["invalid"]) == (FIVE[0], "5", "0")
    assert not fake_instantly.requests


@pytest.mark.parametrize("name", ["leads.csv", "leads.json", "leads.xlsx"])
@pytest.mark.parametrize("suffix", ["", *COMPRESS])
def test_anything_may_come_through_a_pipe(
    command: Command, fake_instantly: FakeInstantly, name: str, suffix: str
) -> None:
    data = {
        "leads.csv": f"name;Lead ID\nx;{A}\ny;{{{B.upper()}}}\n".encode(),
        "leads.json": json.dumps({"n": 2, "items": [{"id": A}, {"id": B}]}).encode(),
        "leads.xlsx": book([["name", "Lead ID"], [1, A], [2, B]]),
    }[name]
    data = COMPRESS[suffix](data) if suffix else data
    done = command("fetch", "--quiet", stdin=data)
    assert (done.code, done.found, done.err) == (0, [A, B], "")


def test_the_options_name_column_and_format(
    command: Command, fake_instantly: FakeInstantly, tmp_path: Path
) -> None:
    path = tmp_path / "export"
    path.write_text(f"id;ref\n{A};{B}\n")
    for options in (["--column", "ref"], ["--column", "2", "--input-format", "csv"]):
        assert command("fetch", path, "--quiet", *options).found == [B]
    path.write_text(f'"{A}"\n"{B}"\n')
    for form in ("jsonl", "json", "text"):
        assert command("fetch", path, "--quiet", "--input-format", form).found == [A, B]
    refused = command("fetch", path, "--quiet", "--input-format", "text", "--column", "id")
    assert refused.code == 2
    assert "--column is for tables and JSON" in refused.err


def test_ids_are_the_same_in_every_spelling(
    command: Command, fake_instantly: FakeInstantly, tmp_path: Path
) -> None:
    """A resumed run skips those that are done; duplicates are counted; errors have one spelling."""
    fake_instantly.script(C, *[Fault.status(404)] * 2)
    output = tmp_path / "out.jsonl"
    first = tmp_path / "first.txt"
    first.write_text(f"{A.upper()}\n{{{B}}}\n{A.replace('-', '')}\nurn:uuid:{C.upper()}\n")
    done = command("fetch", first, "-o", output)
    assert done.code == 3
    assert re.search(r"^duplicates +1\b", done.err, re.MULTILINE)
    assert ids_in(output.read_bytes()) == [A, B]
    recorded = json.loads(Path(f"{output}.errors.jsonl").read_bytes())
    assert recorded["id"] == C

    again = tmp_path / "again.csv"
    again.write_text(f'Lead ID,n\n{A},1\n\'{B.upper()}\',2\n"=""{C}""",3\n{{{D}}},4\n')
    sent = len(fake_instantly.requests)
    done = command("fetch", again, "-o", output, "--resume")
    assert re.search(r"^found +3 \(1 now\)$", done.err, re.MULTILINE)
    assert re.search(r"^not found +1 \(0 now\)$", done.err, re.MULTILINE)
    assert ids_in(output.read_bytes()) == [A, B, D]
    assert len(fake_instantly.requests) == sent + 1


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.errors.jsonl"])
def test_what_a_run_has_written_is_an_input(
    command: Command, fake_instantly: FakeInstantly, tmp_path: Path, name: str
) -> None:
    fake_instantly.script(B, Fault.status(404))
    ids = tmp_path / "ids"
    ids.write_text(f"{A}\n{B}\n{C}\n")
    assert command("fetch", ids, "-o", tmp_path / "out.jsonl").code == 3
    done = command("fetch", tmp_path / name, "--quiet")
    assert (done.code, done.found) == (0, [B] if "errors" in name else [A, C])


# --- slow pipes ------------------------------------------------------------------------------


def gzip_pieces(*texts: str) -> Iterator[bytes]:
    """Compress each text so that it can be read at once, as ``zlib`` calls a flush."""
    stream = zlib.compressobj(wbits=31)
    for text in texts:
        yield stream.compress(text.encode()) + stream.flush(zlib.Z_SYNC_FLUSH)
    yield stream.flush()


def plain_pieces(*texts: str) -> Iterator[bytes]:
    yield from (text.encode() for text in texts)


PIECES = {
    "text": list(plain_pieces(f"{A}\n", f"{B}\n")),
    "CSV": list(plain_pieces(f"n,id\nx,{A}\n", f"y,{B}\n")),
    "JSON Lines": list(plain_pieces(f'{{"id": "{A}"}}\n', f'{{"id": "{B}"}}\n')),
    "a document": list(plain_pieces(f'[\n"{A}",\n', f'"{B}"]\n')),
    "gzip": list(gzip_pieces(f"{A}\n", f"{B}\n")),
}


@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
async def test_an_id_is_yielded_before_the_next_one_is_written(pieces: list[bytes]) -> None:
    """Byte by byte, through a pipe."""
    reader, writer = os.pipe()
    with FileOfIds(reader, lambda: IdReader(None, "in"), "in") as source:
        ids = source.ids()

        async def write(data: bytes) -> None:
            for at in range(len(data)):
                os.write(writer, data[at : at + 1])
                await asyncio.sleep(0)

        for piece, expected in zip(pieces[:2], (A, B), strict=True):
            _, found = await asyncio.gather(write(piece), anext(ids))
            assert found == expected
        os.write(writer, b"".join(pieces[2:]))
        os.close(writer)
        assert [each async for each in ids] == []
        assert source.error is None


@pytest.mark.parametrize("make", [plain_pieces, gzip_pieces])
def test_a_lead_comes_before_the_next_id_is_written(
    environment: None, fake_instantly: FakeInstantly, make: Callable[..., Iterator[bytes]]
) -> None:
    """From one pipe into another one, by a process."""
    line = [*MODULE, "fetch", "--quiet"]
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin
        assert process.stdout
        pieces = make(f"{A}\n", f"{B}\n")
        for expected in (A, B):
            process.stdin.write(next(pieces))
            assert json.loads(process.stdout.readline())["id"] == expected
        process.stdin.write(b"".join(pieces))
        process.stdin.close()
    assert process.returncode == 0


def test_a_pipe_that_breaks_off(command: Command, fake_instantly: FakeInstantly) -> None:
    """What came before is fetched; the run is not complete."""
    done = command("fetch", "--quiet", stdin=gzip.compress(f"{A}\n{B}\n{C}\n".encode())[:-8])
    assert (done.code, done.found) == (2, [A, B, C])
    assert done.err == (
        "stdin is cut off: its gzip data ends too early, after 3 ids; copy or download it again.\n"
    )
