"""What entries look like, if none of them is a lead id. Pure: texts in, a sentence out.

Each kind is one row of a table. The texts themselves are never shown: they may be personal data.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from .understood import Understood


class Look(NamedTuple):
    """What every entry ``is`` if it matches ``pattern``, and the ``remedy``."""

    pattern: re.Pattern[str]
    is_: str
    remedy: str


def _look(pattern: str, is_: str, remedy: str) -> Look:
    return Look(re.compile(pattern, re.IGNORECASE | re.DOTALL), is_, remedy)


_UUID = r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}"
_GREP = "grep -oE '[0-9a-fA-F-]{36}' FILE | instantly-async fetch"
_NAME_IDS = "name a file with the leads' ids"

_LOOKS = (
    _look("", "empty values", "use --column to name the one that holds the lead ids"),
    _look(
        rf"[^0-9a-z]*{_UUID}[^0-9a-z]*",
        "UUIDs with other characters around them",
        "remove these characters",
    ),
    _look(
        rf"[a-z][a-z0-9+.-]*://.*{_UUID}.*",
        "web addresses",
        "write only the ids, one per line",
    ),
    _look(r"[a-z][a-z0-9+.-]*://.*", "web addresses", _NAME_IDS),
    _look(r"[^,;\t]*@[^,;\t]*", "emails", "leads are fetched by id, so name ids or their column"),
    _look(r"[\[{].*|.*[\]}],?|\".*\"\s*:.*", "JSON", "write its ids one per line, with jq -r"),
    _look(r"[^\t]*\t.*", "rows of a table", "add --input-format tsv, and --column"),
    _look(rf".*\b{_UUID}\b.*", "UUIDs beside other text", f"write only the ids: {_GREP}"),
    _look(
        r"(?=.*[0-9])[-+0-9.,()\s]+",
        "numbers",
        _NAME_IDS,
    ),
    _look(r"[^,;]*[,;].*", "rows of a table", "add --input-format csv, and --column"),
)

_COLUMN_NAME = re.compile(r"[^\W\d][\w -]*")


def no_lead_ids(
    entries: Sequence[str], name: str, understood: Understood, first: int | None = None
) -> str:
    """Return the sentence about an input without a valid id, which has at least one entry.

    ``entries`` are some that are not empty, or an empty one. ``first``: how many were read;
    ``None``: all.
    """
    if understood.missing is not None and not any(entries):
        return understood.missing
    place = f'{name} (column "{understood.column}")' if understood.column else name
    form = understood.form
    body = entries[_COLUMN_NAME.fullmatch(entries[0]) is not None :] or entries
    for look in _LOOKS:
        is_read_so = look.remedy.startswith("add --input-format") and form != "text"
        if is_read_so or not all(map(look.pattern.fullmatch, body)):
            continue
        if first is None:
            return f"{place} holds {look.is_} and no lead ids, which are UUIDs; {look.remedy}."
        return (
            f"The first {first} entries of {place} are {look.is_} and no lead ids, which are "
            f"UUIDs; {look.remedy}."
        )
    if first is None:
        return (
            f"No entry of {place} is a lead id, which is a UUID; check the file, and that its "
            f"format is {form} (--input-format, --column)."
        )
    return (
        f"None of the first {first} entries of {place} is a lead id, which is a UUID; check the "
        f"file, and that its format is {form} (--input-format, --column)."
    )
