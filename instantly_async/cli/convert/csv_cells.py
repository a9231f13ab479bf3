"""Cells and rows of CSV (RFC 4180): delimiter, quotes, and the escape of formulas. Pure."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from instantly_async._arrow import ColumnKind

from .columns import any_text, is_text, json_text

_DELIMITER = ","

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What spreadsheets may treat as the beginning of a formula (OWASP)."""

_is_plain_number = re.compile(r"(?=\D*\d)[+-]?[\d ().-]+", re.ASCII).fullmatch
"""Such as ``+1 (202) 555-0125``: it calls no function and refers to no cell."""

_NEEDS_QUOTES = re.compile(rf'["{_DELIMITER}\r\n]').search


class Guard:
    """Escapes formulas and quotes cells; ``count`` says how many began like a formula."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, text: str) -> str:
        guarded = guard_cell(text)
        self.count += guarded is not text
        return quote_cell(guarded)

    def describe(self) -> str | None:
        """Return a sentence about the escaped cells; ``None``: there are none."""
        if not self.count:
            return None
        one = self.count == 1
        cells = (
            "1 cell begins like a formula" if one else f"{self.count:,} cells begin like formulas"
        )
        them = "it" if one else "them"
        return f"{cells}, so a ' is in front of {them}; --csv-raw leaves it out."


def csv_formatter(kind: ColumnKind, text: Callable[[str], str]) -> Callable[[Any], str]:
    """Return the function that makes a cell of a value of this kind, quoted where needed.

    ``text`` does that for texts: a ``Guard``, or ``quote_cell``. Other values cannot be formulas.
    """
    formatters: dict[ColumnKind, Callable[[Any], str]] = {
        ColumnKind.TEXT: text,
        ColumnKind.INTEGER: str,
        ColumnKind.BOOLEAN: {True: "true", False: "false"}.__getitem__,
        ColumnKind.TIME: _iso,
        ColumnKind.JSON: lambda raw: quote_cell(json_text(raw)),
        ColumnKind.ANY: lambda raw: (text if is_text(raw) else quote_cell)(any_text(raw)),
    }
    return formatters[kind]


def guard_cell(text: str) -> str:
    """Put a quote before a text that a spreadsheet could treat as a formula.

    >>> guard_cell("=1+1")
    "'=1+1"
    >>> guard_cell("+1 (202) 555-0125")
    '+1 (202) 555-0125'
    """
    return f"'{text}" if text.startswith(_FORMULA) and not _is_plain_number(text) else text


# Not csv.writer: it checks each character, which takes 25 of 60 µs a lead.
def quote_cell(text: str) -> str:
    """Quote a cell where RFC 4180 requires it.

    >>> quote_cell('say "hi" twice')
    '"say ""hi"" twice"'
    """
    return '"{}"'.format(text.replace('"', '""')) if _NEEDS_QUOTES(text) else text


def csv_row(cells: Iterable[str]) -> bytes:
    """Join cells. A single empty cell is quoted, because readers skip blank lines."""
    return (_DELIMITER.join(cells) or '""').encode() + b"\r\n"


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
