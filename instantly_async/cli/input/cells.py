"""What may be around an id or an email in a cell, on a line, or in a string. Pure."""

import re

from instantly_async._api import BLANK, wire_email, wire_id

QUOTES = "\"'`\xb4\xab\xbb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a"
AROUND = BLANK + QUOTES + "()[]<>,;="  # ="…" is Excel's

_LEAST_CHARS = 32  # digits, without hyphens
_AROUND_NAMED = BLANK + QUOTES + ",;="  # but not the > of "Ada <ada@example.com>",


def tidy_id(cell: str) -> str:
    """Return the id of a cell in the form that is sent; if it has none, its text.

    >>> tidy_id(' ="019A3F62-5400-731D-8823-34022F8832C4"'), tidy_id(" Ada ")
    ('019a3f62-5400-731d-8823-34022f8832c4', 'Ada')
    """
    if (lead_id := wire_id(cell)) is not None:
        return lead_id
    return wire_id(cell.strip(AROUND)) or cell.strip(BLANK)


def holds_id(cell: str) -> bool:
    """Whether a cell is an id, apart from what may be around it."""
    return len(cell) >= _LEAST_CHARS and wire_id(tidy_id(cell)) is not None


def email_in(cell: str) -> str | None:
    """Return the email of a cell, in its spelling; ``None``: it has none, or several."""
    # Without quotes first: wire_email takes some of them for characters of an address.
    return wire_email(cell.strip(_AROUND_NAMED)) or wire_email(cell.strip(AROUND))


def tidy_email(cell: str) -> str:
    """Return the email of a cell; if it has none, its text.

    >>> tidy_email("'Ada Lovelace' <Ada@example.com>,"), tidy_email(" Ada ")
    ('Ada@example.com', 'Ada')
    """
    return email_in(cell) or cell.strip(BLANK)


def holds_email(cell: str) -> bool:
    """Whether a cell is an email, apart from what may be around it."""
    return "@" in cell and email_in(cell) is not None


MENTIONED_ID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
"""An id among other characters."""

MENTIONED_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]]@\w")
"""An email among other characters."""
