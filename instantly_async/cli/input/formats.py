"""The formats of the input, and which one a file's name or its first line shows. Pure."""

import re
from typing import Literal

from instantly_async.cli.system import compression_of_name

from .cells import holds_id
from .csv_ids import separator_of
from .csv_records import cells_of
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
_JSON_LINE = re.compile(r"\{.*\}\s*")
_PAGE = re.compile(r'\{\s*"(?:items|leads|data|results|ids|lead_ids)"\s*:\s*(?:\[|$)')


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
    """Whether a first line of JSON is a whole object, and not one with an array of leads."""
    return _JSON_LINE.fullmatch(line) is not None and _PAGE.match(line) is None


def is_table(line: str) -> bool:
    """Whether a first line is a row of CSV: it names a column of ids, or has an id and other cells.

    A line of several ids, or of one in quotes and with a comma behind it, is text.
    """
    if separator_of(line):
        return True
    for delimiter in DELIMITERS:
        cells = [cell for cell in cells_of(line, delimiter) if cell.strip()]
        are_ids = list(map(holds_id, cells))
        if len(cells) > 1 and (
            (any(are_ids) and not all(are_ids)) or any(rank_of(cell) is not None for cell in cells)
        ):
            return True
    return False
