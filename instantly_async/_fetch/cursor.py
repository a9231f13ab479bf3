"""``Cursor``: where a listing is, and whether an empty page is its end.

*Unknown:* what the API lists behind a lead that was deleted, or moved elsewhere, meanwhile. If it
lists nothing, that must not pass for the end. So at the end the lead of the cursor is looked up. If
it has gone, the listing continues behind an earlier one, or once more from the first.
"""

from collections.abc import Awaitable, Callable, Sequence

_MOST_LOOKUPS = 3


class Cursor:
    """A position in a listing. ``after``: the lead before it; ``None``: it is before the first.

    ``is_listed(lead_id)`` looks up whether the listing still has a lead. ``has_restarted``: the
    listing begins again, so it has leads that were given already.
    """

    def __init__(self, after: str | None, is_listed: Callable[[str], Awaitable[bool]]) -> None:
        self.after = after
        self.has_restarted = False
        self._is_listed = is_listed
        self._passed = [after] if after else []  # the last ones, for which to look

    def advance(self, ids: Sequence[str | None]) -> None:
        """Go behind the last of these."""
        self._passed = [each for each in ids if each is not None]
        self.after = self._passed[-1]

    async def is_at_end(self) -> bool:
        """Whether nothing follows, now that nothing was found; otherwise the cursor has moved.

        Raises:
            RunError: the whole run has to stop.
        """
        for lead_id in self._passed[: -_MOST_LOOKUPS - 1 : -1]:
            if await self._is_listed(lead_id):
                is_same, self.after, self._passed = lead_id == self.after, lead_id, [lead_id]
                return is_same
        if self.after is None or self.has_restarted:
            return True
        self.after, self._passed, self.has_restarted = None, [], True
        return False
