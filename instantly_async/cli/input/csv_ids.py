"""``CsvParser``: the id of each record of CSV and TSV. Lines to ids, without I/O."""

import re

from instantly_async._api import wire_id
from instantly_async.cli.exits import InputError
from instantly_async.cli.records import LineId

from .csv_records import CsvRecords, Record, cells_of

SHOWN_COLUMNS, SHOWN_CHARS = 20, 40
"""Columns that a message lists at most, and characters of a name that it shows (*choice*)."""

_DEFAULT_COLUMNS = ("id", "lead_id")
_SEPARATOR = re.compile(r'"?sep=([^\w\s"\\]|\t)"?', re.IGNORECASE)


class CsvParser:
    """CSV with a header; quoted fields may span several lines.

    The id is in ``column``; ``None``: in the column ``id`` or ``lead_id``. Names are compared
    ignoring case. A first line such as ``sep=;``, which Excel writes, names the delimiter. A
    second header that is equal to the first, as in joined files, is skipped.
    """

    def __init__(self, name: str, column: str | None = None, delimiter: str | None = None) -> None:
        self._name = name
        self._wanted = _DEFAULT_COLUMNS if column is None else (_plain(column),)
        self._records = CsvRecords(name, delimiter, self._guess_delimiter)
        self._header: list[str] | None = None
        self._index = 0

    def feed(self, line: str, number: int) -> LineId | None:
        if number == 1 and (separator := _SEPARATOR.fullmatch(line.strip(" "))):
            self._records.delimiter = separator[1]
            return None
        record = self._records.feed(line, number)
        if record is None:
            return None
        if self._header is None:
            self._read_header(record)
            return None
        self._records.require_no_swallowed_row(record, self._index, len(self._header))
        return self._id_of(record, self._header)

    def _guess_delimiter(self, line: str) -> str:
        """Return the delimiter of a line with column names: a comma, or a semicolon.

        Spreadsheets write semicolons where the comma is the decimal sign; names may have either.
        """
        for delimiter in ",;":
            if any(_plain(cell) in self._wanted for cell in cells_of(line, delimiter)):
                return delimiter
        return ";" if ";" in line and "," not in line else ","

    def _read_header(self, record: Record) -> None:
        names = [_plain(name) for name in record.cells]
        if names[0].startswith("#") and not any(name in self._wanted for name in names):
            return  # a comment
        self._index = self._find_column(record.cells, names)
        self._records.delimiter = self._records.delimiter_of(record.lines[0])
        self._records.require_no_swallowed_row(record, self._index, None)
        self._header = names

    def _id_of(self, record: Record, header: list[str]) -> LineId | None:
        cells = record.cells
        cell = cells[self._index].strip() if self._index < len(cells) else ""
        if wire_id(cell) is None and (
            self._is_comment(record, cell, header) or self._is_header(record, header)
        ):
            return None
        return LineId(cell, record.number)

    def _is_comment(self, record: Record, cell: str, header: list[str]) -> bool:
        """Whether a row is a comment: ``#`` begins it, but no cell of a row that lacks its id.

        Nor is it one if its id is in another cell, because a name has a comma and no quotes.
        """
        if not record.lines[0].startswith("#"):
            return False
        if self._index == 0:
            return True
        is_row = bool(cell) and len(record.cells) == len(header)
        return not is_row and not any(map(wire_id, record.cells))

    def _is_header(self, record: Record, header: list[str]) -> bool:
        names = [_plain(name) for name in record.cells]
        if names == header:
            return True
        if len(names) > 1 and sorted(names) == sorted(header):
            raise InputError(
                f"Line {record.number} of {self._name} names the same columns in another order; "
                "put what follows it into a file of its own."
            )
        return False

    def _find_column(self, header: list[str], names: list[str]) -> int:
        found = [index for index, name in enumerate(names) if name in self._wanted]
        if len(found) == 1:
            return found[0]
        if any("@" in name or wire_id(name) for name in names):
            # Not shown: it could be personal data.
            raise InputError(
                f"The first line of {self._name} looks like data; add a line with column names "
                "above it, or use --input-format text for a file that holds only ids."
            )
        asked = " or ".join(f'"{name[:SHOWN_CHARS]}"' for name in self._wanted)
        shown = [f'"{name.strip()[:SHOWN_CHARS]}"' for name in header[:SHOWN_COLUMNS]]
        listing = ", ".join(shown + ["…"] * (len(header) > SHOWN_COLUMNS))
        if len({names[index] for index in found}) == 1:
            raise InputError(
                f"{self._name} has {len(found)} columns {asked}, so --column cannot choose; rename "
                "one of them in its first line."
            )
        trouble = "more than one column" if found else "no column"
        raise InputError(
            f"{self._name} has {trouble} {asked}; its columns are {listing}. Use --column to name "
            "the one that holds the lead ids."
        )

    def finish(self) -> None:
        """Raise ``InputError`` if a quote is open at the end."""
        self._records.finish()


def _plain(name: str) -> str:
    """Return a column's name as names are compared; some files begin with two marks."""
    return name.removeprefix("\ufeff").strip().casefold()
