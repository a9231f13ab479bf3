"""``Listing``: the leads of a campaign, a list or the workspace, page after page by cursor.

The next page is requested while the one before is handed out. The cursor is the id of the last
lead of a page, which is what the vendor documents, so that a later run can go on behind any lead.
*Documented:* the last page may have a cursor, too, so the end is a page without leads.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, NamedTuple, TypeVar

from instantly_async._api import Endpoints, LeadFilter, LeadItem
from instantly_async.errors import (
    FilterIgnoredError,
    LeadError,
    ListingError,
    NotFoundError,
)
from instantly_async.outcomes import Outcome
from instantly_async.stats import Recorder

from .pipeline import Deliver
from .proven import ProvenPage, ProvenPages, ignored
from .seen import SeenIds
from .settle import OutcomeMaker
from .workspace import Workspace

L = TypeVar("L")


class NewLeads(NamedTuple, Generic[L]):
    """Those leads of a page that no page had before, and what they took."""

    leads: dict[str | None, LeadItem[L] | LeadError]
    page: ProvenPage[L]
    elapsed_s: float


class Listing(Generic[L]):
    """Lists the leads that pass a filter, behind the lead ``after``; ``None``: from the first."""

    def __init__(
        self,
        wanted: LeadFilter,
        after: str | None,
        endpoints: Endpoints[L],
        workspace: Workspace,
        recorder: Recorder,
        *,
        keep_raw: bool,
    ) -> None:
        self._wanted = wanted
        self._after = after
        self._pages = ProvenPages(endpoints.listing, endpoints, workspace, recorder)
        self._outcomes: OutcomeMaker[L] = OutcomeMaker(recorder, keep_raw=keep_raw)
        self._seen = SeenIds()
        self._given = 0
        self._longest = 0

    async def pages(self) -> AsyncIterator[NewLeads[L]]:
        """Yield the new leads of each page, in its order.

        Raises:
            FilterIgnoredError: the API lists what was not asked for, or the same leads again.
            ListingError: a page could not be fetched.
            RunError: the whole run has to stop.
        """
        failure = await self._pages.prove_filter(self._wanted)
        if failure is not None:
            raise self._end(failure)
        while True:
            started_at = _now()
            page = await self._request_page()
            new = list(filter(self._is_new, page.ids))
            leads = {each: page.leads[each] for each in new if each in page.leads}
            if leads:
                yield NewLeads(leads, page, _now() - started_at)
            if not any(new):
                # A last page can repeat leads; but a whole page of them is a circle.
                if 0 < len(page.ids) >= self._longest:
                    raise ignored(self._wanted, "the same leads again")
                return
            self._longest = max(self._longest, len(page.ids))
            self._after = page.last

    def _is_new(self, lead_id: str | None) -> bool:
        return lead_id is None or self._seen.add(lead_id)

    async def _request_page(self) -> ProvenPage[L]:
        page = await self._pages.request(self._wanted, self._after)
        if isinstance(page, FilterIgnoredError):  # perhaps the answer to another request
            page = await self._pages.request(self._wanted, self._after)
        if isinstance(page, FilterIgnoredError):
            raise page
        if isinstance(page, LeadError):
            raise self._end(page)
        return page

    def _end(self, failure: LeadError) -> ListingError:
        what = f"behind lead {self._after}" if self._after else "of the first leads"
        why = "the API has no such leads" if isinstance(failure, NotFoundError) else failure.args[0]
        return ListingError(
            f"The page {what} cannot be fetched: {why}; try again later.", reason=failure
        )

    async def deliver(self, _: int, new: NewLeads[L], deliver: Deliver[Outcome[L]]) -> None:
        """Deliver the outcomes of a page."""
        for lead_id, result in new.leads.items():
            index, self._given = self._given, self._given + 1
            self._outcomes.recorder.requested += 1
            attempts = new.page.attempts + new.page.spent.get(lead_id, 0)
            deliver(
                index, self._outcomes.make(index, lead_id or "", result, attempts, new.elapsed_s)
            )


def _now() -> float:
    return asyncio.get_running_loop().time()
