"""Strategy ``"list"``: up to 100 leads per *List leads* request, verified.

Pages are not trusted. The API ignores filters that it does not know and then returns the whole
workspace (reported), so a page with a lead that was not requested is discarded, and the rest of
the run uses *Get lead*. Ids that a page leaves out, and all ids of a page that failed, use it too.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from functools import partial
from itertools import islice
from typing import Generic, TypeVar

from instantly_async._api import MAX_IDS_PER_PAGE, TOO_MANY_IDS, Endpoints, LeadItem, Page
from instantly_async._pace import QUIET_S, may_be_outage
from instantly_async._recorder import Recorder
from instantly_async.errors import (
    LeadError,
    NotFoundError,
    RequestRejectedError,
    ServiceUnavailableError,
    TransientError,
)
from instantly_async.outcomes import LeadId, Outcome

from .absence import WorkPlaces
from .attempts import Absence, Requester
from .canary import Canary
from .chunk import Chunk
from .facts import facts_of
from .first_of import first_of
from .page_size import PageSize
from .pipeline import Deliver
from .retries import Tries
from .settle import OutcomeMaker
from .workspace import Workspace

L = TypeVar("L")

_log = logging.getLogger(__name__)


class ListLookup(Generic[L]):
    """Fetches leads by the page, and one by one those that pages do not settle.

    ``confirm_missing=False``: an id that a page leaves out counts as not found.
    ``concurrency`` bounds the requests of this lookup in flight. ``patient`` as in ``GetLookup``.
    ``absence(count)`` is entered while all open ids of a chunk wait for their next attempt.
    """

    def __init__(
        self,
        endpoints: Endpoints[L],
        workspace: Workspace,
        recorder: Recorder,
        *,
        concurrency: int,
        keep_raw: bool = False,
        patient: bool = True,
        confirm_missing: bool = True,
        absence: Callable[[int], AbstractAsyncContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        self._known = workspace.known
        self._budget = workspace.budget
        self._absence = absence
        self._confirm_missing = confirm_missing
        self._most_failures = workspace.retry.attempts
        self._outcomes: OutcomeMaker[L] = OutcomeMaker(recorder, keep_raw=keep_raw)
        canary = Canary(endpoints, workspace, recorder)
        # A page does not wait for List leads to come back, because its ids can go one by one. It
        # takes no tokens, because its few retries save a hundred requests.
        self._list = Requester(
            endpoints.list(keep_raw=keep_raw),
            workspace,
            recorder,
            canary.check,
            patient=False,
            pays=False,
        )
        self._get, self._get_at_once = (
            Requester(endpoints.get, workspace, recorder, canary.get_lead, patient=is_patient)
            for is_patient in (patient, False)
        )
        # A chunk's rest is requested all at once, which the pipeline does not bound.
        self._turns = WorkPlaces(concurrency)
        self._page_size = PageSize(MAX_IDS_PER_PAGE)
        self._patient = patient
        self._is_failing = False  # the latest page failed
        self._get_is_down = False
        self._is_distrusted = False

    async def run(
        self,
        first: int,
        lead_ids: Sequence[LeadId],
        deliver: Deliver[Outcome[L]],
        after_pages: Callable[[], None] = lambda: None,
    ) -> None:
        """Deliver the one outcome of each of these ids; ``first`` is the index of the first.

        ``after_pages()`` is called when no more pages will be requested.

        Raises:
            RunError: the whole run has to stop.
        """
        with Chunk(first, lead_ids, self._outcomes, deliver) as chunk:
            self._budget.deposit(len(chunk.open))
            await self._fetch_pages(chunk)
            after_pages()
            self._outcomes.recorder.fallbacks += len(chunk.open)
            await self._fetch_one_by_one(chunk)

    def reject(self, index: int, lead_id: LeadId) -> Outcome[L]:
        """Make and count the outcome of an id that is not a UUID."""
        self._outcomes.recorder.requested += 1
        return self._outcomes.reject(index, lead_id)

    async def _fetch_pages(self, chunk: Chunk[L]) -> None:
        """Settle what pages can settle; cut a page into pieces if it is too long."""
        pieces = deque([list(chunk.open)])
        while pieces:
            # Longer pages first: if one of that length was accepted, a rejection means a bad id.
            piece = pieces.popleft()
            if not piece or not self._uses_pages:
                return
            if len(piece) > self._page_size.size or not await self._fetch_page(piece, chunk):
                pieces += self._page_size.cut(piece)

    @property
    def _uses_pages(self) -> bool:
        return not self._is_distrusted and self._page_size.size > 1

    async def _fetch_page(self, piece: list[str], chunk: Chunk[L]) -> bool:
        """Settle what one page can settle; return ``False`` if its pieces should be tried."""
        page = await self._request_page(piece, chunk)
        while self._is_failing and await self._has_outage_ended():
            page = await self._request_page(piece, chunk)
        if page is None:
            return True
        if isinstance(page, LeadError):
            return not self._learn_from_rejection(piece, page)
        self._known.listed.extend(islice(page.found, 1))
        if page.has_stranger:
            self._distrust()
        else:
            self._page_size.on_accepted(len(piece))
            self._settle_page(page, piece, chunk)
        return True

    async def _request_page(self, piece: list[str], chunk: Chunk[L]) -> Page[L] | LeadError | None:
        """Request a page; ``None``: pages are not used any more, or *List leads* is down."""
        tries = Tries(max_failures=2 if self._is_failing else self._most_failures)
        async with self._turns.inside():
            if not self._uses_pages:  # another page has changed that meanwhile
                self._is_failing = False
                return None
            page = None
            while page is None and (not self._patient or await self._list.is_up()):
                try:
                    page = await self._list.request(piece, tries)
                except ServiceUnavailableError:  # the breaker has opened meanwhile
                    if not self._patient:
                        break
        chunk.charge(piece, tries.attempts)
        if page is None:
            self._is_failing = True
            return None
        self._is_failing = isinstance(page, LeadError) and may_be_outage(page)
        if isinstance(page, LeadError):
            _log.info(
                "A page of %d leads failed: %s",
                len(piece),
                page.args[0],
                extra=facts_of(page, leads=len(piece)),
            )
        return page

    async def _has_outage_ended(self) -> bool:
        """Whether both endpoints were down, and one is up again, so that a page is worth a try.

        If only *List leads* is down, the ids are fetched one by one instead.

        Raises:
            ServiceUnavailableError: both were down for too long.
        """
        if not self._patient or await self._get.is_alive(_now()):
            return False
        await self._list.is_alive(_now())  # opens its breaker
        await first_of(self._list.until_up(), self._get.until_up())
        return True

    def _settle_page(self, page: Page[L], piece: list[str], chunk: Chunk[L]) -> None:
        chunk.settle(page.found, 0)
        missing = [wire for wire in piece if wire in chunk.open]
        if not (self._confirm_missing or page.has_nameless or self._is_distrusted):
            absent = NotFoundError("The workspace has no such lead")
            chunk.settle({wire: absent for wire in missing if wire not in page.garbled}, 0)

    def _learn_from_rejection(self, piece: list[str], error: LeadError) -> bool:
        """Learn from a page that failed; return ``True`` if its pieces should be tried."""
        if not isinstance(error, RequestRejectedError) or error.status not in TOO_MANY_IDS:
            return False
        self._page_size.on_rejected(len(piece))
        return len(piece) > 1

    def _distrust(self) -> None:
        self._outcomes.recorder.list_distrusted = True
        if not self._is_distrusted:
            self._is_distrusted = True
            _log.warning(
                "The API listed a lead that was not requested. That page is discarded, and all "
                "other leads are fetched one by one."
            )

    async def _fetch_one_by_one(self, chunk: Chunk[L]) -> None:
        """Settle the rest of the chunk."""
        if not chunk.open:
            return
        failure: BaseException | None = None
        try:
            async with AsyncExitStack() as absence, asyncio.TaskGroup() as group:
                for wire in chunk.begin_work():
                    group.create_task(self._fetch_lead(wire, chunk))
                await chunk.is_idle.wait()
                if chunk.open:
                    await absence.enter_async_context(self._absence(len(chunk.open)))
        except BaseExceptionGroup as errors:
            failure = errors.exceptions[0]
        if failure is None and chunk.open:
            # A child was cancelled, but not this task. A task group treats that as a normal end.
            failure = asyncio.CancelledError()
        if failure is not None:
            raise failure

    async def _fetch_lead(self, wire: str, chunk: Chunk[L]) -> None:
        tries = Tries()
        try:
            result = await self._get_lead(wire, tries, partial(self._wait, chunk))
            chunk.settle({wire: result}, tries.attempts)
        finally:
            chunk.end_work()

    async def _get_lead(self, wire: str, tries: Tries, absence: Absence) -> LeadItem[L] | LeadError:
        get = self._get_at_once if self._get_is_down else self._get
        outage: ServiceUnavailableError | None = None
        try:
            if self._patient and not self._get_is_down:
                await get.until_up()  # before it takes a turn, which others may use
            async with self._turns.inside():
                result = await get.request(wire, tries, absence)
        except ServiceUnavailableError as error:
            outage = error
        if outage is not None:  # outside the except block, as a probe can raise another error
            return await self._give_up(outage)
        self._get_is_down = False
        if not isinstance(result, LeadError):
            self._known.found.append(wire)
        return result

    async def _give_up(self, outage: ServiceUnavailableError) -> LeadError:
        """Return the error of an id for which *Get lead* was down for too long.

        Pages go on, and do not wait for such ids.

        Raises:
            ServiceUnavailableError: *List leads* is down, too, or is not used any more.
        """
        if not (self._patient and self._uses_pages):
            raise outage
        self._get_is_down = True
        if not await self._list.is_alive(_now() - QUIET_S):
            await self._list.until_up()
        return TransientError(f"Get lead is down. {outage}")

    @asynccontextmanager
    async def _wait(self, chunk: Chunk[L]) -> AsyncIterator[None]:
        """Leave the turn to others while an id waits for its next attempt."""
        with chunk.waiting():
            async with self._turns.absence():
                yield


def _now() -> float:
    return asyncio.get_running_loop().time()
