"""Bytes to lead ids: text, CSV, TSV and JSON Lines, fed chunk by chunk. No I/O.

Decides what a line means and which ids are duplicates. Every line carries its number,
so that what is wrong with it can be named. A line that has no usable id still yields one
(an id that is no UUID), so that no line is lost in silence; only comments and blank lines
yield nothing.
"""

import csv
import json
from collections.abc import Iterator
from typing import Any, Literal, Protocol, Self

import msgspec

from instantly_async._api import wire_id
from instantly_async.cli.exits import InputError

InputFormat = Literal["text", "csv", "tsv", "jsonl"]

MAX_RECORD_CHARS = 1024 * 1024
"""Longest CSV record (*choice*); more means a quote that is never closed."""

_SUFFIXES: dict[str, InputFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_DEFAULT_COLUMNS = ("id", "lead_id")


def format_of(path: str) -> InputFormat:
    """Return the format that a file's name stands for; text when it says nothing."""
    lower = path.lower()
    return next((form for end, form in _SUFFIXES.items() if lower.endswith(end)), "text")


class LineId(str):
    """An id as it stands in the input; ``line`` is the number of its line, from 1."""

    __slots__ = ("line",)

    line: int

    def __new__(cls, text: str, line: int) -> Self:
        """Make one; ``text`` may be no id at all."""
        self = super().__new__(cls, text)
        self.line = line
        return self


class Format(Protocol):
    """Turns lines into ids, one line at a time."""

    def feed(self, line: str, number: int) -> LineId | None:
        """Return the id that this line completes, if any."""

    def finish(self) -> None:
        """Complain if the input ended too early."""


class TextFormat:
    """One id a line; white space around it does not count."""

    def feed(self, line: str, number: int) -> LineId | None:
        """Return the line's id; ``None`` for blank and ``#`` lines."""
        text = line.strip()
        return None if not text or text.startswith("#") else LineId(text, number)

    def finish(self) -> None:
        """Do nothing: text may end anywhere."""


class _IdOnly(msgspec.Struct, gc=False):
    id: Any = None


_ID_ONLY = msgspec.json.Decoder(_IdOnly)


def id_of_object(text: str | bytes) -> Any:
    """Return what stands under ``id`` in a JSON object, ``None`` for nothing.

    Raises:
        ValueError: it is no JSON object.
    """
    try:
        return _ID_ONLY.decode(text).id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        # Half a surrogate pair, which JavaScript writes for a cut emoji, is fine here.
        value = json.loads(text)
    except RecursionError:
        value = None
    if not isinstance(value, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - like json.loads
    return value.get("id")


class JsonLinesFormat:
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
                f"Line {number} of {self._name} is no JSON object; mend it, or say what the "
                "file is with --input-format."
            ) from None
        return LineId(value if isinstance(value, str) else "", number)

    def finish(self) -> None:
        """Do nothing: the lines stand alone."""


class CsvFormat:
    """CSV with a header; quoted fields may go over several lines.

    The id stands in ``column``; ``None``: in the one called ``id`` or ``lead_id``. Names
    are compared without case. A header with semicolons only is taken for the CSV of
    spreadsheets that write decimal commas. A row that begins with ``#`` and has no id is a
    comment.
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
        """Return the id of the record that this line completes."""
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
        """Return the record that ends with this line; ``None``: it goes on, or is blank."""
        if not self._pending:
            if not line.strip():
                return None
            self._first_line = number
            self._pending_chars = 0
        self._pending.append(line)
        self._pending_chars += len(line)
        # A line that begins inside quotes and has an even number of them ends inside them.
        goes_on = len(self._pending) > 1 and line.count('"') % 2 == 0
        row = None if goes_on else self._parse()
        if row is None:
            self._check_size()
        else:
            self._pending.clear()
        return row

    def _parse(self) -> list[str] | None:
        """Parse what is pending; ``None`` when the reader asks for more than there is."""
        asked_for_more = False

        def lines() -> Iterator[str]:
            nonlocal asked_for_more
            yield from self._pending
            asked_for_more = True

        try:
            row = next(csv.reader(lines(), delimiter=self._delimiter_of(self._pending[0])))
        except csv.Error as error:
            raise InputError(
                f"Line {self._first_line} of {self._name} is not CSV ({error}); mend it, or say "
                "what the file is with --input-format."
            ) from None
        return None if asked_for_more else row

    def _delimiter_of(self, line: str) -> str:
        if self._delimiter is None:
            return ";" if ";" in line and "," not in line else ","
        return self._delimiter

    def _check_size(self) -> None:
        if self._pending_chars > MAX_RECORD_CHARS:
            self._complain_about_quote()

    def _complain_about_quote(self) -> None:
        raise InputError(
            f'A quote (") that begins in line {self._first_line} of {self._name} is never '
            "closed; mend that line."
        )

    def _find_column(self, header: list[str]) -> int:
        names = [name.strip().casefold() for name in header]
        wanted = _DEFAULT_COLUMNS if self._column is None else (self._column.strip().casefold(),)
        found = [index for index, name in enumerate(names) if name in wanted]
        if len(found) == 1:
            return found[0]
        if any("@" in name or wire_id(name) for name in names):
            # Not shown: it could be a person.
            raise InputError(
                f"The first line of {self._name} looks like data; put column names on top of "
                "it, or use --input-format text for a file with nothing but ids."
            )
        asked = " or ".join(f'"{name}"' for name in wanted)
        trouble = "more than one column" if found else "no column"
        listing = ", ".join(f'"{name.strip()[:40]}"' for name in header)
        raise InputError(
            f"{self._name} has {trouble} {asked}; its columns are {listing}: name the one with "
            "the lead ids with --column."
        )

    def finish(self) -> None:
        """Complain about a record whose quotes are open at the end of the input."""
        if self._pending:
            self._complain_about_quote()
        if self._index is None:
            raise InputError(f"{self._name} has no line with column names; put one on top.")
