"""Workbooks with several sheets, and with sheets that are too large to be loaded."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import xlsxwriter
from commands import Command
from inputs import book, refusal, understand

from instantly_async.cli.input import extents, workbooks
from instantly_async.testing import FakeInstantly, lead_ids

A, B = lead_ids(2)
LAST_ROW, LAST_COLUMN = 1048575, 16383
TOO_LARGE = (
    'The sheet "Sheet1" of in.xlsx spans more than 32,000,000 cells; delete cells that are far '
    "from the table, or save the sheet as CSV."
)


def made(write: Callable[[xlsxwriter.Workbook], object]) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as workbook:
        write(workbook)
    return file.getvalue()


def stray(row: int, column: int, value: object = "x") -> bytes:
    """Return a workbook with an id, and a cell somewhere else; ``None``: it has only a format."""

    def write(workbook: xlsxwriter.Workbook) -> None:
        sheet = workbook.add_worksheet()
        sheet.write_column(0, 0, ["id", A])
        sheet.write(row, column, value, workbook.add_format({"bold": True}))

    return made(write)


def edited(data: bytes, old: bytes, new: bytes) -> bytes:
    """Return a workbook with another text in its members."""
    file = io.BytesIO()
    count = 0
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            text = source.read(name)
            count += text.count(old)
            target.writestr(name, text.replace(old, new))
    assert count
    return file.getvalue()


def add(workbook: xlsxwriter.Workbook, *states: str) -> None:
    """Add sheets with an id each: visible, hidden, very hidden, or a chart."""
    for state, lead_id in zip(states, lead_ids(len(states)), strict=True):
        if state == "chart":
            chart = workbook.add_chart({"type": "line"})
            chart.add_series({"values": "=Sheet1!$A$1:$A$2"})
            workbook.add_chartsheet().set_chart(chart)
            continue
        sheet = workbook.add_worksheet()
        sheet.write_column(0, 0, ["id", lead_id])
        if state == "hidden":
            sheet.hide()
        if state == "very hidden":
            sheet.very_hidden()
        if state == "visible":
            sheet.activate()


@pytest.mark.parametrize(
    ("states", "index", "shown"),
    [
        (["visible"], 0, 'sheet "Sheet1"'),
        (["visible", "visible"], 0, 'sheet "Sheet1", the first of 2 sheets'),
        (["hidden", "visible"], 1, 'sheet "Sheet2", the first visible one of 2 sheets'),
        (
            ["very hidden", "chart", "visible", "visible"],
            2,
            'sheet "Sheet2", the first visible one of 4 sheets',
        ),
        (["hidden", "chart"], 0, 'sheet "Sheet1", the first of 2 sheets'),
    ],
)
def test_the_first_visible_worksheet_is_read(states: list[str], index: int, shown: str) -> None:
    """Excel shows no hidden one, and a chart has no cells."""
    found, facts = understand("in.xlsx", made(lambda workbook: add(workbook, *states)))
    assert found == [([*lead_ids(len(states))][index], "row 2")]
    assert facts["format"] == f"workbook, {shown}"


def test_an_empty_sheet_beside_others(
    command: Command, tmp_path: Path, fake_instantly: FakeInstantly
) -> None:
    """It is a mistake, also where a job may be empty; a single empty sheet is an empty job."""
    path = tmp_path / "in.xlsx"
    path.write_bytes(book([], [["id"], [B]]))
    said = (
        f'The sheet "Sheet1" of {path} is empty, and only the first visible sheet is read; move '
        "the ids to it, or save the sheet that has them as CSV.\n"
    )
    for options in ([], ["--allow-empty"]):
        assert command("fetch", path, "--quiet", *options) == (2, b"", said)
    path.write_bytes(book([]))
    assert command("fetch", path, "--quiet", "--allow-empty").code == 0
    assert "There are no ids in" in command("fetch", path, "--quiet").err
    assert not fake_instantly.requests


@pytest.mark.parametrize("column", [LAST_COLUMN, 200])
def test_a_cell_far_from_the_table(column: int) -> None:
    """python-calamine would need 549 GB and abort the process, or 6.6 GB."""
    data = stray(LAST_ROW, column)
    assert refusal("in.xlsx", data) == TOO_LARGE
    assert refusal("in.xlsx", edited(data, b"worksheets/sheet1", b"/xl/worksheets/sheet1"))


@pytest.mark.parametrize("stated", [b"", b'<dimension ref="A1"/>'])
def test_sheets_that_do_not_state_their_size(stated: bytes) -> None:
    """Google Sheets states none, and programs that write row by row state one cell."""
    size = b'<dimension ref="A1:XFD1048576"/>'
    assert refusal("in.xlsx", edited(stray(LAST_ROW, LAST_COLUMN), size, stated)) == TOO_LARGE
    near = edited(stray(5, 5), b'<dimension ref="A1:F6"/>', stated)
    assert understand("in.xlsx", near)[0] == [(A, "row 2"), ("", "row 6")]


def test_a_cell_that_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large sheet is read in chunks, and a chunk may end anywhere."""
    data = edited(stray(LAST_ROW, LAST_COLUMN), b'<dimension ref="A1:XFD1048576"/>', b"")
    for size in range(1, 30):
        monkeypatch.setattr(extents, "_CHUNK", size)
        assert refusal("in.xlsx", data) == TOO_LARGE


def test_a_format_far_from_the_table() -> None:
    """Excel counts it in the size; python-calamine does not."""
    data = stray(LAST_ROW, LAST_COLUMN, None)
    assert understand("in.xlsx", data)[0] == [(A, "row 2")]


def test_a_far_cell_on_a_sheet_that_is_not_read() -> None:
    def write(workbook: xlsxwriter.Workbook) -> None:
        add(workbook, "visible")
        workbook.add_worksheet().write_column(0, 0, ["x"])
        workbook.worksheets()[1].write(LAST_ROW, LAST_COLUMN, "x")

    assert understand("in.xlsx", made(write))[0] == [(A, "row 2")]


def test_a_workbook_that_unpacks_to_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MAX_UNPACKED_BYTES", 1000)
    assert refusal("in.xlsx", book([["id"], [A]])) == (
        "in.xlsx unpacks to more than 0 MiB; save the sheet as CSV."
    )


def test_a_workbook_without_sheets() -> None:
    data = edited(book([]), b'<sheet name="Sheet1" sheetId="1" r:id="rId1"/>', b"")
    assert refusal("in.xlsx", data) == (
        "in.xlsx is not a workbook that can be read; save the sheet as CSV."
    )


def test_rows_that_would_lose_an_id_are_refused() -> None:
    """As in CSV: a second id without a name, and joined tables."""
    assert refusal("in.xlsx", book([[A, "x"], [B, A]])) == (
        "Row 2 of in.xlsx has more ids than the first row; write one id per line, or use --column "
        "with the number of the column that is meant."
    )
    joined = [["Lead ID", "Campaign"], [A, B], ["Campaign", "Lead ID"], [B, A]]
    assert "Row 3 of in.xlsx names other columns than the first one" in refusal(
        "in.xlsx", book(joined)
    )


def test_a_reference_that_is_no_number_of_a_row() -> None:
    """Python refuses to convert so many digits, and Rust would abort the process."""
    sheet = edited(book([["id"], [A]]), b'<dimension ref="A1:A2"/>', b"")
    hostile = edited(sheet, b'r="A2"', b'r="A' + b"2" * 5000 + b'"')
    assert refusal("in.xlsx", hostile) == TOO_LARGE
