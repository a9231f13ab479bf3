"""Workbooks: the ids of the first sheet, by row; and what is said if there are none."""

import gzip
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import python_calamine
from commands import Command
from inputs import COMPRESS, SAMPLES, Found, book, bytewise, refusal, understand

from instantly_async.cli.input import workbooks
from instantly_async.testing import FakeInstantly, lead_ids

A, B, C = lead_ids(3)
DATE = datetime(2026, 1, 2, tzinfo=UTC)
SHEET = 'workbook, sheet "Sheet1"'

BOOKS: dict[str, tuple[list[list[object]], str | None, Found, str]] = {
    "a header": ([["Name", "Lead ID"], ["x", A], ["y", B]], None, [(A, "2"), (B, "3")], "Lead ID"),
    "empty rows above": ([[], [None, ""], [None, "id"], ["x", A]], None, [(A, "4")], "id"),
    "other types beside": (
        [["n", "when", "ID"], [1, DATE, A], [], [2.5, True, B], [None, None, C]],
        None,
        [(A, "2"), (B, "4"), (C, "5")],
        "ID",
    ),
    "a row without an id": ([["id", "n"], [A, 1], [None, 2]], None, [(A, "2"), ("", "3")], "id"),
    "no header": ([["x", A], ["y", B]], None, [(A, "1"), (B, "2")], "2, without a name"),
    "by number": ([["a", "b"], [A, B]], "2", [(B, "2")], "b"),
    "a number counts from A": (
        [[], [None, None, "x", "y"], [None, None, A, B]],
        "4",
        [(B, "3")],
        "y",
    ),
    "a number without a header": ([[None, None, "x", A]], "4", [(A, "1")], "4, without a name"),
    "a column that begins with #": ([["# id"], [A]], "# id", [(A, "2")], "# id"),
    "comments": (
        [["# of Ada"], ["id", "n"], [A, "#1"], [None, "# note"], ["# x"], ["# y", 1], [B]],
        None,
        [(A, "3"), ("# y", "6"), (B, "7")],
        "id",
    ),
    "the header again": (
        [["Lead ID", "n"], [A, 1], ["lead_id", "N"], ["id", 2], [B, 3]],
        None,
        [(A, "2"), ("id", "4"), (B, "5")],
        "Lead ID",
    ),
    "by name": ([["a", "My Ref"], [A, B]], "my ref", [(B, "2")], "My Ref"),
    "spellings": (
        [["id"], [f" {{{A.upper()}}} "], [f"'{B}'"], [C.replace("-", "")]],
        None,
        [(A, "2"), (B, "3"), (C, "4")],
        "id",
    ),
}


@pytest.mark.parametrize(("rows", "column", "ids", "shown"), BOOKS.values(), ids=BOOKS)
def test_the_first_sheet_is_read(
    rows: list[list[object]], column: str | None, ids: Found, shown: str
) -> None:
    """Whatever its name says, because its first bytes show what it is."""
    data = book(rows)
    places = [(each, f"row {row}") for each, row in ids]
    facts = {"format": SHEET, "column": shown}
    for name in ("in.xlsx", "in.csv", "in"):
        found, understood = understand(name, data, column)
        first = understood.pop("first id")
        assert (found, understood, first) == (places, facts, ids[0][0])
    assert understand("in", bytewise(data), column)[0] == places


def test_a_first_row_that_is_no_header_is_an_entry() -> None:
    found, _ = understand("in.xlsx", book([["x", A], [B, A]]), "1")
    assert found == [("x", "row 1"), (B, "row 2")]


def test_a_compressed_workbook() -> None:
    for suffix, compress in COMPRESS.items():
        found, facts = understand(f"in.xlsx{suffix}", compress(book([["id"], [A]])))
        assert (found, facts["format"]) == ([(A, "row 2")], SHEET)
    cut = gzip.compress(book([["id"], [A]]))[:-9]
    said = refusal("in.xlsx.gz", cut)
    assert said == (
        "in.xlsx.gz is cut off: its gzip data ends too early, after 0 ids; copy or download it "
        "again."
    )


@pytest.mark.parametrize("name", ["leads.xls", "leads.ods"])
def test_other_kinds_of_workbooks(name: str) -> None:
    """Of Excel before 2007, and of LibreOffice."""
    found, facts = understand(name, (SAMPLES / name).read_bytes())
    assert [place for _, place in found] == [f"row {row}" for row in range(2, 7)]
    assert facts["column"] == "Lead ID"


