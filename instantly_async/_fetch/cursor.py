"""``Cursor``: where a listing is, where to go on, and whether an empty page is its end.

The end is an empty page (documented), or one that only repeats the leads before the cursor. Any
other page without a new lead is a repetition, and two of them in a row are a circle.

*Unknown:* what the API lists behind a lead that was deleted, or moved elsewhere, meanwhile. If it
lists nothing, that must not pass for the end. So at the end the last lead is looked up. If it has
gone, the listing continues behind an earlier one, or begins again from the first.
"""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

from .proven import ProvenPage


class Step(Enum):
    """What follows after a page, or after a lookup at the end.

    ``ON``: the next page. ``END``: nothing. ``CIRCLE``: the same leads come again and again.
    ``LOST``: what follows cannot be found, because the page names no lead, or all have gone.
    """

    ON = "on"
    END = "end"
    CIRCLE = "circle"
    LOST = "lost"


class Cursor:
    """A position in a listing. ``after``: the lead before it; ``None``: it is before the first.

    ``is_listed(lead_id)`` looks up whether the listing still has a lead. ``passes`` counts how
    often the listing has begun: leads that were given in one pass come again in the next.
    """

    def __init__(self, after: str | None, is_listed: Callable[[str], Awaitable[bool]]) -> None:
        self.after = after
        self.passes = 1
        self._is_listed = is_listed
        self._last_ids = [after] if after else []  # of the latest page with leads
        self._repetitions = 0
        self._has_progress = False

    def follow(self, page: ProvenPage[Any], *, has_new: bool, gives: bool) -> Step:
        """Go behind a page.

        ``has_new``: it has a lead that this pass had not before; ``gives``: no pass had it.
        """
        self._has_progress |= gives
        if has_new:
            self._repetitions = 0
            return self._go_behind(page.ids)
        if not page.length:
            if page.cursor is None or page.cursor <= (self.after or ""):
                return Step.END
            self.after = page.cursor
            return Step.ON
        if not page.ids:
            return Step.LOST
        if self._is_border(page):
            return Step.END
        self._repetitions += 1
        return Step.CIRCLE if self._repetitions > 1 else self._go_behind(page.ids)

    def _go_behind(self, ids: list[str]) -> Step:
        self.after, self._last_ids = ids[-1], ids
        return Step.ON

    def _is_border(self, page: ProvenPage[Any]) -> bool:
        """Whether a page only repeats the end of the one before, so that nothing is behind."""
        count = len(page.ids)
        is_whole = count >= page.limit or self._repetitions
        if is_whole or self.after != self._last_ids[-1]:
            return False
        return self._last_ids[-count:] == page.ids and (count == 1 or count < len(self._last_ids))

    async def look_up(self) -> Step:
        """Return what follows at an end; if it is ``ON``, the cursor has moved.

        Raises:
            RunError: the whole run has to stop.
        """
        ids = self._last_ids
        distance = 1
        while distance <= len(ids):
            if await self._is_listed(ids[-distance]):
                return Step.END if distance == 1 else self._go_behind(ids[: 1 - distance])
            distance *= 2
        if not ids:
            return Step.END
        if not self._has_progress and self.passes > 1:
            return Step.LOST
        self.after, self._last_ids = None, []
        self._has_progress = False
        self.passes += 1
        return Step.ON
