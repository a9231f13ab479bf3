"""``CsvParser``: the id of each record of CSV and TSV. Lines to ids, without I/O."""

import re
from collections.abc import Sequence

from instantly_async.cli.records import LineId

from .csv_records import CsvRecords, Record, cells_of
from .sought import Sought
from .tables import IdColumn
from .understood import DELIMITERS, Understood

_SEPARATOR = re.compile(r'"?sep=([^\w\s"\\]|\t)"?', re.IGNORECASE)


def separator_of(line: str) -> str | None:
    """Return the delimiter that a line such as ``sep=;`` names; Excel writes it."""
    found = _SEPARATOR.fullmatch(line.strip(" "))
    return found and found[1]


def delimiter_of(line: str, column: str | None, sought: Sought) -> str:
    """Return the delimiter of a first line: the one that shows the column, or an id.

    Otherwise the one that makes the most cells, because names may have other ones.
    """
    rows = {delimiter: cells_of(line, delimiter) for delimiter in DELIMITERS}
    for delimiter, cells in rows.items():
        if sought.matches(cells, column) or any(map(sought.holds, cells)):
            return delimiter
    return max(rows, key=lambda delimiter: len(rows[delimiter]))


class CsvParser:
    """CSV with a header, or with an id in its first row; quoted cells may span several lines.

    ``column``: see ``IdColumn``. A first line such as ``sep=;`` names the delimiter. A second
    header that is equal to the first, as in joined files, is skipped.
    """

    def __init__(
        self,
        name: str,
        column: str | None,
        sought: Sought,
        understood: Understood,
        delimiter: str | None = None,
    ) -> None:
        self._column = column
        self._sought = sought
        self._understood = understood
        self._records = CsvRecords(
            name, delimiter, sought, lambda line: delimiter_of(line, column, sought)
        )
        self._id = IdColumn(name, column, sought, understood)

    def feed(self, line: str, number: int) -> Sequence[LineId]:
        if not self._id.width and (delimiter := separator_of(line)):
            self._records.delimiter = delimiter
            return ()
        record = self._records.feed(line, number)
        if record is None or (not self._id.width and not self._begin(record)):
            return ()
        width = None if self._id.header is None else self._id.width
        self._records.require_no_swallowed_row(record, self._id.index, width)
        return self._ids_of(record)

    def _begin(self, record: Record) -> bool:
        """Take the first row; return whether it has an id."""
        cells = record.cells
        if not any(map(str.strip, cells)):
            return False  # Excel writes such rows for empty ones above the table
        is_row = any(map(self._sought.holds, cells)) or self._sought.matches(cells, self._column)
        if cells[0].startswith("#") and not is_row:
            return False  # a comment
        is_header = self._id.begin(cells)
        self._records.delimiter = self._records.delimiter_of(record.lines[0])
        self._understood.delimiter = self._records.delimiter
        if is_header:
            self._records.require_no_swallowed_row(record, self._id.index, None)
        return not is_header

    def _ids_of(self, record: Record) -> Sequence[LineId]:
        cells = record.cells
        cell = self._sought.tidy(cells[self._id.index]) if self._id.index < len(cells) else ""
        lead_id = self._sought.entry(cell, record.number)
        is_id = lead_id.number is not None
        where = f"Line {record.number}"
        if is_id:
            self._id.require_no_other_id(cells, where)
        elif self._is_comment(record, cell) or self._id.is_header(cells, where):
            return ()
        return (lead_id,)

    def _is_comment(self, record: Record, cell: str) -> bool:
        """Whether a row is a comment: ``#`` begins it, but no cell of a row that lacks its id.

        Nor is it one if its id is in another cell, because a name has a comma and no quotes.
        """
        if not record.lines[0].startswith("#"):
            return False
        if self._id.index == 0:
            return True
        is_row = bool(cell) and len(record.cells) == self._id.width
        return not is_row and not any(map(self._sought.holds, record.cells))

    def finish(self) -> None:
        """Raise ``InputError`` if a quote is open at the end."""
        self._records.finish()
