"""The formats of the input, and which one a file's name or its first line shows. Pure."""

import re
from collections.abc import Sequence
from typing import Literal

from instantly_async.cli.system import compression_of_name

from .cells import holds_id
from .csv_ids import separator_of
from .csv_records import cells_of
from .json_ids import LIST_KEYS, decode_json, has_id, members_of
from .names import rank_of
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

_JSON = re.compile(r'(?:\[\s*(?:["\[\]{]|$)|\{\s*(?:"|\}|$))')


def format_of_name(path: str) -> InputFormat | None:
    """Return the format that the end of a name shows; ``None``: none, such as ``.txt``."""
    lower = path.lower()
    if compression := compression_of_name(path):
        lower = lower.removesuffix(compression.suffix)
    return next((form for end, form in SUFFIXES.items() if lower.endswith(end)), None)


def is_json(line: str) -> bool:
    """Whether a first line begins JSON. An id in braces or brackets does not."""
    return _JSON.match(line) is not None


def is_json_lines(line: str) -> bool:
    """Whether a first line of JSON is a whole value, and not an array or a page of leads."""
    try:
        value = decode_json(line)
    except ValueError:
        return False
    if not isinstance(value, dict):
        return isinstance(value, str)
    return has_id(dict(members_of(value, 2))) or not any(
        isinstance(value.get(key), list) for key in LIST_KEYS
    )


def is_table(line: str) -> bool:
    """Whether a first line is a row of CSV: it names a column of ids, or has an id and other cells.

    A line of which most cells are ids, or of one in quotes and with a comma behind it, is text.
    """
    return separator_of(line) is not None or any(
        _is_row(cells_of(line.partition(" #")[0], delimiter)) for delimiter in DELIMITERS
    )


def _is_row(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell.strip()]
    ids = sum(map(holds_id, filled))
    has_name = any(rank_of(cell) is not None for cell in filled)
    return len(filled) > 1 and (has_name or 0 < 2 * ids <= len(filled))
