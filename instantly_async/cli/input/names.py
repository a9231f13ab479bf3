"""Names of columns and keys: how they are compared, and shown in messages. Pure."""

import re
from collections.abc import Sequence

from instantly_async._api import BLANK

from .cells import QUOTES

SHOWN_NAMES, SHOWN_CHARS = 20, 40
"""Names that a message lists at most, and characters of a name that it shows (*choice*)."""

_REMOVED = {ord(character): None for character in BLANK + QUOTES + "_-./:"}
_DIGITS = re.compile("[0-9]")


def plain(name: str) -> str:
    """Return a name as names are compared.

    >>> plain("Lead ID") == plain("lead_id") == plain("leadId")
    True
    """
    return name.translate(_REMOVED).casefold()


class Names:
    """The names of what is sought, in ``tiers``: the most specific first, equal ones together.

    Case, blanks, quotes and ``_-./:`` are ignored. From the tier ``bare`` on, a name may belong to
    anything: then a longer name with ``of_lead`` in it may be meant as well, such as *Lead ID
    (Instantly)*. ``similar``: what a longer or misspelt name looks like. ``are_numbered``: tables
    may have several, such as *Email 1* and *Email 2*.
    """

    def __init__(
        self,
        tiers: Sequence[Sequence[str]],
        *,
        bare: int,
        of_lead: str,
        similar: str = "",
        are_numbered: bool = False,
    ) -> None:
        self.tiers = tiers
        self.bare = bare
        self.similar = re.compile(similar)
        self._of_lead = re.compile(of_lead)
        self._are_numbered = are_numbered
        self.example = tiers[bare - 1][0]
        self._ranks = {plain(name): rank for rank, tier in enumerate(tiers) for name in tier}

    def rank_of(self, name: str) -> int | None:
        """Return how specific a name is, 0 for the most; ``None``: it is not one."""
        return self._ranks.get(plain(name))

    def rank_of_column(self, name: str) -> int | None:
        """Return the same for a name of a column, which may have a number."""
        rank = self.rank_of(name)
        if rank is None and self._are_numbered:
            return self._ranks.get(_DIGITS.sub("", plain(name)))
        return rank

    def best_of(self, names: Sequence[str]) -> list[int]:
        """Return which columns have the most specific name; several: they cannot be told apart."""
        ranks = list(map(self.rank_of_column, names))
        best = min((rank for rank in ranks if rank is not None), default=None)
        if best is None:
            return []
        is_bare = best >= self.bare
        return [
            index
            for index, rank in enumerate(ranks)
            if rank == best or (is_bare and self._of_lead.search(plain(names[index])))
        ]


def named_so(names: Sequence[str], column: str) -> list[int]:
    """Return which names are the one that the user gave; an exact spelling comes first."""
    for form in (str, _without_blanks, plain):
        if found := [index for index, name in enumerate(names) if form(name) == form(column)]:
            return found
    return []


def _without_blanks(name: str) -> str:
    return name.strip(BLANK).casefold()


def listed(names: Sequence[str]) -> str:
    """Return some of the names, and the beginning of long ones, for a message; no empty ones."""
    names = [name for name in names if name.strip()]
    given = [shown(name) for name in names[:SHOWN_NAMES]]
    return ", ".join(given + ["…"] * (len(names) > SHOWN_NAMES))


def shown(name: str) -> str:
    """Return a name, or its beginning, in quotes."""
    return f'"{name.strip(BLANK)[:SHOWN_CHARS]}"'
