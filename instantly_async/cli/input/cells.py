"""What may be around an id in a cell, on a line, or in a string. Pure."""

import re
from collections.abc import Iterator

from instantly_async._api import BLANK, wire_id

QUOTES = "\"'`\xb4\xab\xbb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a"
AROUND = BLANK + QUOTES + "()[]<>,;="  # ="…" is Excel's

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
    return wire_id(tidy(cell)) is not None


def ids_of_line(line: str) -> Iterator[str]:
    """Yield the ids of a line of text, tidied: usually one; a text without any is one invalid id.

    Several are separated by commas, semicolons, bars or blanks. A ``#`` behind ids begins a
    comment. Other texts beside an id are invalid ids.
    """
    whole = tidy(line)
    if not whole or whole.startswith("#"):
        return
    words = (
        [whole] if wire_id(whole) else [each for each in _BETWEEN.split(line) if each.strip(AROUND)]
    )
    if not any(map(holds_id, words)):
        yield whole
        return
    for number, word in enumerate(words):
        if word.startswith("#") and all(map(holds_id, words[:number])):
            return
        yield tidy(word)
