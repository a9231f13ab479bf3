"""``WorkbookParser``: ids of one sheet of a workbook, by python-calamine. No I/O."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import chain
from typing import Any

from instantly_async.cli.exits import InputError
from instantly_async.cli.records import LineId

from .extents import MAX_CELLS, MAX_UNPACKED_BYTES, spanned_cells, unpacked_bytes
from .sought import Sought
from .tables import IdColumn
from .understood import Understood

MAX_WORKBOOK_BYTES = 256 * 1024 * 1024
"""Largest workbook that is read (*choice*); it has to be in memory as a whole."""

_ZIPPED = re.compile(
    rb"PK\x03\x04.{26}(?:\[Content_Types\]|_rels/|docProps/|xl/|mimetype)", re.DOTALL
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


def is_workbook(head: bytes) -> bool:
    """Whether a file that begins so may be a workbook: .xlsx, .xlsb, .ods or .xls."""
    return _ZIPPED.match(head) is not None or head.startswith(_OLE)


class WorkbookParser:
    """A stage that collects a workbook and reads its first visible worksheet.

    ``column``: see ``IdColumn``; its number is that of Excel, where A is 1. As in CSV, rows
    without values, comments, and rows that repeat the header are skipped.

    Raises:
        InputError: python-calamine is not installed.
    """

    def __init__(
        self, name: str, column: str | None, sought: Sought, understood: Understood
    ) -> None:
        self._name = name
        self._sought = sought
        self._column = column
        self._calamine = _import_calamine()
        self._id = IdColumn(name, column, sought, understood)
        self._understood = understood
        understood.encoding = None
        self._data = io.BytesIO()

    def feed(self, data: bytes) -> Iterator[LineId]:
        self._data.write(data)
        self._require_size(self._data.tell(), MAX_WORKBOOK_BYTES, "is a workbook of")
        yield from ()

    def finish(self) -> Iterator[LineId]:
        self._require_size(unpacked_bytes(self._data), MAX_UNPACKED_BYTES, "unpacks to")
        sheet, others = self._load()
        left, rows = self._rows(sheet)
        first = next(rows, None)
        if first is None:
            self._require_no_others(sheet.name, others)
            return
        blank = [""] * left
        is_header = self._id.begin(blank + first[1])
        for number, filled in rows if is_header else chain([first], rows):
            cells = blank + filled
            lead_id = self._sought.entry(self._sought.tidy(cells[self._id.index]), number, "row")
            where = f"Row {number}"
            if lead_id.number is not None:
                self._id.require_no_other_id(cells, where)
            elif self._id.is_header(cells, where):
                continue
            yield lead_id

    def _require_size(self, size: int, most: int, what: str) -> None:
        if size > most:
            raise InputError(
                f"{self._name} {what} more than {most >> 20:,} MiB; save the sheet as CSV."
            )

    def _require_no_others(self, sheet: str, others: int) -> None:
        """Raise ``InputError`` if there are others: then an empty sheet is a mistake, no job."""
        if others:
            raise InputError(
                f'The sheet "{sheet}" of {self._name} is empty, and only the first visible sheet '
                f"is read; move the {self._sought.nouns} to it, or save the sheet that has them "
                "as CSV."
            )

    def _rows(self, sheet: Any) -> tuple[int, Iterator[tuple[int, list[str]]]]:
        """Return how many empty columns are left out, and the rows by number."""
        if sheet.start is None:  # iter_rows panics in python-calamine 0.4
            return 0, iter(())
        rows = enumerate(([str(cell).strip() for cell in row] for row in sheet.iter_rows()), 1)
        return sheet.start[1], (row for row in rows if any(row[1]) and not self._is_comment(row[1]))

    def _is_comment(self, cells: list[str]) -> bool:
        """Whether the only value of a row begins with ``#``, and is not the name of the column."""
        if cells.count("") < len(cells) - 1 or not "".join(cells).startswith("#"):
            return False
        return not self._sought.matches(cells, self._column)

    def _load(self) -> tuple[Any, int]:
        """Return the sheet, and the number of the other ones."""
        try:
            self._data.seek(0)
            with _silence():
                book = self._calamine.load_workbook(self._data)
                index = self._choose(book.sheets_metadata)
                self._understood.form = _described(book.sheet_names, index)
                self._require_extent(book.sheet_names[index], index)
                return book.get_sheet_by_index(index), len(book.sheet_names) - 1
        except self._calamine.PasswordError:
            is_encrypted = True
        except BaseException as error:
            if not self._is_damage(error):
                raise
            is_encrypted = _ENCRYPTED in self._data.getvalue()
        if is_encrypted:
            raise InputError(f"{self._name} is encrypted; save it without a password, or as CSV.")
        raise InputError(f"{self._name} is not a workbook that can be read; save the sheet as CSV.")

    def _choose(self, sheets: list[Any]) -> int:
        """Return the index of the first visible worksheet; 0 if there is none."""
        types, states = self._calamine.SheetTypeEnum, self._calamine.SheetVisibleEnum
        usable = [each.typ == types.WorkSheet and each.visible == states.Visible for each in sheets]
        return usable.index(True) if any(usable) else 0

    def _require_extent(self, sheet: str, index: int) -> None:
        if spanned_cells(self._data, index) > MAX_CELLS:
            raise InputError(
                f'The sheet "{sheet}" of {self._name} spans more than {MAX_CELLS:,} cells; delete '
                "cells that are far from the table, or save the sheet as CSV."
            )

    def _is_damage(self, error: BaseException) -> bool:
        """Whether the reader failed; a Rust panic is no ``Exception``, and cannot be imported."""
        if type(error).__name__ == "PanicException":
            return True
        # An IndexError: it has no sheets.
        return isinstance(error, self._calamine.CalamineError | OSError | IndexError)


def _described(names: list[str], index: int) -> str:
    which = "first visible one" if index else "first"
    others = f", the {which} of {len(names)} sheets" if len(names) > 1 else ""
    return f'workbook, sheet "{names[index]}"{others}'


@contextmanager
def _silence() -> Iterator[None]:
    """Discard what a Rust panic writes to stderr, where our sentence belongs."""
    try:
        stderr = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nothing)


def _import_calamine() -> Any:
    try:
        return import_module("python_calamine")
    except ModuleNotFoundError:
        pass
    raise InputError(
        "Workbooks need the extra \"excel\": pip install 'instantly-async[cli,excel]'; or save the "
        "sheet as CSV."
    )
