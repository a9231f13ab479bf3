"""``ProvenPages``: pages of a listing, in which each lead was compared with what was asked for."""

import logging
from contextlib import nullcontext
from dataclasses import replace
from typing import Generic, TypeVar

import msgspec

from instantly_async._api import (
    Endpoint,
    Endpoints,
    LeadFilter,
    LeadItem,
    ListedPage,
    ListQuery,
)
from instantly_async.errors import (
    DecodeError,
    FilterIgnoredError,
    LeadError,
    NotFoundError,
    RequestRejectedError,
)
from instantly_async.stats import Recorder

from .attempts import Absence, Requester
from .canary import Canary
from .retries import Tries
from .together import together
from .workspace import Workspace

L = TypeVar("L")

_log = logging.getLogger(__name__)


class ProvenPage(msgspec.Struct, Generic[L], gc=False):
    """The leads of a page that were asked for, in its order, or why one could not be read.

    ``ids``: of all items; ``None``: one names none. Those that were deleted meanwhile are not in
    ``leads``. ``attempts``: the requests for the page; ``spent``: those for single leads of it.
    """

    ids: list[str | None]
    leads: dict[str | None, LeadItem[L] | LeadError]
    attempts: int
    spent: dict[str | None, int]

    @property
    def last(self) -> str | None:
        """The last id; ``None``: no item names any."""
        return next(filter(None, reversed(self.ids)), None)


class ProvenPages(Generic[L]):
    """Requests pages, and compares them.

    An item that does not show whether it was asked for is fetched by *Get lead*: people report
    workspaces whose pages leave ``email`` out. If *Get lead* does not show it either, the lead is a
    stranger.
    """

    def __init__(
        self,
        endpoint: Endpoint[ListQuery, ListedPage[L]],
        endpoints: Endpoints[L],
        workspace: Workspace,
        recorder: Recorder,
    ) -> None:
        canary = Canary(endpoints, workspace, recorder)
        # Its few retries save a hundred requests, so they take no tokens.
        self._list = Requester(
            endpoint, workspace, recorder, canary.check, patient=True, pays=False
        )
        self._get = Requester(endpoints.get, workspace, recorder, canary.get_lead, patient=True)
        self._budget = workspace.budget

    async def request(
        self, wanted: LeadFilter, after: str | None, absence: Absence = nullcontext
    ) -> ProvenPage[L] | LeadError | FilterIgnoredError:
        """Return the page behind a cursor, or why there is none, without a traceback.

        If a page fails, shorter ones are tried: one lead may be the reason, or the size.

        Raises:
            RunError: the whole run has to stop.
        """
        query, tries = ListQuery(wanted, after), Tries()
        while True:
            page = await self._ask(query, tries, absence)
            if not isinstance(page, LeadError):
                return await self._prove(page, wanted, tries.attempts)
            if query.limit == 1 or isinstance(page, RequestRejectedError | NotFoundError):
                return page
            _log.info("A page of %d leads failed: %s", query.limit, page.args[0])
            query, tries = replace(query, limit=query.limit // 2), tries.of_next()

    async def any_leads(self, limit: int) -> ListedPage[L] | LeadError:
        """Return the first leads of the workspace.

        Raises:
            RunError: the whole run has to stop.
        """
        return await self._ask(ListQuery(LeadFilter.everything(), None, limit), Tries())

    async def _ask(
        self, query: ListQuery, tries: Tries, absence: Absence = nullcontext
    ) -> ListedPage[L] | LeadError:
        page = await self._list.request(query, tries, absence)
        if isinstance(page, LeadError):
            page.attempts = tries.attempts
        return page

    async def get(self, lead_id: str, tries: Tries) -> LeadItem[L] | LeadError:
        """Fetch one lead by *Get lead*.

        Raises:
            RunError: the whole run has to stop.
        """
        self._budget.deposit()
        return await self._get.request(lead_id, tries)

    async def is_listed(self, wanted: LeadFilter, lead_id: str) -> bool:
        """Whether a lead exists and passes the filter, or cannot be read.

        Raises:
            RunError: the whole run has to stop.
        """
        lead = await self.get(lead_id, Tries())
        if isinstance(lead, LeadError):
            return not isinstance(lead, NotFoundError)
        return wanted.passes(lead.raw) is True

    async def prove_filter(self, wanted: LeadFilter) -> LeadError | None:
        """Ask for what no lead can have. Return what went wrong.

        If the API rejects that as a bad request, it has read the filter.

        Raises:
            FilterIgnoredError: leads came back, twice.
            RunError: the whole run has to stop.
        """
        canary = wanted.canary()
        if canary is None:
            return None
        page = await self._ask(ListQuery(canary, None, 1), Tries())
        if isinstance(page, ListedPage) and page.items:  # perhaps the answer to another request
            page = await self._ask(ListQuery(canary, None, 1), Tries())
        if isinstance(page, RequestRejectedError | NotFoundError):
            return None
        if isinstance(page, LeadError):
            return page
        if page.items:
            raise ignored(wanted, "leads, though none can have what was asked for")
        return None

    async def _prove(
        self, page: ListedPage[L], wanted: LeadFilter, attempts: int
    ) -> ProvenPage[L] | FilterIgnoredError:
        if page.has_stranger:
            return ignored(wanted, "a lead that was not asked for")
        proven: ProvenPage[L] = ProvenPage(list(page.items), {}, attempts, {})
        results = await together(self._confirm(each, proven.spent) for each in page.unproven)
        confirmed = dict(zip(page.unproven, results, strict=True))
        for lead_id, item in page.items.items():
            result = confirmed.get(lead_id or "", item)
            if isinstance(result, LeadItem) and result is not item:
                if wanted.passes(result.raw) is not True:
                    return ignored(wanted, "a lead that was not asked for")
            elif isinstance(result, NotFoundError):  # deleted meanwhile
                continue
            proven.leads[lead_id] = nameless() if result is None else result
        return proven

    async def _confirm(self, lead_id: str, spent: dict[str | None, int]) -> LeadItem[L] | LeadError:
        tries = Tries()
        result = await self.get(lead_id, tries)
        spent[lead_id] = tries.attempts
        return result


def nameless() -> DecodeError:
    """Return the error of an item that names no id, so that *Get lead* cannot be asked for it."""
    return DecodeError("An item of a page is no lead with an id")


def ignored(wanted: LeadFilter, what: str) -> FilterIgnoredError:
    """Return the error of an answer that does not fit the filter."""
    return FilterIgnoredError(
        f"The API does not obey the filter {wanted.name}: it lists {what}, so that page was not "
        "used; try again later, or fetch the leads by id."
    )
