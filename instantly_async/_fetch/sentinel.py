"""``Sentinel``: an email that the workspace has, to see whether the API reads a whole filter.

*Unknown:* how many emails a call takes, and what becomes of the others. If they were left out
without a word, their leads would seem not to exist. So the last email of each request is one that
must be found.
"""

import asyncio
from typing import Generic, TypeVar

from instantly_async._api import LeadFilter, wire_email
from instantly_async.errors import LeadError

from .proven import ProvenPages
from .retries import Tries
from .together import together

L = TypeVar("L")

_CANDIDATES = 10  # leads among which one has an email

_EMAILS = LeadFilter.by_emails([])


class Sentinel(Generic[L]):
    """Chooses the email. ``address`` ``None``: no lead of the workspace shows one."""

    def __init__(self, pages: ProvenPages[L]) -> None:
        self._pages = pages
        self._turn = asyncio.Lock()
        self._is_ready = False
        self.address: str | None = None

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

    async def renew(self, missing: str | None) -> None:
        """Choose again, because this one was not found: its lead may have been deleted.

        Raises:
            RunError: the whole run has to stop.
        """
        async with self._turn:
            if missing == self.address:  # nobody else has done it meanwhile
                await self._choose()

    async def _choose(self) -> LeadError | None:
        page = await self._pages.any_leads(_CANDIDATES)
        if isinstance(page, LeadError):
            return page
        raws = [item.raw for item in page.items.values() if item and item.raw]
        first = next(filter(None, page.items), None)
        self.address = next(filter(None, map(_address_in, raws)), None)
        if self.address is None and first is not None:  # pages may leave emails out
            lead = await self._pages.get(first, Tries())
            self.address = None if isinstance(lead, LeadError) else _address_in(lead.raw or b"")
        return None


def _address_in(raw: bytes) -> str | None:
    return wire_email(_EMAILS.value_in(raw))
