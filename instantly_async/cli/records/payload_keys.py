"""Which of the selected keys of the payload no lead has, and which similar ones exist."""

import difflib
from collections.abc import Collection, Iterable

MAX_KEYS = 1000
"""Other keys that are remembered, to name a similar one (*choice*)."""

SHOWN_CHARS = 100
"""Characters of a name that a message shows (*choice*; the longest field has 30)."""

_SHOWN_NAMES = 10


class PayloadKeys:
    """Watches for the keys that were selected. Memory: ``MAX_KEYS`` short texts."""

    def __init__(self, selected: Iterable[str]) -> None:
        self._absent = dict.fromkeys(selected)
        self._others: dict[str, None] = {}
        self._leads = 0

    def see(self, payload: Collection[str]) -> None:
        """Note the keys of one lead."""
        self._leads += 1
        for key in [key for key in self._absent if key in payload]:
            del self._absent[key]
        if not self._absent:
            return
        for key in payload:
            if len(self._others) >= MAX_KEYS:
                return
            if len(key) <= SHOWN_CHARS:
                self._others[key] = None

    def describe(self, leads: str = "lead") -> str | None:
        """Return a sentence about the keys that no lead has; ``None``: there is no such key."""
        if not (self._absent and self._leads):
            return None
        shown = [self._shown(key) for key in list(self._absent)[:_SHOWN_NAMES]]
        more = len(self._absent) - len(shown)
        return f"No {leads} has {', '.join(shown)}{f' and {more} more' if more else ''}."

    def _shown(self, key: str) -> str:
        nearest = difflib.get_close_matches(key[:SHOWN_CHARS], self._others, n=1)
        hint = f" (the nearest key is payload.{nearest[0]})" if nearest else ""
        return f"payload.{key[:SHOWN_CHARS]}{hint}"
