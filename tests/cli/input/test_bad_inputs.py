"""Inputs that are refused: one sentence with its remedy, exit 2, no request, no personal data."""

import gzip
import json
import sys
from pathlib import Path

import pytest
from commands import Command
from inputs import SAMPLES, book, read_input, refusal, zstd

from instantly_async.testing import FakeInstantly, lead_ids

A, B, C = lead_ids(3)
PERSONAL = ("Ada", "Lovelace", "ada@example.com", "Byron")
LEADS = [{"email": "ada@example.com", "name": "Ada Lovelace", "ref": n} for n in range(3)]

REFUSED: dict[str, tuple[str, bytes, str]] = {
    "no column": (
        "a.csv",
        b"Name,Lead\r\nAda,1\r\n",
        (
            'a.csv has no column with lead ids; its columns are "Name", "Lead"; the '
            'nearest is "Lead" (--column).'
        ),
    ),
    "no header, and no ids": (
        "a.csv",
        b"Ada Lovelace,ada@example.com\n",
        (
            "The first line of a.csv has emails and no lead ids; add --by email, or put a line "
            "with column names above it."
        ),
    ),
    "emails": (
        "a.txt",
        b"ada@example.com\nAda <ada@example.com>\n",
        (
            "a.txt holds emails and no lead ids, which are UUIDs; add --by email, or name the ids "
            "or their column."
        ),
    ),
    "emails in a column of ids": (
        "a.csv",
        b"id,name\nada@example.com,Ada\n",
        (
            'a.csv (column "id") holds emails and no lead ids, which are UUIDs; add --by email, or '
            "name the ids or their column."
        ),
    ),
    "several ids in cells of a table": (
        "a.csv",
        f'id,name\n"{A},{B}",Ada\n'.encode(),
        (
            'a.csv (column "id") holds UUIDs beside other text and no lead ids, which are UUIDs; '
            "write only the ids: grep -oE '[0-9a-fA-F-]{36}' FILE | instantly-async fetch."
        ),
    ),
    "JSON in JSON": (
        "a.jsonl",
        json.dumps(json.dumps({"id": A, "name": "Ada"})).encode(),
        (
            "a.jsonl holds JSON and no lead ids, which are UUIDs; write its ids one per line, with "
            "jq -r."
        ),
    ),
    "leads without ids": (
        "a.json",
        json.dumps(LEADS).encode(),
        (
            'The first object of a.json has no key with lead ids; its keys are "email", '
            '"name", "ref"; use --column to name the one that holds the lead ids, or add '
            "--by email."
        ),
    ),
    "leads without ids, line by line": (
        "a.jsonl",
        "\n".join(map(json.dumps, LEADS)).encode(),
        (
            'The first object of a.jsonl has no key with lead ids; its keys are "email", '
            '"name", "ref"; use --column to name the one that holds the lead ids, or add '
            "--by email."
        ),
    ),
    "broken JSON": (
        "a.json",
        b'[{"email": "ada@example.com", "name": Ada Lovelace}]',
        "a.json is not JSON at its beginning; fix it, or copy it again.",
    ),
    "JSON that breaks later": (
        "a.json",
        f'["{A}", "{B}", Ada]'.encode(),
        "a.json is not JSON behind element 2; fix it, or copy it again.",
    ),
    "JSON that is cut off": (
        "a.json",
        f'[{{"id": "{A}"}}, {{"name": "Ada Lo'.encode(),
        "a.json ends too early behind element 1; fix it, or copy it again.",
    ),
    "a broken line of JSON": (
        "a.jsonl",
        f'{{"id": "{A}"}}\n{{"name": Ada}}\n'.encode(),
        (
            "Line 2 of a.jsonl is not a JSON object or string; fix it, or use "
            "--input-format to name the file's format."
        ),
    ),
    "gzip that is cut off": (
        "a.txt.gz",
        gzip.compress(f"{A}\ntypo\n{A}\n{B}\n".encode())[:-8],
        (
            "a.txt.gz is cut off: its gzip data ends too early, after 4 ids; copy or "
            "download it again."
        ),
    ),
    "gzip with a text behind": (
        "a.txt.gz",
        gzip.compress(f"{A}\n".encode()) + b"Ada",
        "a.txt.gz is damaged: its gzip data is not valid, after 1 id; copy or download it again.",
    ),
    "an open quote": (
        "a.csv",
        f'id,name\n{A},"Ada\n{B},Byron\n'.encode(),
        (
            'A quote (") that begins in line 2 of a.csv is never closed; fix that line. A '
            'quote that belongs to the text is written twice ("").'
        ),
    ),
    "an encrypted workbook": (
        "a.xlsx",
        (SAMPLES / "encrypted.xlsx").read_bytes(),
        "a.xlsx is encrypted; save it without a password, or as CSV.",
    ),
    "a damaged workbook": (
        "a.xlsx",
        book([["id"], [A]])[:900],
        "a.xlsx is not a workbook that can be read; save the sheet as CSV.",
    ),
    "a page that asks to sign in": (
        "a.csv",
        b"<!DOCTYPE html><html><body>Sign in, Ada</body></html>",
        (
            "a.csv is an HTML page; download the file itself, or write its ids to a text "
            "file, one per line."
        ),
    ),
    "a PDF": (
        "a.pdf",
        b"%PDF-1.7\n1 0 obj\n(Ada)\n",
        "a.pdf is a PDF document; write its ids to a text file, one per line.",
    ),
    "an image": (
        "a.csv",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "a.csv is a PNG image; name a file with lead ids.",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_what_is_said(
    command: Command, fake_instantly: FakeInstantly, folder: Path, refused: tuple[str, bytes, str]
) -> None:
    """By the reader and by the command: the same sentence, before any request."""
    name, data, sentence = refused
    assert refusal(name, data) == sentence
    Path(name).write_bytes(data)
    done = command("fetch", name, "-o", "out.jsonl")
    assert (done.code, done.out) == (2, b"")
    assert done.err.splitlines()[-1] == sentence
    assert not any(each in done.err for each in PERSONAL)
    assert not fake_instantly.requests
    assert not Path("out.jsonl").exists()


def test_ids_before_the_damage_are_read() -> None:
    """A pipe cannot be read beforehand, so they are fetched, and the sentence counts them."""
    found, _, sentence = read_input("a.gz", gzip.compress(f"{A}\n{B}\n{C}".encode())[:-8])
    assert [each for each, _ in found] == [A, B]
    assert sentence
    assert "after 2 ids" in sentence


def test_zstd_needs_a_package(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_instantly: FakeInstantly
) -> None:
    for module in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    path = tmp_path / "ids.zst"
    path.write_bytes(zstd.compress(A.encode()))
    sentence = (
        "zstd needs Python 3.14 or the extra \"zstd\": pip install 'instantly-async[zstd]'.\n"
    )
    assert command("fetch", path, "--quiet") == (2, b"", sentence)
    assert command("fetch", "--quiet", stdin=path.read_bytes()) == (2, b"", sentence)
    assert not fake_instantly.requests


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.json", "a.xlsx"])
def test_invalid_ids_are_named_by_their_place_only(
    command: Command, tmp_path: Path, name: str, fake_instantly: FakeInstantly
) -> None:
    """They could be names or emails."""
    cells = [A, "Ada Lovelace", "ada@example.com"]
    data = {
        "a.csv": "\n".join(["id", *cells]).encode(),
        "a.txt": "\n".join(["id", *cells]).encode(),
        "a.json": json.dumps(["", *cells]).encode(),
        "a.xlsx": book([["id"], *([each] for each in cells)]),
    }[name]
    path = tmp_path / name
    path.write_bytes(data)
    output = tmp_path / "out.jsonl"
    done = command("fetch", path, "-o", output)
    assert done.code == 3
    unit = {"a.json": "element", "a.xlsx": "row"}.get(name, "line")
    for number in (3, 4):
        assert f"invalid: in {unit} {number} (a lead id is a UUID)\n" in done.err
    assert "ada@example.com" not in Path(f"{output}.errors.jsonl").read_text()
    assert not any(each in done.err for each in PERSONAL)
