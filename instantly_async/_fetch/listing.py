"""``Listing``: the leads of a campaign, a list or the workspace, page after page by cursor.

The next page is requested while the one before is handed out. The cursor is the id of the last
lead of a page, which is what the vendor documents, so that a later run can go on behind any lead.
*Documented:* the last page may have a cursor, too, so the end is a page without leads.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from instantly_async._api import Endpoints, LeadFilter, LeadItem
from instantly_async.errors import (
    FilterIgnoredError,
    LeadError,
    ListingError,
    NotFoundError,
    RequestRejectedError,
)
from instantly_async.outcomes import Outcome
from instantly_async.stats import Recorder

from .cursor import Cursor
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
        self._begins_behind = after or ""
        self._pages = ProvenPages(endpoints.listing, endpoints, workspace, recorder)
        self._cursor = Cursor(after, partial(self._pages.is_listed, wanted))
        self._outcomes: OutcomeMaker[L] = OutcomeMaker(recorder, keep_raw=keep_raw)
        self._given_ids = SeenIds()
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
        seen = self._given_ids
        while True:
            started_at = _now()
            page = await self._request_page()
            if isinstance(page, LeadError):  # it may reject a cursor whose lead has gone
                if await self._cursor.is_at_end():
                    raise self._end(page)
                seen = self._seen_in_pass(seen)
                continue
            new = [each for each in page.ids if each is None or seen.add(each)]
            leads = {each: page.leads[each] for each in new if self._is_to_give(each, page, seen)}
            if leads:
                yield NewLeads(leads, page, _now() - started_at)
            if any(new):
                self._longest = max(self._longest, len(page.ids))
                self._cursor.advance(page.ids)
            elif 0 < len(page.ids) >= self._longest:
                # A last page can repeat leads; but a whole page of them is a circle.
                raise ignored(self._wanted, "the same leads again")
            elif await self._cursor.is_at_end():
                return
            else:
                seen = self._seen_in_pass(seen)

    def _seen_in_pass(self, seen: SeenIds) -> SeenIds:
        """Return what this pass through the leads has seen: nothing, if it has just begun."""
        is_new_pass = self._cursor.has_restarted and seen is self._given_ids
        return SeenIds() if is_new_pass else seen

    def _is_to_give(self, lead_id: str | None, page: ProvenPage[L], seen: SeenIds) -> bool:
        if lead_id not in page.leads:
            return False
        if seen is self._given_ids or lead_id is None:
            return True
        return lead_id > self._begins_behind and self._given_ids.add(lead_id)

    async def _request_page(self) -> ProvenPage[L] | RequestRejectedError | NotFoundError:
        page = await self._pages.request(self._wanted, self._cursor.after)
        if isinstance(page, FilterIgnoredError):  # perhaps the answer to another request
            page = await self._pages.request(self._wanted, self._cursor.after)
        if isinstance(page, FilterIgnoredError):
            raise page
        if isinstance(page, ProvenPage | RequestRejectedError | NotFoundError):
            return page
        raise self._end(page)

    def _end(self, failure: LeadError) -> ListingError:
        after = self._cursor.after
        what = f"behind lead {after}" if after else "of the first leads"
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
