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
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from .decoding import LeadItem
from .endpoints import Endpoints, Page
from .errors import (
    InvalidLeadIdError,
    LeadError,
    NotFoundError,
    RequestRejectedError,
    own_copy,
)
from .outcomes import Failed, Found, LeadId, NotFound, Outcome
from .pipeline import Deliver
from .protocol import MAX_IDS_PER_PAGE, wire_id
from .requester import Requester, Workspace
from .retry import Tries, speaks_of_outage
from .stats import Recorder

L = TypeVar("L")

_log = logging.getLogger(__name__)

TOO_MANY_IDS = frozenset({400, 413, 422})
"""Statuses that may mean *too many ids*. Which one the API gives, nobody says."""


class OutcomeMaker(Generic[L]):
    """Makes outcomes and counts them. ``keep_raw``: with the JSON of leads without problems too."""

    def __init__(self, recorder: Recorder, *, keep_raw: bool) -> None:
        self._recorder = recorder
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
            self._recorder.found += 1
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
            self._recorder.not_found += 1
            return NotFound(lead_id=lead_id, index=index, attempts=attempts, elapsed_s=elapsed_s)
        result.lead_id = lead_id
        result.attempts = attempts
        self._recorder.failed[type(result).__name__] += 1
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
    """The ids of a chunk, and which of them have no outcome yet.

    ``open`` maps ids on the wire to offsets in the chunk; ``in_flight`` counts them with their
    duplicates, which are asked for once. ``charge`` counts requests that were made in vain.
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
        self._attempts: dict[str, int] = {}
        self.open: dict[str, int] = {}
        self.in_flight = 0
        for offset, wire in enumerate(map(wire_id, lead_ids)):
            if wire is None:
                deliver(first + offset, outcomes.reject(first + offset, lead_ids[offset]))
                continue
            self.in_flight += 1
            if self.open.setdefault(wire, offset) != offset:
                self._duplicates.setdefault(wire, []).append(offset)

    def charge(self, wires: Iterable[str], attempts: int) -> None:
        """Count requests that have brought nothing."""
        for wire in wires:
            self._attempts[wire] = self._attempts.get(wire, 0) + attempts

    def settle(self, results: Mapping[str, LeadItem[L] | LeadError], attempts: int) -> None:
        """Deliver outcomes: ``results`` by id on the wire, and the requests that took."""
        elapsed_s = _now() - self._started_at
        in_vain, duplicates = self._attempts, self._duplicates
        for wire, result in results.items():
            spent = attempts + in_vain.get(wire, 0) if in_vain else attempts
            self._tell(self.open.pop(wire), result, spent, elapsed_s)
            if duplicates:
                for offset in duplicates.pop(wire, ()):
                    own = own_copy(result) if isinstance(result, LeadError) else result
                    self._tell(offset, own, spent, elapsed_s)

    def _tell(
        self, offset: int, result: LeadItem[L] | LeadError, attempts: int, elapsed_s: float
    ) -> None:
        self.in_flight -= 1
        index = self._first + offset
        make = self._outcomes.make
        self._deliver(index, make(index, self._lead_ids[offset], result, attempts, elapsed_s))


class ListLookup(Generic[L]):
    """Fetches leads by the page, and one by one what pages do not settle.

    ``confirm_missing=False``: an id that a page leaves out is taken for not found.
    ``concurrency`` bounds the requests of this lookup in flight; ``patient`` as in
    ``GetLookup``. ``chunk_size`` is the number of ids the API takes, as far as is known.
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
        self._recorder = recorder
        self._confirm_missing = confirm_missing
        self._outcomes: OutcomeMaker[L] = OutcomeMaker(recorder, keep_raw=keep_raw)
        listing = endpoints.list(keep_raw=keep_raw)
        self._list = Requester(listing, workspace, recorder, patient=patient)
        self._get = Requester(endpoints.get, workspace, recorder, patient=patient)
        self._turns = asyncio.Semaphore(concurrency)
        self._accepted_size = 0  # the longest list of ids the API has taken
        self._is_failing = False  # the latest page was given up
        self._is_distrusted = False
        self.chunk_size = MAX_IDS_PER_PAGE

    async def run(
        self, first: int, lead_ids: Sequence[LeadId], deliver: Deliver[Outcome[L]]
    ) -> None:
        """Deliver the one outcome of each of these ids; ``first`` is the index of the first.

        Raises:
            RunError: the whole run has to stop.
        """
        recorder = self._recorder
        recorder.requested += len(lead_ids)
        chunk = _Chunk(first, lead_ids, self._outcomes, deliver)
        recorder.in_flight += chunk.in_flight
        try:
            await self._ask_for_pages(chunk)
            recorder.fallbacks += chunk.in_flight
            await self._ask_one_by_one(chunk)
        finally:
            recorder.in_flight -= chunk.in_flight

    async def _ask_for_pages(self, chunk: _Chunk[L]) -> None:
        """Settle what pages can settle."""
        pieces = [list(chunk.open)]
        while pieces:
            piece = pieces.pop()
            if self._is_distrusted or self.chunk_size == 1 or not piece:
                return
            if len(piece) > self.chunk_size or not await self._ask_for_page(piece, chunk):
                pieces += self._cut(piece)

    async def _ask_for_page(self, piece: list[str], chunk: _Chunk[L]) -> bool:
        """Settle what one page can settle; ``False`` if it should be asked for in pieces."""
        tries = Tries(self._retry, self._rng, max_failures=1 if self._is_failing else None)
        async with self._turns:
            page = await self._list.request(piece, tries)
        if isinstance(page, LeadError):
            chunk.charge(piece, tries.attempts)
            return not self._is_too_long(piece, page)
        self._is_failing = False
        if page.has_stranger:
            self._distrust()
            chunk.charge(piece, tries.attempts)
            return True
        self._accepted_size = max(self._accepted_size, len(piece))
        self._settle_page(page, piece, chunk, tries.attempts)
        return True

    def _settle_page(
        self, page: Page[L], piece: list[str], chunk: _Chunk[L], attempts: int
    ) -> None:
        self._settle(chunk, page.found, attempts)
        missing = [wire for wire in piece if wire in chunk.open]
        if self._confirm_missing or page.has_nameless or self._is_distrusted:
            chunk.charge(missing, attempts)
        else:
            absent = {wire: _absent() for wire in missing if wire not in page.garbled}
            self._settle(chunk, absent, attempts)

    def _settle(
        self, chunk: _Chunk[L], results: Mapping[str, LeadItem[L] | LeadError], attempts: int
    ) -> None:
        before = chunk.in_flight
        chunk.settle(results, attempts)
        self._recorder.in_flight -= before - chunk.in_flight

    def _is_too_long(self, piece: list[str], error: LeadError) -> bool:
        """Learn from a page that failed: whether its length may be why, or something else."""
        self._is_failing = speaks_of_outage(error)
        _log.info("A page of %d leads was given up: %s", len(piece), error.args[0])
        if not isinstance(error, RequestRejectedError) or error.status not in TOO_MANY_IDS:
            return False
        if len(piece) > self._accepted_size:  # else one of the ids is not to its liking
            self.chunk_size = max(1, min(self.chunk_size, len(piece) // 2))
        return len(piece) > 1

    def _cut(self, piece: list[str]) -> list[list[str]]:
        size = min(self.chunk_size, (len(piece) + 1) // 2)
        return [piece[start : start + size] for start in range(0, len(piece), size)]

    def _distrust(self) -> None:
        self._recorder.list_distrusted = True
        if not self._is_distrusted:
            self._is_distrusted = True
            _log.warning(
                "The API has listed a lead that was not asked for: that page is thrown away, "
                "and all other leads are fetched one by one."
            )

    async def _ask_one_by_one(self, chunk: _Chunk[L]) -> None:
        """Settle the rest of the chunk."""
        if len(chunk.open) == 1:
            await self._ask_for_lead(next(iter(chunk.open)), chunk)
            return
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for wire in chunk.open:
                    group.create_task(self._ask_for_lead(wire, chunk))
        except BaseExceptionGroup as errors:
            failure = errors.exceptions[0]
        if failure is not None:
            raise failure

    async def _ask_for_lead(self, wire: str, chunk: _Chunk[L]) -> None:
        tries = Tries(self._retry, self._rng)
        async with self._turns:
            result = await self._get.request(wire, tries)
        self._settle(chunk, {wire: result}, tries.attempts)


def _absent() -> NotFoundError:
    return NotFoundError("The workspace has no such lead")


def _now() -> float:
    return asyncio.get_running_loop().time()
