"""The formats of the input: text, CSV, TSV and JSON Lines. From lines to ids, without I/O.

Every id carries the number of its line, so that messages can name it. A line without a usable id
still yields one (which is not a UUID), so that no line is lost silently; only comments and blank
lines yield nothing.
"""

import csv
from collections.abc import Iterator
from typing import Literal, Protocol

from instantly_async._api import wire_id
from instantly_async.cli.exits import InputError
from instantly_async.cli.records import LineId, id_of_object

InputFormat = Literal["text", "csv", "tsv", "jsonl"]

MAX_RECORD_CHARS = 1024 * 1024
"""Longest CSV record (*choice*); a longer one means a quote that is never closed."""

SHOWN_COLUMNS, SHOWN_CHARS = 20, 40
"""Columns that a message lists at most, and characters of a name that it shows (*choice*)."""

_SUFFIXES: dict[str, InputFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_DEFAULT_COLUMNS = ("id", "lead_id")


def format_of(path: str) -> InputFormat:
    """Return the format for a file's name; text if the suffix is unknown."""
    lower = path.lower()
    return next((form for end, form in _SUFFIXES.items() if lower.endswith(end)), "text")


class LineParser(Protocol):
    """Parses ids from lines, one line at a time."""

    def feed(self, line: str, number: int) -> LineId | None:
        """Return the id that this line completes; ``None``: it completes none."""

    def finish(self) -> None:
        """Raise ``InputError`` if the input ended too early."""


class TextParser:
    """One id a line; white space around it is ignored."""

    def feed(self, line: str, number: int) -> LineId | None:
        """Return the line's id; ``None`` for blank and ``#`` lines."""
        text = line.strip()
        return None if not text or text.startswith("#") else LineId(text, number)

    def finish(self) -> None:
        """Do nothing: text may end anywhere."""


class JsonLinesParser:
    """One JSON object a line, with its id under ``id``: also what ``fetch`` writes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def feed(self, line: str, number: int) -> LineId | None:
        """Return the object's ``id``, an empty one when it has none."""
        text = line.strip()
        if not text or text.startswith("#"):
            return None
        try:
            value = id_of_object(text)
        except ValueError:
            raise InputError(
                f"Line {number} of {self._name} is not a JSON object; fix it, or use "
                "--input-format to name the file's format."
            ) from None
        return LineId(value.strip() if isinstance(value, str) else "", number)

    def finish(self) -> None:
        """Do nothing: each line is complete."""


class CsvParser:
    """CSV with a header; quoted fields may span several lines.

    The id is in ``column``; ``None``: in the column ``id`` or ``lead_id``. Names are compared
    ignoring case. A header with semicolons and no commas means that semicolons separate cells, as
    spreadsheets do where the comma is the decimal sign. A row that begins with ``#`` and has no
    id is a comment.
    """

    def __init__(self, name: str, column: str | None = None, delimiter: str | None = None) -> None:
        self._name = name
        self._column = column
        self._delimiter = delimiter
        self._index: int | None = None
        self._pending: list[str] = []
        self._pending_chars = 0
        self._first_line = 0

    def feed(self, line: str, number: int) -> LineId | None:
        row = self._complete(line, number)
        if row is None:
            return None
        if self._index is None:
            if not row[0].lstrip().startswith("#"):
                self._index = self._find_column(row)
                self._delimiter = self._delimiter_of(line)
            return None
        cell = row[self._index].strip() if self._index < len(row) else ""
        if row[0].startswith("#") and wire_id(cell) is None:
            return None
        return LineId(cell, self._first_line)

    def _complete(self, line: str, number: int) -> list[str] | None:
        """Return the record that ends with this line; ``None``: it continues, or is blank."""
        if not self._pending:
            if not line.strip():
                return None
            self._first_line = number
            self._pending_chars = 0
        self._pending.append(line)
        self._pending_chars += len(line)
        # A line that begins inside quotes is parsed alone, as the beginning of a quoted cell: to
        # parse the whole record for each of its lines would take quadratic time.
        continues = len(self._pending) > 1 and self._parse([f'"{line}']) is None
        row = None if continues else self._parse(self._pending)
        if row is None:
            self._check_size()
        else:
            self._pending.clear()
        return row

    def _parse(self, record: list[str]) -> list[str] | None:
        """Parse the lines of a record; return ``None`` if it continues after them."""
        asked_for_more = False

        def lines() -> Iterator[str]:
            nonlocal asked_for_more
            yield from record
            asked_for_more = True

        try:
            row = next(csv.reader(lines(), delimiter=self._delimiter_of(self._pending[0])))
        except csv.Error as error:
            raise InputError(
                f"Line {self._first_line} of {self._name} is not CSV ({error}); fix it, or use "
                "--input-format to name the file's format."
            ) from None
        return None if asked_for_more else row

    def _delimiter_of(self, line: str) -> str:
        if self._delimiter is None:
            return ";" if ";" in line and "," not in line else ","
        return self._delimiter

    def _check_size(self) -> None:
        if self._pending_chars > MAX_RECORD_CHARS:
            raise self._open_quote()

    def _open_quote(self) -> InputError:
        return InputError(
            f'A quote (") that begins in line {self._first_line} of {self._name} is never '
            "closed; fix that line."
        )

    def _find_column(self, header: list[str]) -> int:
        names = [name.strip().casefold() for name in header]
        wanted = _DEFAULT_COLUMNS if self._column is None else (self._column.strip().casefold(),)
        found = [index for index, name in enumerate(names) if name in wanted]
        if len(found) == 1:
            return found[0]
        if any("@" in name or wire_id(name) for name in names):
            # Not shown: it could be personal data.
            raise InputError(
                f"The first line of {self._name} looks like data; add a line with column names "
                "above it, or use --input-format text for a file that holds only ids."
            )
        asked = " or ".join(f'"{name[:SHOWN_CHARS]}"' for name in wanted)
        trouble = "more than one column" if found else "no column"
        shown = [f'"{name.strip()[:SHOWN_CHARS]}"' for name in header[:SHOWN_COLUMNS]]
        listing = ", ".join(shown + ["…"] * (len(header) > SHOWN_COLUMNS))
        raise InputError(
            f"{self._name} has {trouble} {asked}; its columns are {listing}. Use --column to name "
            "the one that holds the lead ids."
        )

    def finish(self) -> None:
        """Raise ``InputError`` if a quote is open at the end, or if there is no header."""
        if self._pending:
            raise self._open_quote()
        if self._index is None:
            raise InputError(f"{self._name} has no line with column names; add one at the top.")
