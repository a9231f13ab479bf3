"""Leads by email: up to 99 emails per *List leads* request, verified.

A chunk of emails is paged until an empty page. If its answer holds a lead that was not asked for,
or if the sentinel is missing, the API has not read the whole filter: then all of the answer is
discarded, and the chunk is cut in halves. So is a chunk that fails, until a single email is left,
because one of them may be the reason.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Generic, TypeVar

from instantly_async._api import MAX_LIMIT, Endpoints, LeadFilter, LeadItem, email_key
from instantly_async.errors import FilterIgnoredError, LeadError, RequestRejectedError
from instantly_async.outcomes import EmailMatch
from instantly_async.stats import Recorder

from .attempts import Absence
from .email_chunk import EmailChunk, Leads
from .page_size import PageSize
from .pipeline import Deliver
from .proven import ProvenPage, ProvenPages, ignored
from .sentinel import Sentinel
from .settle import OutcomeMaker
from .workspace import Workspace

L = TypeVar("L")

_log = logging.getLogger(__name__)

MAX_EMAILS = MAX_LIMIT - 1
"""Emails per request (*choice*: with one lead each and the sentinel, they fill a page). *Unknown:*
how many are allowed."""


class EmailLookup(Generic[L]):
    """Finds the leads of emails. ``absence(count)`` is entered while a chunk waits for a retry."""

    def __init__(
        self,
        endpoints: Endpoints[L],
        workspace: Workspace,
        recorder: Recorder,
        *,
        keep_raw: bool,
        absence: Callable[[int], AbstractAsyncContextManager[None]],
    ) -> None:
        self._pages = ProvenPages(endpoints.contacts, endpoints, workspace, recorder)
        self._sentinel = Sentinel(self._pages)
        self._outcomes: OutcomeMaker[L] = OutcomeMaker(recorder, keep_raw=keep_raw)
        self._size = PageSize(MAX_EMAILS)
        self._budget = workspace.budget
        self._absence = absence

    async def run(self, first: int, emails: Sequence[str], deliver: Deliver[EmailMatch[L]]) -> None:
        """Deliver the one outcome of each of these emails; ``first`` is the index of the first.

        Raises:
            RunError: the whole run has to stop.
        """
        with EmailChunk(first, emails, self._outcomes, deliver) as chunk:
            self._budget.deposit(len(chunk))
            pieces = chunk.pieces(MAX_EMAILS)
            if pieces and (failure := await self._sentinel.prepare()) is not None:
                chunk.fail(failure)
                return
            spent: Counter[str] = Counter()
            while pieces:
                # Longer pieces first: if one of that length was accepted, a rejection means one
                # of these emails.
                piece = pieces.popleft()
                if len(piece) > self._size.size or not await self._settle(piece, chunk, spent):
                    pieces += self._size.cut(piece)

    async def _settle(self, piece: list[str], chunk: EmailChunk[L], spent: Counter[str]) -> bool:
        """Settle these keys; return ``False`` if smaller pieces should be tried.

        Raises:
            FilterIgnoredError: the API does not answer for a single email either.
            RunError: the whole run has to stop.
        """
        absence = partial(self._absence, len(chunk))
        found, attempts = await self._find(chunk.spellings(piece), absence)
        if isinstance(found, FilterIgnoredError) and len(piece) == 1:
            # Perhaps that was the answer to another request.
            found, attempts = await self._find(chunk.spellings(piece), absence)
            if isinstance(found, FilterIgnoredError):
                raise found
        for key in piece:
            spent[key] += attempts
        if isinstance(found, FilterIgnoredError) or (isinstance(found, LeadError) and piece[1:]):
            if isinstance(found, RequestRejectedError | FilterIgnoredError):
                self._size.on_rejected(len(piece))
            _log.info("A search for %d emails failed: %s", len(piece), found.args[0])
            return False
        if isinstance(found, LeadError):
            chunk.settle(piece[0], found, spent[piece[0]])
            return True
        self._size.on_accepted(len(piece))
        for key in piece:
            chunk.settle(key, found.get(key, {}), spent[key])
        return True

    async def _find(
        self, addresses: list[str], absence: Absence
    ) -> tuple[dict[str, Leads[L]] | LeadError | FilterIgnoredError, int]:
        """Return the leads by the keys of their emails, or why they are not known; and attempts.

        Raises:
            RunError: the whole run has to stop.
        """
        sentinel = self._sentinel.address
        last = [] if sentinel is None else [sentinel]
        wanted = LeadFilter.by_emails([each for each in addresses if each != sentinel] + last)
        found, attempts = await self._read_pages(wanted, absence)
        if isinstance(found, dict) and sentinel is not None and email_key(sentinel) not in found:
            await self._sentinel.renew(sentinel)
            return ignored(wanted, "leads for some emails only"), attempts
        return found, attempts

    async def _read_pages(
        self, wanted: LeadFilter, absence: Absence
    ) -> tuple[dict[str, Leads[L]] | LeadError | FilterIgnoredError, int]:
        found: dict[str, Leads[L]] = {}
        after: str | None = None
        attempts = longest = 0
        while True:
            page = await self._pages.request(wanted, after, absence)
            if isinstance(page, FilterIgnoredError):
                return page, attempts + 1
            if isinstance(page, LeadError):
                return page, attempts + page.attempts
            attempts += page.attempts + sum(page.spent.values())
            failed = next(
                (each for each in page.leads.values() if isinstance(each, LeadError)), None
            )
            if failed is not None:  # which of the emails it has is not known
                return failed, attempts
            if not _add(page, wanted, found):
                if 0 < len(page.ids) >= longest:
                    return ignored(wanted, "the same leads again"), attempts
                return found, attempts
            after, longest = page.last, max(longest, len(page.ids))


def _add(page: ProvenPage[L], wanted: LeadFilter, found: dict[str, Leads[L]]) -> bool:
    """Add the leads of a page to those of their emails; return whether any is new."""
    is_new = False
    for lead_id, item in page.leads.items():
        assert lead_id is not None and isinstance(item, LeadItem)  # noqa: PT018 - both were checked
        leads = found.setdefault(wanted.key_in(item.raw) or "", {})
        is_new |= lead_id not in leads
        leads[lead_id] = item
    return is_new
