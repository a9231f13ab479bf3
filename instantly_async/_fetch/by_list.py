"""The two strategies: leads one by one with *Get lead*, or 100 a request with *List leads*.

A lookup turns ids into outcomes, exactly one each. What is sent and how an answer is read
stands in ``endpoints.py``, how often a request is repeated in ``requester.py``.

By list nothing is trusted. A page with a lead that was not asked for is thrown away and the
strategy given up: the API ignores filters it does not like, and then returns the whole
workspace. Ids that a page leaves out are confirmed one by one. A page that fails is no failure
of its ids: they go one by one too.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Self, TypeVar

from instantly_async._api.answers import MAX_IDS_PER_PAGE, wire_id
from instantly_async._api.decoding import LeadItem
from instantly_async._api.endpoints import Endpoints, Page
from instantly_async._pace.backoff import PageSize, Tries, speaks_of_outage
from instantly_async.errors import (
    InvalidLeadIdError,
    LeadError,
    NotFoundError,
    RequestRejectedError,
    own_copy,
)
from instantly_async.outcomes import Failed, Found, LeadId, NotFound, Outcome
from instantly_async.stats import Recorder

from .attempts import Requester, Workspace
from .pipeline import Deliver

L = TypeVar("L")
_log = logging.getLogger(__name__)

BAD_REQUEST = frozenset({400, 413, 422})
"""Statuses that may mean *too many ids*. Which one the API gives, nobody says."""


class OutcomeMaker(Generic[L]):
    """Makes outcomes and counts them. ``keep_raw``: with the JSON of leads without problems too."""

    def __init__(self, recorder: Recorder, *, keep_raw: bool) -> None:
        self.recorder = recorder
        self._keep_raw = keep_raw

    def make(
        self,
        index: int,
        lead_id: LeadId,
        result: LeadItem[L] | LeadError,
        attempts: int,
        elapsed_s: float,
    ) -> Outcome[L]:
        """Make the outcome of one id."""
        if isinstance(result, LeadItem):
            self.recorder.found += 1
            return Found(
                lead_id=lead_id,
                index=index,
                lead=result.lead,
                attempts=attempts,
                elapsed_s=elapsed_s,
                problems=result.problems,
                raw=result.raw if self._keep_raw or result.problems else None,
            )
        if isinstance(result, NotFoundError):
            self.recorder.not_found += 1
            return NotFound(lead_id=lead_id, index=index, attempts=attempts, elapsed_s=elapsed_s)
        result.lead_id = lead_id
        result.attempts = attempts
        self.recorder.failed[type(result).__name__] += 1
        return Failed(
            lead_id=lead_id, index=index, error=result, attempts=attempts, elapsed_s=elapsed_s
        )

    def reject(self, index: int, lead_id: LeadId) -> Outcome[L]:
        """Make the outcome of what is no id."""
        error = InvalidLeadIdError("The id is no UUID, so no request was made")
        return self.make(index, lead_id, error, 0, 0.0)


class GetLookup(Generic[L]):
    """Fetches leads one by one.

    ``patient``: wait out an outage, as a stream does; otherwise fail.
    """

    def __init__(
        self,
        endpoints: Endpoints[L],
        workspace: Workspace,
        recorder: Recorder,
        *,
        keep_raw: bool = False,
        patient: bool = True,
    ) -> None:
        self._retry = workspace.retry
        self._rng = workspace.rng
        self._recorder = recorder
        self._outcomes: OutcomeMaker[L] = OutcomeMaker(recorder, keep_raw=keep_raw)
        self._get = Requester(endpoints.get, workspace, recorder, patient=patient)

    async def run(self, index: int, lead_id: LeadId, deliver: Deliver[Outcome[L]]) -> None:
        """Deliver the one outcome of this id.

        Raises:
            RunError: the whole run has to stop.
        """
        recorder = self._recorder
        recorder.requested += 1
        wire = wire_id(lead_id)
        if wire is None:
            deliver(index, self._outcomes.reject(index, lead_id))
            return
        started_at = _now()
        tries = Tries(self._retry, self._rng)
        recorder.in_flight += 1
        try:
            result = await self._get.request(wire, tries)
        finally:
            recorder.in_flight -= 1
        elapsed_s = _now() - started_at
        deliver(index, self._outcomes.make(index, lead_id, result, tries.attempts, elapsed_s))


class _Chunk(Generic[L]):
    """The ids of a chunk, and which of them have no outcome yet: a context manager.

    ``open`` maps ids on the wire to offsets in the chunk; duplicates are asked for once.
    ``charge`` counts requests that were made in vain.
    """

    def __init__(
        self,
        first: int,
        lead_ids: Sequence[LeadId],
        outcomes: OutcomeMaker[L],
        deliver: Deliver[Outcome[L]],
    ) -> None:
        self._first = first
        self._lead_ids = lead_ids
        self._outcomes = outcomes
        self._deliver = deliver
        self._started_at = _now()
        self._duplicates: dict[str, list[int]] = {}
        self._in_vain: dict[str, int] = {}
        wires = list(map(wire_id, lead_ids))
        self.open: dict[str, int] = dict(zip(wires, range(len(wires)), strict=True))  # type: ignore[arg-type]  # None is taken out
        if None in self.open or len(self.open) < len(wires):
            self._sort_out(wires)
        self._in_flight = self._count_open()
        outcomes.recorder.requested += len(lead_ids)
        outcomes.recorder.in_flight += self._in_flight

    def _sort_out(self, wires: list[str | None]) -> None:
        """Reject what is no id, and set duplicates aside."""
        self.open = {}
        for offset, wire in enumerate(wires):
            if wire is None:
                index = self._first + offset
                self._deliver(index, self._outcomes.reject(index, self._lead_ids[offset]))
            elif self.open.setdefault(wire, offset) != offset:
                self._duplicates.setdefault(wire, []).append(offset)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._outcomes.recorder.in_flight -= self._in_flight

    def charge(self, wires: Iterable[str], attempts: int) -> None:
        """Count requests that have brought nothing."""
        for wire in wires:
            self._in_vain[wire] = self._in_vain.get(wire, 0) + attempts

    def settle(self, results: Mapping[str, LeadItem[L] | LeadError], attempts: int) -> None:
        """Deliver outcomes: ``results`` by id on the wire, and the requests that took."""
        elapsed_s = _now() - self._started_at
        make, deliver = self._outcomes.make, self._deliver
        for wire, result in results.items():
            spent = attempts + self._in_vain.get(wire, 0) if self._in_vain else attempts
            offset = self.open.pop(wire)
            index = self._first + offset
            deliver(index, make(index, self._lead_ids[offset], result, spent, elapsed_s))
            for offset in self._duplicates.pop(wire, ()) if self._duplicates else ():
                index = self._first + offset
                own = own_copy(result) if isinstance(result, LeadError) else result
                deliver(index, make(index, self._lead_ids[offset], own, spent, elapsed_s))
        before, self._in_flight = self._in_flight, self._count_open()
        self._outcomes.recorder.in_flight -= before - self._in_flight

    def _count_open(self) -> int:
        return len(self.open) + sum(map(len, self._duplicates.values()))


class ListLookup(Generic[L]):
    """Fetches leads by the page, and one by one what pages do not settle.

    ``confirm_missing=False``: an id that a page leaves out is taken for not found.
    ``concurrency`` bounds the requests of this lookup in flight; ``patient`` as in
    ``GetLookup``.
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
    ) -> None:
        self._retry = workspace.retry
        self._rng = workspace.rng
        self._admission = workspace.admission
        self._confirm_missing = confirm_missing
        self._outcomes: OutcomeMaker[L] = OutcomeMaker(recorder, keep_raw=keep_raw)
        listing = endpoints.list(keep_raw=keep_raw)
        self._list = Requester(listing, workspace, recorder, patient=patient)
        self._get = Requester(endpoints.get, workspace, recorder, patient=patient)
        self._turns = asyncio.Semaphore(concurrency)
        self._page_size = PageSize(MAX_IDS_PER_PAGE)
        self._is_failing = False  # the latest page was given up
        self._is_distrusted = False

    async def run(
        self,
        first: int,
        lead_ids: Sequence[LeadId],
        deliver: Deliver[Outcome[L]],
        after_pages: Callable[[], None] = lambda: None,
    ) -> None:
        """Deliver the one outcome of each of these ids; ``first`` is the index of the first.

        ``after_pages()`` is called when no more pages will be asked for.

        Raises:
            RunError: the whole run has to stop.
        """
        self._admission.begin_unit()
        try:
            with _Chunk(first, lead_ids, self._outcomes, deliver) as chunk:
                await self._ask_for_pages(chunk)
                after_pages()
                self._outcomes.recorder.fallbacks += len(chunk.open)
                await self._ask_one_by_one(chunk)
        finally:
            self._admission.end_unit()

    def reject(self, index: int, lead_id: LeadId) -> Outcome[L]:
        """Make the outcome of what is no id, and count it."""
        self._outcomes.recorder.requested += 1
        return self._outcomes.reject(index, lead_id)

    async def _ask_for_pages(self, chunk: _Chunk[L]) -> None:
        """Settle what pages can settle."""
        pieces = deque([list(chunk.open)])
        while pieces:
            # Halves of one length before those of the next: a refusal says more after that.
            piece = pieces.popleft()
            if not piece or not self._uses_pages:
                return
            if len(piece) > self._page_size.size or not await self._ask_for_page(piece, chunk):
                pieces += self._page_size.cut(piece)

    @property
    def _uses_pages(self) -> bool:
        return not self._is_distrusted and self._page_size.size > 1

    async def _ask_for_page(self, piece: list[str], chunk: _Chunk[L]) -> bool:
        """Settle what one page can settle; ``False`` if it should be asked for in pieces."""
        tries = Tries(self._retry, self._rng, max_failures=1 if self._is_failing else None)
        async with self._turns:
            if not self._uses_pages:  # what another page has brought meanwhile
                return True
            page = await self._list.request(piece, tries)
        if isinstance(page, LeadError):
            chunk.charge(piece, tries.attempts)
            return not self._is_refused(piece, page)
        self._is_failing = False
        if page.has_stranger:
            chunk.charge(piece, tries.attempts)
            self._distrust()
        else:
            self._page_size.on_taken(len(piece))
            self._settle_page(page, piece, chunk, tries.attempts)
        return True

    def _settle_page(
        self, page: Page[L], piece: list[str], chunk: _Chunk[L], attempts: int
    ) -> None:
        chunk.settle(page.found, attempts)
        missing = [wire for wire in piece if wire in chunk.open]
        if not (self._confirm_missing or page.has_nameless or self._is_distrusted):
            absent = NotFoundError("The workspace has no such lead")
            chunk.settle({wire: absent for wire in missing if wire not in page.garbled}, attempts)
        chunk.charge((wire for wire in missing if wire in chunk.open), attempts)

    def _is_refused(self, piece: list[str], error: LeadError) -> bool:
        """Learn from a page that was given up; ``True`` if its pieces may be taken."""
        self._is_failing = speaks_of_outage(error)
        _log.info("A page of %d leads was given up: %s", len(piece), error.args[0])
        if not isinstance(error, RequestRejectedError) or error.status not in BAD_REQUEST:
            return False
        self._page_size.on_refused(len(piece))
        return len(piece) > 1

    def _distrust(self) -> None:
        self._outcomes.recorder.list_distrusted = True
        if not self._is_distrusted:
            self._is_distrusted = True
            _log.warning(
                "The API has listed a lead that was not asked for: that page is thrown away, "
                "and all other leads are fetched one by one."
            )

    async def _ask_one_by_one(self, chunk: _Chunk[L]) -> None:
        """Settle the rest of the chunk."""
        if not chunk.open:
            return
        if len(chunk.open) == 1:
            await self._ask_for_lead(next(iter(chunk.open)), chunk)
            return
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for wire in list(chunk.open):
                    group.create_task(self._ask_for_lead(wire, chunk))
        except BaseExceptionGroup as errors:
            failure = errors.exceptions[0]
        if failure is None and chunk.open:
            # Nobody cancelled us, but one of them: a task group takes that for an orderly end.
            failure = asyncio.CancelledError()
        if failure is not None:
            raise failure

    async def _ask_for_lead(self, wire: str, chunk: _Chunk[L]) -> None:
        tries = Tries(self._retry, self._rng)
        async with self._turns:
            result = await self._get.request(wire, tries)
        chunk.settle({wire: result}, tries.attempts)


def _now() -> float:
    return asyncio.get_running_loop().time()
