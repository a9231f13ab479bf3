"""Which column or key holds the lead ids, and the sentence if none does. Pure."""

import difflib
import re
from collections.abc import Iterable, Sequence

from instantly_async._api import BLANK

from .cells import QUOTES, holds_id, mentions_id

ID_NAMES = ("instantly_lead_id", "lead_id", "id", "uuid")
"""Names of ids of leads, the most specific one first.

Case, blanks, quotes and ``_-./:`` are ignored.
"""

SHOWN_NAMES, SHOWN_CHARS = 20, 40
"""Names that a message lists at most, and characters of a name that it shows (*choice*)."""

_OF_LEAD = re.compile("lead(?:id|uuid)")
"""In a longer name, such as *Lead ID (Instantly)*: ``id`` beside it is that of something else."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PERSONAL = re.compile(r"@|\uff20|\(at\)|://|(?:[0-9][^0-9]*){5}", re.IGNORECASE)
"""Parts of emails, addresses and phone numbers."""

_REMOVED = {ord(character): None for character in BLANK + QUOTES + "_-./:"}


def plain(name: str) -> str:
    """Return a name as names are compared.

    >>> plain("Lead ID") == plain("lead_id") == plain("leadId")
    True
    """
    return name.translate(_REMOVED).casefold()


_RANKS = {plain(name): rank for rank, name in enumerate(ID_NAMES)}


def rank_of(name: str) -> int | None:
    """Return how specific a name of ids is, 0 for the most; ``None``: it is not one."""
    return _RANKS.get(plain(name))


def matches(names: Sequence[str], column: str | None) -> list[int]:
    """Return which names are meant; several, if they cannot be told apart.

    ``column``: the name that the user gave, for which an exact spelling comes first; ``None``: the
    most specific of ``ID_NAMES``.
    """
    if column is None:
        ranks = [rank_of(name) for name in names]
        best = min((rank for rank in ranks if rank is not None), default=None)
        if best is None:
            return []
        is_bare = best >= ID_NAMES.index("id")
        return [
            index
            for index, rank in enumerate(ranks)
            if rank == best or (is_bare and _OF_LEAD.search(plain(names[index])))
        ]
    for form in (str, _without_blanks, plain):
        if found := [index for index, name in enumerate(names) if form(name) == form(column)]:
            return found
    return []


def _without_blanks(name: str) -> str:
    return name.strip(BLANK).casefold()


def looks_like_data(names: Iterable[str]) -> bool:
    """Whether names hold an email, a phone number or an id, which could be personal data."""
    return any(
        mentions_id(name) or holds_id(name) or _PERSONAL.search(_DATE.sub("", name))
        for name in names
    )


def listed(names: Sequence[str]) -> str:
    """Return some of the names, and the beginning of long ones, for a message; no empty ones."""
    names = [name for name in names if name.strip()]
    shown = [_shown(name) for name in names[:SHOWN_NAMES]]
    return ", ".join(shown + ["…"] * (len(names) > SHOWN_NAMES))


def wanted(column: str | None, noun: str = "column") -> str:
    """Return what is looked for, for a message."""
    return f"{noun} with lead ids" if column is None else f"{noun} {_shown(column)}"


def nearest(names: Sequence[str], column: str | None) -> str:
    """Return an option that names the nearest column, or any: the end of a message."""
    by_plain = {plain(name): name for name in reversed(names)}
    for each in ID_NAMES if column is None else (column,):
        if close := difflib.get_close_matches(plain(each), by_plain, n=1, cutoff=0.6):
            return f"the nearest is {_shown(by_plain[close[0]])} (--column)"
    return "use --column to name the one that holds the lead ids"


def _shown(name: str) -> str:
    return f'"{name.strip(BLANK)[:SHOWN_CHARS]}"'
