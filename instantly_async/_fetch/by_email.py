"""Leads by email: up to 98 emails per *List leads* request, verified.

If an answer holds a lead that was not asked for, or if the sentinel is missing, the API has not
read the whole filter: then all of the answer is discarded, and the emails are cut in halves. So are
emails whose search fails, until a single one is left, because one of them may be the reason.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Generic, TypeVar

from instantly_async._api import MAX_LIMIT, Endpoints, LeadFilter, email_key
from instantly_async._recorder import Recorder
from instantly_async.errors import (
    DecodeError,
    FilterIgnoredError,
    LeadError,
    RequestRejectedError,
)
from instantly_async.outcomes import EmailMatch

from .email_chunk import EmailChunk, Leads
from .email_search import EmailSearch
from .facts import facts_of
from .page_size import PageSize
from .pipeline import Deliver
from .proven import ProvenPages, ignored
from .sentinel import Sentinel
from .settle import OutcomeMaker
from .workspace import Workspace

L = TypeVar("L")

_log = logging.getLogger(__name__)

MAX_EMAILS = MAX_LIMIT - 2
"""Emails per request (*choice*: with one lead each and the sentinel, they do not fill a page, so no
more can be behind it). *Unknown:* how many are allowed."""

MOST_DOUBTS = 3
"""How often a single email is searched if its answers do not fit, each time with another sentinel
(*choice*)."""

MOST_FAILURES = 3
"""So many single emails fail, and none succeeds, before the rest of their chunk is given up
(*choice*). Then the reason is not one of the emails."""


class EmailLookup(Generic[L]):
    """Finds the leads of emails; at most ``concurrency`` requests are in flight.

    ``absence(count)`` is entered while a chunk waits for a retry.
    """

    def __init__(
        self,
        endpoints: Endpoints[L],
        workspace: Workspace,
        recorder: Recorder,
        *,
        concurrency: int,
        keep_raw: bool,
        absence: Callable[[int], AbstractAsyncContextManager[None]],
    ) -> None:
        self._pages = ProvenPages(
            endpoints.contacts, endpoints, workspace, recorder, concurrency=concurrency
        )
        self._sentinel = Sentinel(self._pages)
        self._outcomes: OutcomeMaker[L] = OutcomeMaker(recorder, keep_raw=keep_raw)
        self._size = PageSize(MAX_EMAILS)
        self._budget = workspace.budget
        self._absence = absence

    async def run(self, first: int, emails: Sequence[str], deliver: Deliver[EmailMatch[L]]) -> None:
        """Deliver the one outcome of each of these emails; ``first`` is the index of the first.

        Raises:
            FilterIgnoredError: the API does not answer for a single email either.
            RunError: the whole run has to stop.
        """
        with EmailChunk(first, emails, self._outcomes, deliver) as chunk:
            self._budget.deposit(len(chunk))
            failure = await self._sentinel.prepare() if len(chunk) else None
            if failure is None:
                await self._search(chunk)
            else:
                await chunk.fail(failure)

    async def _search(self, chunk: EmailChunk[L]) -> None:
        pieces = chunk.pieces(MAX_EMAILS)
        spent: Counter[str] = Counter()
        failures, has_success = 0, False
        while pieces:
            piece = pieces.popleft()
            if len(piece) > self._most:
                pieces += self._cut(piece)
                continue
            found = await self._find(piece, chunk, spent)
            if isinstance(found, dict):
                has_success = True
                self._size.on_accepted(len(piece))
                for key in piece:
                    await chunk.settle(key, found.get(key, {}), spent[key])
            elif len(piece) > 1:
                self._note_failure(piece, found)
                if isinstance(found, RequestRejectedError | FilterIgnoredError):
                    # Longer pieces first: if one of that length is accepted, it is one of these.
                    pieces += self._cut(piece)
                else:
                    pieces.extendleft(reversed(self._cut(piece)))
            elif isinstance(found, FilterIgnoredError):
                raise found
            else:
                failures += 1
                await chunk.settle(piece[0], found, spent[piece[0]])
                if failures >= MOST_FAILURES and not has_success:
                    await chunk.fail(found)
                    return

    @property
    def _most(self) -> int:
        """How many emails to search at once. Without a sentinel, one that is read is all."""
        is_checked = self._sentinel.address is not None or self._sentinel.is_empty
        return self._size.size if is_checked else 1

    def _cut(self, piece: list[str]) -> list[list[str]]:
        return [[key] for key in piece] if self._most == 1 else self._size.cut(piece)

    def _note_failure(self, piece: list[str], error: LeadError | FilterIgnoredError) -> None:
        if isinstance(error, RequestRejectedError | FilterIgnoredError):
            self._size.on_rejected(len(piece))
        self._outcomes.recorder.retries += 1
        _log.info(
            "A search for %d emails failed: %s",
            len(piece),
            error.args[0],
            extra=facts_of(error, emails=len(piece)),
        )

    async def _find(
        self, piece: list[str], chunk: EmailChunk[L], spent: Counter[str]
    ) -> dict[str, Leads[L] | LeadError] | LeadError | FilterIgnoredError:
        """Return the leads of these keys, or why they are not known. ``spent`` counts requests.

        Raises:
            RunError: the whole run has to stop.
        """
        most = MOST_DOUBTS if len(piece) == 1 else 1
        while True:
            most -= 1
            sentinel = self._sentinel.address
            wanted = LeadFilter.by_emails(chunk.contacts(piece, sentinel))
            search = EmailSearch(self._pages, wanted, partial(self._absence, len(chunk)))
            found = await search.run()
            for key in piece:
                spent[key] += search.attempts
            if isinstance(found, dict) and (not sentinel or email_key(sentinel) in found):
                self._sentinel.offer(*search.farthest())
                return found
            if isinstance(found, dict):
                found = ignored(wanted, "leads for some emails only")
            elif not isinstance(found, FilterIgnoredError | DecodeError):
                return found
            if sentinel is not None and (most or isinstance(found, FilterIgnoredError)):
                failure = await self._sentinel.renew(sentinel)
                if failure is not None:
                    return failure
            if not most:
                return found
