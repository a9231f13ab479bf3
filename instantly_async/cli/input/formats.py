"""The formats of the input, and which one a file's name or its first line shows. Pure."""

import re
from collections.abc import Sequence
from typing import Literal

from instantly_async._api import wire_id
from instantly_async.cli.system import compression_of_name

from .cells import mentions_id, tidy, words_of
from .csv_ids import separator_of
from .csv_records import cells_of
from .json_ids import LIST_KEYS, decode, depth_of, has_id, members_of
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

_JSON = re.compile(r'\s*(?:\[\s*(?:["\[\]{]|null\b|$)|\{\s*(?:"|\}|$))')


def format_of_name(path: str) -> InputFormat | None:
    """Return the format that the end of a name shows; ``None``: none, such as ``.txt``."""
    lower = path.lower()
    if compression := compression_of_name(path):
        lower = lower.removesuffix(compression.suffix)
    return next((form for end, form in SUFFIXES.items() if lower.endswith(end)), None)


def is_json(line: str) -> bool:
    """Whether a first line begins JSON. An id in braces or brackets does not."""
    return _JSON.match(line) is not None


def is_json_lines(line: str, column: str | None) -> bool:
    """Whether a first line of JSON is a whole object, and not a page: one with an array of leads.

    An object that has such an array and an id of its own is not a page.
    """
    try:
        value = decode(line)
    except ValueError:
        return False
    if not isinstance(value, dict):
        return False
    members = dict(members_of(value, depth_of(column)))
    has_list = any(isinstance(value.get(key), list) for key in LIST_KEYS)
    return has_id(members, column) or not has_list


def is_table(line: str) -> bool:
    """Whether a first line is a row of CSV: it names a column of ids, or has an id and other cells.

    A line of which most cells are ids, or of one in quotes and with a comma behind it, is text. So
    is a line that has other ids as text than as a table, which would lose them. A quote that is
    open at its end belongs to a name of two lines.
    """
    if separator_of(line) or (line.count('"') % 2 and not mentions_id(line)):
        return True
    ids = list(filter(wire_id, words_of(line)))
    return any(_is_row(cells_of(line, delimiter), ids) for delimiter in DELIMITERS)


def _is_row(cells: Sequence[str], ids: Sequence[str]) -> bool:
    filled = [tidy(cell) for cell in cells if cell.strip()]
    in_cells = list(filter(wire_id, filled))
    others = [cell for cell in filled if wire_id(cell) is None]
    if len(filled) < 2 or any(map(mentions_id, others)):
        return False
    if not in_cells:
        return any(rank_of(cell) is not None for cell in others)
    return len(others) >= len(in_cells) and in_cells == ids
