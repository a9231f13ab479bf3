"""``ProvenPages``: pages of a listing, in which each lead was compared with what was asked for."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
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
from instantly_async._recorder import Recorder
from instantly_async.errors import (
    DecodeError,
    FilterIgnoredError,
    LeadError,
    NotFoundError,
    RequestRejectedError,
)
from instantly_async.settings import DEFAULT_LIST_CONCURRENCY

from .absence import WorkPlaces
from .attempts import Absence, Requester
from .canary import Canary
from .facts import facts_of
from .retries import Tries
from .together import together
from .workspace import Workspace

L = TypeVar("L")

_log = logging.getLogger(__name__)


class ProvenPage(msgspec.Struct, Generic[L], gc=False):
    """The leads of a page that were asked for, in its order, or why one could not be read.

    ``ids``: of all items; those that were deleted meanwhile are not in ``leads``. ``nameless``
    counts the items without an id. ``limit`` is how many leads were requested, ``cursor`` as in
    ``ListedPage``. ``attempts``: requests for the page; ``spent``: those for single leads of it.
    """

    limit: int
    attempts: int
    ids: list[str] = []
    nameless: int = 0
    cursor: str | None = None
    leads: dict[str, LeadItem[L] | LeadError] = {}
    spent: dict[str, int] = {}

    @property
    def length(self) -> int:
        return len(self.ids) + self.nameless


class ProvenPages(Generic[L]):
    """Requests pages, and compares them; at most ``concurrency`` requests are in flight.

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
        *,
        concurrency: int = DEFAULT_LIST_CONCURRENCY,
    ) -> None:
        canary = Canary(endpoints, workspace, recorder)
        # Its few retries save a hundred requests, so they take no tokens.
        self._list = Requester(
            endpoint, workspace, recorder, canary.check, patient=True, pays=False
        )
        self._get = Requester(endpoints.get, workspace, recorder, canary.get_lead, patient=True)
        self._budget = workspace.budget
        self._recorder = recorder
        self._turns = WorkPlaces(concurrency)

    async def request(
        self, wanted: LeadFilter, after: str | None, absence: Absence = nullcontext
    ) -> ProvenPage[L] | LeadError | FilterIgnoredError:
        """Return the page behind a cursor, or why there is none, without a traceback.

        An answer that is no page of the listing is discarded, and the request repeated once: it
        may have been the answer to another one. ``error.attempts`` is set.

        Raises:
            RunError: the whole run has to stop.
        """
        return await self._request(ListQuery(wanted, after), Tries(), absence)

    async def request_shorter(
        self, wanted: LeadFilter, after: str | None
    ) -> ProvenPage[L] | LeadError | FilterIgnoredError:
        """Return the same. If the page fails, shorter ones are tried, down to a single lead.

        One lead may be the reason, or the size.
        """
        query, tries = ListQuery(wanted, after), Tries()
        while True:
            page = await self._request(query, tries, nullcontext)
            is_last = query.limit == 1
            if is_last or isinstance(page, ProvenPage | FilterIgnoredError | RequestRejectedError):
                return page
            _log.info(
                "A page of %d leads failed: %s",
                query.limit,
                page.args[0],
                extra=facts_of(page, leads=query.limit),
            )
            self._recorder.retries += 1
            query, tries = replace(query, limit=query.limit // 2), tries.of_next()

    async def _request(
        self, query: ListQuery, tries: Tries, absence: Absence
    ) -> ProvenPage[L] | LeadError | FilterIgnoredError:
        page = await self._ask(query, tries, absence)
        if isinstance(page, NotFoundError):  # how the API says that there is none is unknown
            return ProvenPage(query.limit, tries.attempts)
        if isinstance(page, LeadError):
            return page
        proven = await self._prove(page, query, tries)
        if isinstance(proven, FilterIgnoredError) and tries.strangers == 0:
            tries.strangers += 1
            self._recorder.retries += 1
            return await self._request(query, tries, absence)
        return proven

    async def _ask(
        self, query: ListQuery, tries: Tries, absence: Absence = nullcontext
    ) -> ListedPage[L] | LeadError:
        async with self._turns.inside():
            page = await self._list.request(query, tries, partial(self._waiting, absence))
        if isinstance(page, LeadError):
            page.attempts = tries.attempts
        return page

    @asynccontextmanager
    async def _waiting(self, absence: Absence) -> AsyncIterator[None]:
        """Leave the turn to others while a request waits for its next attempt."""
        async with absence(), self._turns.absence():
            yield

    async def first_leads(self, after: str | None) -> ListedPage[L] | LeadError:
        """Return leads of the workspace, whatever they are.

        Raises:
            RunError: the whole run has to stop.
        """
        return await self._ask(ListQuery(LeadFilter.everything(), after), Tries())

    async def get(self, lead_id: str) -> tuple[LeadItem[L] | LeadError, int]:
        """Fetch one lead by *Get lead*; return it and the attempts.

        Raises:
            RunError: the whole run has to stop.
        """
        self._budget.deposit()
        tries = Tries()
        async with self._turns.inside():
            lead = await self._get.request(lead_id, tries, self._turns.absence)
        return lead, tries.attempts

    async def is_listed(self, wanted: LeadFilter, lead_id: str) -> bool:
        """Whether a lead exists and passes the filter, or cannot be read.

        Raises:
            RunError: the whole run has to stop.
        """
        lead, _ = await self.get(lead_id)
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
        if isinstance(page, ListedPage) and page.length:  # perhaps the answer to another request
            page = await self._ask(ListQuery(canary, None, 1), Tries())
        if isinstance(page, RequestRejectedError | NotFoundError):
            return None
        if isinstance(page, LeadError):
            return page
        if page.length:
            raise ignored(wanted, "leads, though none can have what was asked for")
        return None

    async def _prove(
        self, page: ListedPage[L], query: ListQuery, tries: Tries
    ) -> ProvenPage[L] | FilterIgnoredError:
        wanted = query.filter
        if page.has_stranger:
            return ignored(wanted, "a lead that was not asked for", tries.attempts)
        results = await together(self.get(each) for each in page.unproven)
        confirmed = dict(zip(page.unproven, results, strict=True))
        proven: ProvenPage[L] = ProvenPage(
            query.limit, tries.attempts, list(page.items), page.nameless, page.cursor
        )
        for lead_id, item in page.items.items():
            result, proven.spent[lead_id] = confirmed.get(lead_id, (item, 0))
            if isinstance(result, LeadItem) and result is not item:
                if wanted.passes(result.raw) is not True:
                    return ignored(wanted, "a lead that was not asked for", tries.attempts)
            elif isinstance(result, NotFoundError):  # deleted meanwhile
                continue
            assert result is not None  # such an item was looked up
            proven.leads[lead_id] = result
        return proven


def nameless() -> DecodeError:
    """Return the error of an item that names no id, so that *Get lead* cannot be asked for it."""
    return DecodeError("An item of a page is no lead with an id")


def lost() -> DecodeError:
    """Return the error of a listing whose leads have gone, so that it cannot continue."""
    return DecodeError("No lead is left behind which to go on")


def ignored(wanted: LeadFilter, what: str, attempts: int = 0) -> FilterIgnoredError:
    """Return the error of an answer that does not fit the filter, after so many requests."""
    which = f"filter {wanted.name}" if wanted.name else "cursor"
    error = FilterIgnoredError(
        f"The API does not obey the {which}: it lists {what}, so that answer "
        "was not used; try again later, or fetch the leads by id."
    )
    error.attempts = attempts
    return error