@pytest.mark.parametrize("name", ["in.xls", "in.xlsx"])
def test_a_text_that_is_named_as_a_workbook(name: str) -> None:
    """Some programs write a table of text, because Excel opens it."""
    text = f"name\tid\r\nZo\xeb\t{A}\r\n".encode("utf-16")
    assert understand(name, text)[0] == [(A, "line 2")]
    assert refusal(name, f"{A}\n".encode(), None, "excel") == (
        f"{name} is not a workbook; leave out --input-format."
    )


def test_a_workbook_without_the_column() -> None:
    """Its columns are listed, unless they look like data."""
    assert refusal("in.xlsx", book([["Name", "Lead"], ["x", A]])) == (
        'in.xlsx has no column with lead ids; its columns are "Name", "Lead"; the nearest is '
        '"Lead" (--column).'
    )
    said = refusal("in.xlsx", book([["Ada", "ada@example.com"], ["Bob", "bob@example.com"]]))
    assert "The first line of in.xlsx has emails and no lead ids; add --by email" in said
    assert "example" not in said
    said = refusal(
        "in.xlsx", book([[None, None, "Name", None, "Lead"], [None, None, "x", None, A]])
    )
    assert 'its columns are "Name", "Lead"; the nearest' in said
    said = refusal("in.xlsx", book([[None, "id"], [None, A]]), "1")
    assert said.startswith("in.xlsx holds empty values and no lead ids")


def test_the_command_reads_a_workbook_from_a_pipe(
    command: Command, fake_instantly: FakeInstantly
) -> None:
    rows = [["Name", "Lead ID"], ["x", A], ["y", B.upper()]]
    done = command("fetch", "-", "--quiet", stdin=book(rows))
    assert (done.code, done.found, done.err) == (0, [A, B], "")


def test_workbooks_need_a_package(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_instantly: FakeInstantly
) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    path = tmp_path / "in.xlsx"
    path.write_bytes(book([["id"], [A]]))
    sentence = (
        "Workbooks need the extra \"excel\": pip install 'instantly-async[cli,excel]'; or save the "
        "sheet as CSV.\n"
    )
    assert command("fetch", path, "--quiet") == (2, b"", sentence)
    assert not fake_instantly.requests


@pytest.mark.parametrize("name", ["leads.xls", "leads.ods", "encrypted.xlsx", "made.xlsx"])
def test_a_workbook_that_is_cut_off(name: str) -> None:
    """One sentence, also where the library panics."""
    data = book([["id"], [A]]) if name == "made.xlsx" else (SAMPLES / name).read_bytes()
    for length in range(64, len(data), len(data) // 20):
        said = refusal(name, data[:length])
        assert said.startswith(f"{name} is ")


def test_a_panic_is_not_shown(command: Command, tmp_path: Path) -> None:
    """Rust itself writes to stderr."""
    path = tmp_path / "leads.xls"
    path.write_bytes((SAMPLES / "leads.xls").read_bytes()[:4096])
    sentence = f"{path} is not a workbook that can be read; save the sheet as CSV.\n"
    assert command("fetch", path, "--quiet") == (2, b"", sentence)


def test_an_encrypted_workbook() -> None:
    assert refusal("in.xlsx", (SAMPLES / "encrypted.xlsx").read_bytes()) == (
        "in.xlsx is encrypted; save it without a password, or as CSV."
    )


def test_a_workbook_that_the_library_calls_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does with those of Excel before 2007, which no library writes."""

    def refuse(_: object) -> None:
        raise python_calamine.PasswordError

    monkeypatch.setattr(python_calamine, "load_workbook", refuse)
    assert "in.xls is encrypted" in refusal("in.xls", (SAMPLES / "leads.xls").read_bytes())


def test_a_workbook_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MAX_WORKBOOK_BYTES", 1000)
    assert refusal("in.xlsx", bytewise(book([["id"], [A]]))) == (
        "in.xlsx is a workbook of more than 0 MiB; save the sheet as CSV."
    )


def test_an_interrupt_is_not_taken_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(python_calamine, "load_workbook", interrupt)
    with pytest.raises(KeyboardInterrupt):
        refusal("in.xlsx", book([["id"], [A]]))
