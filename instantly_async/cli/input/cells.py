"""What may be around an id in a cell, on a line, or in a string. Pure."""

import re

from instantly_async._api import BLANK, wire_id

QUOTES = "\"'`\xb4\xab\xbb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a"
AROUND = BLANK + QUOTES + "()[]<>,;="  # ="…" is Excel's

_LEAST_CHARS = 32  # digits, without hyphens
_BULLETS = "-*\u2022"
_MENTIONED = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_BETWEEN = re.compile(r"[\s,;|]+")


def tidy(cell: str) -> str:
    """Return the id of a cell in the form that is sent; if it has none, its text.

    >>> tidy(' ="019A3F62-5400-731D-8823-34022F8832C4"'), tidy(" Ada ")
    ('019a3f62-5400-731d-8823-34022f8832c4', 'Ada')
    """
    if (lead_id := wire_id(cell)) is not None:
        return lead_id
    return wire_id(cell.strip(AROUND)) or cell.strip(BLANK)


def holds_id(cell: str) -> bool:
    """Whether a cell is an id, apart from what may be around it."""
    return len(cell) >= _LEAST_CHARS and wire_id(tidy(cell)) is not None


def mentions_id(text: str) -> bool:
    """Whether a text has an id among other characters."""
    return _MENTIONED.search(text) is not None


def words_of(line: str) -> list[str]:
    """Return the texts of a line, tidied, without a comment behind ids, which ``#`` begins.

    They are separated by commas, semicolons, bars or blanks.
    """
    words = [tidy(word) for word in _BETWEEN.split(line) if word.strip(AROUND + _BULLETS)]
    note = next((number for number, word in enumerate(words) if word.startswith("#")), None)
    return words[:note] if all(map(wire_id, words[:note])) else words


def ids_of_line(line: str) -> list[str]:
    """Return the ids of a line of text, tidied: usually one; a line without any is one invalid id.

    Other texts between ids are invalid ids, unless there are as many as ids: such a line is a row
    of a table, and as a whole one invalid id.
    """
    whole = tidy(line)
    if whole.startswith("#") or not line.strip(AROUND):
        return []
    if wire_id(whole) is not None:
        return [whole]
    words = words_of(line)
    ids = list(filter(wire_id, words))
    return words if 2 * len(ids) > len(words) else [whole]
