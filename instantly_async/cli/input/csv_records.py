"""``CsvRecords``: from lines to the records of CSV, and no row that a quote swallows. No I/O."""

import csv
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from instantly_async.cli.exits import InputError

from .sought import Sought

MAX_RECORD_CHARS = 1024 * 1024
"""Longest CSV record (*choice*); a longer one means a quote that is never closed."""

csv.field_size_limit(MAX_RECORD_CHARS)  # of 128 Ki by default; an email in HTML is longer

_READINGS: tuple[dict[str, Any], ...] = (
    {},
    {"quoting": csv.QUOTE_NONE},  # an inch mark
    {"escapechar": "\\", "doublequote": False},  # MySQL, Spark
)
"""How a line that is inside quotes may have been meant."""


class Record(NamedTuple):
    """The ``cells`` of a record, its ``lines``, and the ``number`` of its first line."""

    cells: list[str]
    lines: list[str]
    number: int


class CsvRecords:
    """Joins the lines of each record; quoted cells may span several.

    ``delimiter`` ``None``: it is not known yet; ``guess`` returns it for the line with names.
    """

    def __init__(
        self, name: str, delimiter: str | None, sought: Sought, guess: Callable[[str], str]
    ) -> None:
        self._name = name
        self._sought = sought
        self._guess = guess
        self.delimiter = delimiter
        self._pending: list[str] = []
        self._pending_chars = 0
        self._first_line = 0
        self._delimiter = ","  # of the pending record

    def feed(self, line: str, number: int) -> Record | None:
        """Return the record that ends with this line; ``None``: it continues, or is blank."""
        if not self._pending:
            if not line.strip():
                return None
            if self.delimiter and '"' not in line and len(line) <= MAX_RECORD_CHARS:
                return Record(line.split(self.delimiter), [line], number)  # the usual case
            self._first_line = number
            self._pending_chars = 0
            self._delimiter = self.delimiter_of(line)
        self._pending.append(line)
        self._pending_chars += len(line) + 1
        # A line that begins inside quotes is parsed alone, as the beginning of a quoted cell: to
        # parse the whole record for each of its lines would take quadratic time.
        continues = len(self._pending) > 1 and self._parse([f'"{line}']) is None
        cells = None if continues else self._parse(self._pending)
        if cells is None:
            self._check_size()
            return None
        record = Record(cells, self._pending, self._first_line)
        self._pending = []
        return record

    def delimiter_of(self, line: str) -> str:
        """Return the delimiter; ``line`` shows it as long as it is not known."""
        return self._guess(line) if self.delimiter is None else self.delimiter

    def _parse(self, record: list[str]) -> list[str] | None:
        """Parse the lines of a record; return ``None`` if it continues after them."""
        asked_for_more = False

        def lines() -> Iterator[str]:
            nonlocal asked_for_more
            yield from record
            asked_for_more = True

        try:
            row = next(csv.reader(lines(), delimiter=self._delimiter))
        except csv.Error as error:
            if len(record) > 1:  # a cell has become too long
                raise self._open_quote() from None
            raise InputError(
                f"Line {self._first_line} of {self._name} is not CSV ({error}); fix it, or use "
                "--input-format to name the file's format."
            ) from None
        return None if asked_for_more else row

    def _check_size(self) -> None:
        if self._pending_chars > MAX_RECORD_CHARS:
            raise self._open_quote()

    def _open_quote(self) -> InputError:
        return InputError(
            f'A quote (") that begins in line {self._first_line} of {self._name} is never '
            'closed; fix that line. A quote that belongs to the text is written twice ("").'
        )

    def finish(self) -> None:
        """Raise ``InputError`` if a quote is open at the end."""
        if self._pending:
            raise self._open_quote()

    def require_no_swallowed_row(self, record: Record, index: int, width: int | None) -> None:
        """Check that no line of a record is a row itself, which a stray quote has swallowed.

        Such a line has ``width`` cells (``None``: any number), and in cell ``index`` an id that is
        not the record's. A line end in a quoted cell, and an id in its text, are fine.

        Raises:
            InputError: there is one.
        """
        if len(record.lines) == 1:
            return
        if len(record.cells) != width:
            width = None  # the record is no good row either
        own = self._id_in(record.cells, index)
        for number, line in enumerate(record.lines, record.number):
            if not self._ids_in_row(line, index, width) <= {own}:
                raise InputError(
                    f'A quote (") that begins in line {record.number} of {self._name} swallows '
                    f"other rows, such as the one in line {number}; close it in its line, or write "
                    'it twice ("") if it belongs to the text.'
                )

    def _ids_in_row(self, line: str, index: int, width: int | None) -> set[str]:
        """Return the ids that this line may have if it is a row."""
        delimiter = self.delimiter_of(line)
        rows = (cells_of(line, delimiter, **reading) for reading in _READINGS)
        # A row with quotes of its own may have odd ones, and then more cells.
        is_loose = line.count('"') > 1
        return {
            lead_id
            for cells in rows
            if width in {None, len(cells)} or (is_loose and len(cells) > (width or 0))
            if (lead_id := self._id_in(cells, index)) is not None
        }

    def _id_in(self, cells: list[str], index: int) -> str | None:
        return self._sought.wire(self._sought.tidy(cells[index])) if index < len(cells) else None


def cells_of(line: str, delimiter: str, **reading: Any) -> list[str]:
    """Return the cells of a line that is read so; none if one of them is too long."""
    try:
        return next(csv.reader([line], delimiter=delimiter, **reading), [])
    except csv.Error:
        return []
