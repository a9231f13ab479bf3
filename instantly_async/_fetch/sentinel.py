"""``Sentinel``: an email that the workspace has, to see whether the API reads a whole filter.

*Unknown:* how many emails a call takes, and what becomes of the others. If they were left out
without a word, their leads would seem not to exist. So the last email of each request is one that
must be found.
"""

import asyncio
from typing import Generic, TypeVar

from instantly_async._api import LeadFilter, ListedPage, email_key, wire_email
from instantly_async.errors import LeadError, TransientError

from .proven import ProvenPages
from .together import together

L = TypeVar("L")

_MOST_PAGES = 5  # of leads among which one has an email
_MOST_LOOKUPS = 10  # of leads whose page leaves the email out

_EMAILS = LeadFilter.by_emails([])


class Sentinel(Generic[L]):
    """Chooses the email. ``address`` ``None``: no lead shows one, or ``is_empty``: there is none.

    The best one has a single lead, far behind: then it also shows whether the API gives all
    results.
    """

    def __init__(self, pages: ProvenPages[L]) -> None:
        self._pages = pages
        self._turn = asyncio.Lock()
        self._is_ready = False
        self._lead_id = ""
        self._missed: set[str] = set()
        self.address: str | None = None
        self.is_empty = False

    async def prepare(self) -> LeadError | None:
        """Prove that emails are a filter, and choose one, unless that is done.

        Returns what went wrong.

        Raises:
            FilterIgnoredError: emails are no filter for the API.
            RunError: the whole run has to stop.
        """
        if self._is_ready:
            return None
        async with self._turn:
            if self._is_ready:
                return None
            results = await together((self._pages.prove_filter(_EMAILS), self._choose()))
            failure = next(filter(None, results), None)
            self._is_ready = failure is None
            return failure

    async def renew(self, missing: str) -> LeadError | None:
        """Choose another, because this one was not found: its lead may have been deleted.

        Returns what went wrong.

        Raises:
            RunError: the whole run has to stop.
        """
        async with self._turn:
            if missing != self.address:  # somebody else has done it meanwhile
                return None
            self._missed.add(email_key(missing))
            return await self._choose()

    def offer(self, address: str, lead_id: str) -> None:
        """Take the email of a lead that was found, if it is better."""
        if lead_id > self._lead_id and email_key(address) not in self._missed:
            self.address, self._lead_id = address, lead_id

    async def _choose(self) -> LeadError | None:
        self.address, self._lead_id, after = None, "", None
        for _ in range(_MOST_PAGES):
            page = await self._pages.first_leads(after)
            if isinstance(page, LeadError):
                return page
            self.is_empty = after is None and not page.length
            failure = await self._choose_from(page)
            if failure is not None or self.address is not None or not page.items:
                return failure
            after = list(page.items)[-1]
        return None

    async def _choose_from(self, page: ListedPage[L]) -> LeadError | None:
        for item in page.items.values():
            if self._take(item.raw if item else None):
                return None
        # Pages may leave emails out.
        failure = None
        for lead_id in list(page.items)[:_MOST_LOOKUPS]:
            lead, _ = await self._pages.get(lead_id)
            if isinstance(lead, TransientError):
                failure = lead
            elif self._take(getattr(lead, "raw", None)):  # also of one that does not decode
                return None
        return failure

    def _take(self, raw: bytes | None) -> bool:
        address = wire_email(_EMAILS.value_in(raw or b""))
        if address is not None and email_key(address) not in self._missed:
            self.address = address
        return self.address is not None
