"""``CsvParser``: the id of each record of CSV and TSV. Lines to ids, without I/O."""

import re
from collections.abc import Sequence

from instantly_async.cli.exits import InputError
from instantly_async.cli.records import LineId

from .cells import holds_id, tidy
from .csv_records import CsvRecords, Record, cells_of
from .names import matches, plain, rank_of
from .tables import IdColumn
from .understood import DELIMITERS, Understood

_UNMISTAKABLE = {rank_of("instantly_lead_id"), rank_of("lead_id")}
"""Ranks of names that are no values: ``ID`` is Idaho, too."""

_SEPARATOR = re.compile(r'"?sep=([^\w\s"\\]|\t)"?', re.IGNORECASE)


def separator_of(line: str) -> str | None:
    """Return the delimiter that a line such as ``sep=;`` names; Excel writes it."""
    found = _SEPARATOR.fullmatch(line.strip(" "))
    return found and found[1]


def delimiter_of(line: str, column: str | None) -> str:
    """Return the delimiter of a first line: the one that shows the column, or an id.

    Otherwise the one that makes the most cells, because names may have other ones.
    """
    rows = {delimiter: cells_of(line, delimiter) for delimiter in DELIMITERS}
    for delimiter, cells in rows.items():
        if matches(cells, column) or any(map(holds_id, cells)):
            return delimiter
    return max(rows, key=lambda delimiter: len(rows[delimiter]))


class CsvParser:
    """CSV with a header, or with an id in its first row; quoted cells may span several lines.

    ``column``: see ``IdColumn``. A first line such as ``sep=;`` names the delimiter. A second
    header that is equal to the first, as in joined files, is skipped.
    """

    def __init__(
        self, name: str, column: str | None, understood: Understood, delimiter: str | None = None
    ) -> None:
        self._name = name
        self._column = column
        self._understood = understood
        self._records = CsvRecords(name, delimiter, lambda line: delimiter_of(line, column))
        self._id = IdColumn(name, column, understood)
        self._header: list[str] | None = None
        self._width = 0

    def feed(self, line: str, number: int) -> Sequence[LineId]:
        if not self._width and (delimiter := separator_of(line)):
            self._records.delimiter = delimiter
            return ()
        record = self._records.feed(line, number)
        if record is None or (not self._width and not self._begin(record)):
            return ()
        width = None if self._header is None else self._width
        self._records.require_no_swallowed_row(record, self._id.index, width)
        return self._ids_of(record)

    def _begin(self, record: Record) -> bool:
        """Take the first row; return whether it has an id."""
        cells = record.cells
        if not any(map(str.strip, cells)):
            return False  # Excel writes such rows for empty ones above the table
        is_row = any(map(holds_id, cells)) or matches(cells, self._column)
        if cells[0].startswith("#") and not is_row:
            return False  # a comment
        is_header = self._id.begin(cells)
        self._records.delimiter = self._records.delimiter_of(record.lines[0])
        self._understood.delimiter = self._records.delimiter
        self._width = len(cells)
        if is_header:
            self._records.require_no_swallowed_row(record, self._id.index, None)
            self._header = list(map(plain, cells))
        return not is_header

    def _ids_of(self, record: Record) -> Sequence[LineId]:
        cells = record.cells
        cell = tidy(cells[self._id.index]) if self._id.index < len(cells) else ""
        lead_id = LineId(cell, record.number)
        is_id = lead_id.number is not None
        if is_id:
            self._require_no_other_id(record)
        elif self._is_comment(record, cell) or self._is_header(record):
            return ()
        return (lead_id,)

    def _require_no_other_id(self, record: Record) -> None:
        """Check that a row which has its id has none where no column is: it would be lost."""
        if self._header is not None:
            others = record.cells[self._width :]
        elif self._column is None:
            others = [*record.cells[: self._id.index], *record.cells[self._id.index + 1 :]]
        else:
            return
        if any(map(holds_id, others)):
            raise InputError(
                f"Line {record.number} of {self._name} has more ids than the first line; write "
                "each id on a line of its own, or add --input-format text if all are lead ids."
            )

    def _is_comment(self, record: Record, cell: str) -> bool:
        """Whether a row is a comment: ``#`` begins it, but no cell of a row that lacks its id.

        Nor is it one if its id is in another cell, because a name has a comma and no quotes.
        """
        if not record.lines[0].startswith("#"):
            return False
        if self._id.index == 0:
            return True
        is_row = bool(cell) and len(record.cells) == self._width
        return not is_row and not any(map(holds_id, record.cells))

    def _is_header(self, record: Record) -> bool:
        if self._header is None:
            return False
        names = list(map(plain, record.cells))
        if names == self._header:
            return True
        is_reordered = len(names) > 1 and sorted(names) == sorted(self._header)
        if is_reordered or any(rank_of(name) in _UNMISTAKABLE for name in names):
            raise InputError(
                f"Line {record.number} of {self._name} names other columns than the first line; "
                "put what follows it into a file of its own."
            )
        return False

    def finish(self) -> None:
        """Raise ``InputError`` if a quote is open at the end."""
        self._records.finish()
