"""What entries look like, if none of them is what is sought. Pure: texts in, a sentence out.

Each kind is one row of a table. The texts themselves are never shown: they may be personal data.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from instantly_async.cli.records import Noun

from .sought import EMAILS, IDS, Sought
from .understood import Understood


class Look(NamedTuple):
    """What every entry ``is`` if it matches ``pattern``, and the ``remedy``."""

    pattern: re.Pattern[str]
    is_: str
    remedy: str


def _look(pattern: str, is_: str, remedy: str) -> Look:
    return Look(re.compile(pattern, re.IGNORECASE | re.DOTALL), is_, remedy)


_UUID = r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}"
_EMAIL = r"[^\s@<>,;:\"()\[\]]+@[^\s@<>,;:\"()\[\]]+"
_GREP = "grep -oE '[0-9a-fA-F-]{36}' FILE | instantly-async fetch"
_NAME_IDS = "name a file with the leads' ids"
_NAME_EMAILS = "name a file with emails"

_EMPTY = "use --column to name the one that holds the {}"
_JSON = _look(r"[\[{].*|.*[\]}],?|\".*\"\s*:.*", "JSON", "write its {} one per line, with jq -r")
_TSV = _look(r"[^\t]*\t.*", "rows of a table", "add --input-format tsv, and --column")
_CSV = _look(r"[^,;]*[,;].*", "rows of a table", "add --input-format csv, and --column")
_URL = r"[a-z][a-z0-9+.-]*://.*"
_NUMBER = r"(?=.*[0-9])[-+0-9.,()\s]+"

_LOOKS: dict[Noun, tuple[Look, ...]] = {
    "id": (
        _look("", "empty values", _EMPTY.format(IDS.kind)),
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
        _look(_URL, "web addresses", _NAME_IDS),
        _look(r"[^,;\t]*@[^,;\t]*", "emails", f"{EMAILS.switch}, or name the ids or their column"),
        _JSON._replace(remedy=_JSON.remedy.format(IDS.nouns)),
        _TSV,
        _look(rf".*\b{_UUID}\b.*", "UUIDs beside other text", f"write only the ids: {_GREP}"),
        _look(_NUMBER, "numbers", _NAME_IDS),
        _CSV,
    ),
    "email": (
        _look("", "empty values", _EMPTY.format(EMAILS.kind)),
        _look(rf"[^0-9a-z]*{_UUID}[^0-9a-z]*", "lead ids", IDS.switch),
        _JSON._replace(remedy=_JSON.remedy.format(EMAILS.nouns)),
        _look(_URL, "web addresses", _NAME_EMAILS),
        _TSV,
        _look(
            rf".*{_EMAIL}.*@.*", "several emails in each entry", "write one email per line or cell"
        ),
        _look(
            rf".*{_EMAIL}.*",
            "emails beside other text",
            "write only the emails, one per line",
        ),
        _look(_NUMBER, "numbers", _NAME_EMAILS),
        _CSV,
    ),
}

_COLUMN_NAME = re.compile(r"[^\W\d][\w -]*")


def none_valid(
    entries: Sequence[str],
    name: str,
    sought: Sought,
    understood: Understood,
    first: int | None = None,
) -> str:
    """Return the sentence about an input without a valid id, which has at least one entry.

    ``entries`` are some that are not empty, or an empty one. ``first``: how many were read;
    ``None``: all.
    """
    if understood.missing is not None and not any(entries):
        return understood.missing
    place = f'{name} (column "{understood.column}")' if understood.column else name
    look = _look_of(entries, sought, understood)
    if look is None:
        return _unclear(place, sought, understood, first)
    lacks = "" if sought.kind in look.is_ else f" and no {sought.kind}{sought.are}"
    what = f"{look.is_}{lacks}; {look.remedy}"
    if first is None:
        return f"{place} holds {what}."
    return f"The first {first} entries of {place} are {what}."


def _look_of(entries: Sequence[str], sought: Sought, understood: Understood) -> Look | None:
    body = entries[_COLUMN_NAME.fullmatch(entries[0]) is not None :] or entries
    for look in _LOOKS[sought.noun]:
        is_read_so = look.remedy.startswith("add --input-format") and understood.form != "text"
        if not is_read_so and all(map(look.pattern.fullmatch, body)):
            return look
    return None


def _unclear(place: str, sought: Sought, understood: Understood, first: int | None) -> str:
    entries = (
        f"No entry of {place}" if first is None else f"None of the first {first} entries of {place}"
    )
    return (
        f"{entries} is {sought.one}; check the file, and that its format is {understood.form} "
        "(--input-format, --column)."
    )
