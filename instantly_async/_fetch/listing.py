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
from instantly_async._recorder import Recorder
from instantly_async.errors import (
    FilterIgnoredError,
    LeadError,
    ListingError,
    RequestRejectedError,
)
from instantly_async.outcomes import Outcome

from .cursor import Cursor, Step
from .pipeline import Deliver
from .proven import ProvenPage, ProvenPages, ignored, lost, nameless
from .seen import SeenIds
from .settle import OutcomeMaker
from .workspace import Workspace

L = TypeVar("L")


class NewLeads(NamedTuple, Generic[L]):
    """Those leads of a page that no page had before, and what they took."""

    leads: dict[str, LeadItem[L] | LeadError]
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
        seen, passes = self._given_ids, 1
        while True:
            if self._cursor.passes > passes:
                seen, passes = SeenIds(), self._cursor.passes
            started_at = _now()
            page = await self._request_page()
            if page is None:
                continue
            new = [each for each in page.ids if seen.add(each)]
            to_give = new if seen is self._given_ids else list(filter(self._is_to_give, new))
            leads = {each: page.leads[each] for each in to_give if each in page.leads}
            if leads or page.nameless:
                yield NewLeads(leads, page, _now() - started_at)
            step = self._cursor.follow(page, has_new=bool(new), gives=bool(to_give))
            if step is Step.END:
                step = await self._cursor.look_up()
            if step is Step.END:
                return
            if step is Step.CIRCLE:
                raise ignored(self._wanted, "the same leads again and again")
            if step is Step.LOST:
                raise self._end(lost())

    def _is_to_give(self, lead_id: str) -> bool:
        """Whether a lead of a further pass is new, and behind the one where the first began."""
        return lead_id > self._begins_behind and self._given_ids.add(lead_id)

    async def _request_page(self) -> ProvenPage[L] | None:
        """Return the next page; ``None``: the cursor had to move, because its lead has gone."""
        page = await self._pages.request_shorter(self._wanted, self._cursor.after)
        if isinstance(page, ProvenPage):
            return page
        if isinstance(page, FilterIgnoredError):
            raise page
        is_rejected = isinstance(page, RequestRejectedError) and self._cursor.after is not None
        if is_rejected and await self._cursor.look_up() is Step.ON:
            return None
        raise self._end(page)

    def _end(self, failure: LeadError) -> ListingError:
        after = self._cursor.after
        what = f"behind lead {after}" if after else "of the first leads"
        return ListingError(
            f"The page {what} cannot be fetched: {failure.args[0]}; try again later.",
            reason=failure,
        )

    async def deliver(self, _: int, new: NewLeads[L], deliver: Deliver[Outcome[L]]) -> None:
        """Deliver the outcomes of a page."""
        for lead_id, result in new.leads.items():
            self._deliver(lead_id, result, new, deliver)
        for _ in range(new.page.nameless):
            self._deliver("", nameless(), new, deliver)

    def _deliver(
        self,
        lead_id: str,
        result: LeadItem[L] | LeadError,
        new: NewLeads[L],
        deliver: Deliver[Outcome[L]],
    ) -> None:
        index, self._given = self._given, self._given + 1
        self._outcomes.recorder.requested += 1
        attempts = new.page.attempts + new.page.spent.get(lead_id, 0)
        deliver(index, self._outcomes.make(index, lead_id, result, attempts, new.elapsed_s))


def _now() -> float:
    return asyncio.get_running_loop().time()
