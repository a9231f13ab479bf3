"""The formats of the input, and which one a file's name or its first line shows. Pure."""

import re
from typing import Literal

from instantly_async.cli.system import compression_of_name

from .cells import holds_id, ids_of_line, tidy
from .csv_ids import separator_of
from .csv_records import cells_of
from .json_ids import LIST_KEYS, decode, depth_of, id_paths, members_of
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
    return not any(isinstance(value.get(key), list) for key in LIST_KEYS) or any(
        holds_id(members[path]) for path in id_paths(members, column)
    )


def is_table(line: str) -> bool:
    """Whether a first line is a row of CSV: it names a column of ids, or has an id and other cells.

    A line of several ids, or of one in quotes and with a comma behind it, is text. So is a line
    that has other ids as text than as a table, which would lose them.
    """
    if separator_of(line):
        return True
    ids = list(filter(holds_id, ids_of_line(line)))
    for delimiter in DELIMITERS:
        cells = [cell for cell in cells_of(line, delimiter) if cell.strip()]
        in_cells = [tidy(cell) for cell in cells if holds_id(cell)]
        has_names = any(rank_of(cell) is not None for cell in cells)
        if len(cells) > 1 and (has_names or (0 < len(in_cells) < len(cells) and in_cells == ids)):
            return True
    return False
