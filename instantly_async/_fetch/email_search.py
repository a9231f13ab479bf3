"""``EmailSearch``: one search for some emails, page by page until its end."""

from collections.abc import Iterator
from functools import partial
from typing import Generic, TypeVar

from instantly_async._api import LeadFilter, LeadItem
from instantly_async.errors import FilterIgnoredError, LeadError

from .attempts import Absence
from .cursor import Cursor, Step
from .email_chunk import Leads
from .proven import ProvenPage, ProvenPages, ignored, lost, nameless

L = TypeVar("L")

Found = dict[str, Leads[L] | LeadError]
"""The leads of emails by their keys; an error if one of them cannot be read."""


class EmailSearch(Generic[L]):
    """Searches for the emails of a filter. ``attempts`` counts its requests."""

    def __init__(self, pages: ProvenPages[L], wanted: LeadFilter, absence: Absence) -> None:
        self._pages = pages
        self._wanted = wanted
        self._absence = absence
        self._found: Found[L] = {}
        self._cursor = Cursor(None, partial(pages.is_listed, wanted))
        self.attempts = 0

    async def run(self) -> Found[L] | LeadError | FilterIgnoredError:
        """Return what was found, or why that is not known.

        Raises:
            RunError: the whole run has to stop.
        """
        given, seen, passes = set[str](), set[str](), 1
        is_full = False
        while True:
            if self._cursor.passes > passes:
                seen, passes = set(), self._cursor.passes
            page = await self._pages.request(self._wanted, self._cursor.after, self._absence)
            self.attempts += page.attempts
            if not isinstance(page, ProvenPage):
                return page
            self.attempts += sum(page.spent.values())
            failure = self._add(page)
            if failure is not None:
                return failure
            has_new, gives = not seen.issuperset(page.ids), not given.issuperset(page.ids)
            seen.update(page.ids)
            given.update(page.ids)
            step = self._cursor.follow(page, has_new=has_new, gives=gives)
            if step is Step.END and is_full:  # more could have been behind it
                step = await self._cursor.look_up()
            is_full = page.length >= page.limit
            if step is not Step.ON:
                return self._end(step)

    def _end(self, step: Step) -> Found[L] | LeadError | FilterIgnoredError:
        if step is Step.CIRCLE:
            return ignored(self._wanted, "the same leads again and again")
        if step is Step.LOST:
            return lost()
        return self._found

    def _add(self, page: ProvenPage[L]) -> LeadError | None:
        """Add the leads of a page to those of their emails.

        Returns the error of an item whose email is not known.
        """
        if page.nameless:
            return nameless()
        for lead_id, item in page.leads.items():
            key = self._wanted.key_in(getattr(item, "raw", None))
            if key is None:
                assert isinstance(item, LeadError)  # leads have been compared
                return item
            leads = self._found.setdefault(key, {})
            if isinstance(item, LeadError):
                self._found[key] = item
            elif not isinstance(leads, LeadError):
                leads[lead_id] = item
        return None

    def farthest(self) -> tuple[str, str]:
        """Return email and id of the last lead that is the only one of its email; or nothing."""
        lead_id, item = max(self._single_leads(), default=("", None), key=lambda each: each[0])
        email = None if item is None else self._wanted.value_in(item.raw or b"")
        return email or "", lead_id if email else ""

    def _single_leads(self) -> Iterator[tuple[str, LeadItem[L]]]:
        for leads in self._found.values():
            if isinstance(leads, dict) and len(leads) == 1:
                yield from leads.items()
