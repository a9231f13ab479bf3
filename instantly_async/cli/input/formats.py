"""The formats of the input, and which one a file's name or its first line shows. Pure."""

import re
from collections.abc import Sequence
from typing import Literal

from instantly_async.cli.system import compression_of_name

from .csv_ids import separator_of
from .csv_records import cells_of
from .json_documents import first_elements
from .json_ids import decode
from .sought import Sought
from .understood import DELIMITERS

InputFormat = Literal["text", "csv", "tsv", "json", "jsonl", "excel"]

SUFFIXES: dict[str, InputFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xlsb": "excel",
    ".xls": "excel",
    ".ods": "excel",
}
"""Ends of names. ``json`` is one document or one value per line, as its beginning shows."""

_NUMBER = r"-?[0-9]{1,20}(?:\.[0-9]+)?(?:[Ee][-+]?[0-9]+)?"  # too short for an id
_JSON = re.compile(
    rf"""\s*(?:\[\s*(?:["\[\]{{]|(?:null|true|false|{_NUMBER})\s*(?:,|\]?\s*$)|$)"""
    r"""|\{\s*(?:"|\}|$))"""
)


def format_of_name(path: str) -> InputFormat | None:
    """Return the format that the end of a name shows; ``None``: none, such as ``.txt``."""
    lower = _without_compression(path)
    return next((form for end, form in SUFFIXES.items() if lower.endswith(end)), None)


def names_lines(path: str) -> bool:
    """Whether the end of a name says that a file of JSON has one value per line."""
    return _without_compression(path).endswith((".jsonl", ".ndjson"))


def _without_compression(path: str) -> str:
    lower = path.lower()
    if compression := compression_of_name(path):
        lower = lower.removesuffix(compression.suffix)
    return lower


def is_json(line: str) -> bool:
    """Whether a first line begins JSON. An id in braces or brackets does not."""
    return _JSON.match(line) is not None


def is_json_lines(line: str, column: str | None, sought: Sought, *, is_cut: bool) -> bool:
    """Whether a first line of JSON is a whole object, and not a page: one with a list of leads.

    ``is_cut``: only the beginning of the line is known, and the name says that there are lines.
    """
    if not (line.lstrip().startswith("{") if is_cut else _is_object(line)):
        return False
    elements = first_elements(line, column, sought)
    has_several = is_cut and elements.count
    return not elements.is_page and not has_several


def _is_object(line: str) -> bool:
    try:
        return isinstance(decode(line), dict)
    except ValueError:
        return False


def is_table(line: str, sought: Sought) -> bool:
    """Whether a first line is a row of CSV: it names a column of ids, or has an id and other cells.

    A line of which most cells are ids, or of one in quotes and with a comma behind it, is text. So
    is a line that has other ids as text than as a table, which would lose them. A quote that is
    open at its end belongs to a name of two lines.
    """
    if separator_of(line) or (line.count('"') % 2 and not sought.mentioned.search(line)):
        return True
    ids = list(filter(sought.wire, sought.words_of(line)))
    return any(_is_row(cells_of(line, delimiter), ids, sought) for delimiter in DELIMITERS)


def _is_row(cells: Sequence[str], ids: Sequence[str], sought: Sought) -> bool:
    filled = [sought.tidy(cell) for cell in cells if cell.strip()]
    in_cells = list(filter(sought.wire, filled))
    others = [cell for cell in filled if sought.wire(cell) is None]
    if len(filled) < 2 or any(map(sought.mentioned.search, others)):
        return False
    if not in_cells:
        return any(sought.names.rank_of_column(cell) is not None for cell in others)
    return len(others) >= len(in_cells) and in_cells == ids
