"""``Work``: what a run fetches, by ids, by emails, or as a listing."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from instantly_async.client import InstantlyClient
from instantly_async.errors import InvalidEmailError
from instantly_async.models import Lead
from instantly_async.outcomes import EmailMatch, Failed, Found, NotFound, Outcome
from instantly_async.settings import Strategy
from instantly_async.streams import LeadStream, MatchStream, Stream

from .exits import InputError
from .input import IdSource
from .output import ListedFailure, PastEmails, PastIds, PastListing, Query
from .records import LineId
from .show import EMAILS, IDS, LISTING, Extent, Words, invalid, trouble


class Supply(Extent, Protocol):
    """How much there is to do, and what is to be said about that; see ``IdSource``."""

    error: InputError | None

    @property
    def whole(self) -> int | None: ...

    @property
    def remark(self) -> str | None: ...

    @property
    def duplicates(self) -> int: ...

    def has_reported(self, entry: object) -> bool: ...


class Work(ABC):
    """What a run fetches.

    ``has_enough``: no more is wanted. ``matched_before``: emails that had leads in earlier runs.
    """

    words: ClassVar[Words] = IDS
    has_enough = False
    matched_before = 0

    @property
    @abstractmethod
    def supply(self) -> Supply:
        """How much there is to do."""

    @abstractmethod
    def open(self, client: InstantlyClient[Lead]) -> Stream[Any]:
        """Return the stream of items."""

    def read(self, item: Any) -> Sequence[Outcome[Lead]]:
        """Return the outcomes of an item that are to be recorded."""
        return (item,)

    def settled(self, item: Any) -> object:
        """Return the id or email that has its leads now; ``None``: the item has none."""
        return item.lead_id if isinstance(item, Found) else None

    def name(self, outcome: NotFound | Failed) -> str:
        """Return the line that names what has no lead, and why."""
        return trouble(outcome)

    @abstractmethod
    def stop(self) -> None:
        """Request no more."""

    def on_end(self) -> None:  # noqa: B027 - most need not know
        """Note that the stream has ended by itself."""


class ById(Work):
    """Leads by their ids. ``ordered``: in the order of the ids, not of completion."""

    def __init__(
        self, source: IdSource, strategy: Strategy = "get", *, ordered: bool = False
    ) -> None:
        self._source = source
        self._strategy = strategy
        self._ordered = ordered

    @property
    def supply(self) -> Supply:
        return self._source

    def open(self, client: InstantlyClient[Lead]) -> LeadStream[Lead]:
        return client.stream_leads(
            self._source.ids(), strategy=self._strategy, ordered=self._ordered, keep_raw=True
        )

    def stop(self) -> None:
        self._source.stop()


class ByEmail(Work):
    """The leads of emails. ``past`` knows which of them the journal has already."""

    words = EMAILS

    def __init__(self, source: IdSource, past: PastEmails) -> None:
        self._source = source
        self._past = past
        self.matched_before = past.matched

    @property
    def supply(self) -> Supply:
        return self._source

    def open(self, client: InstantlyClient[Lead]) -> MatchStream[Lead]:
        return client.find_leads(self._source.ids(), keep_raw=True)

    def read(self, item: EmailMatch[Lead]) -> Sequence[Outcome[Lead]]:
        if item.found:
            return [each for each in item.found if not self._past.has(item.email, each)]
        facts: dict[str, Any] = {
            "lead_id": item.email,
            "index": item.index,
            "attempts": item.attempts,
            "elapsed_s": item.elapsed_s,
        }
        return (NotFound(**facts) if item.error is None else Failed(error=item.error, **facts),)

    def settled(self, item: EmailMatch[Lead]) -> str | None:
        return item.email if item.found else None

    def name(self, outcome: NotFound | Failed) -> str:
        """Return the line that names the line of the email, because emails are personal data."""
        entry = outcome.lead_id
        assert isinstance(entry, LineId)
        where = f"{entry.unit} {entry.line}"
        if isinstance(outcome, NotFound):
            return f"not found: {where}"
        if isinstance(outcome.error, InvalidEmailError):
            return invalid(entry)
        return f"failed: {where}: {outcome.error.args[0]} (attempts: {outcome.attempts})"

    def stop(self) -> None:
        self._source.stop()


def work_of(source: IdSource, past: PastIds, strategy: Strategy) -> Work:
    """Return the work for an input of ids or emails, as ``past`` says."""
    return ByEmail(source, past) if isinstance(past, PastEmails) else ById(source, strategy)


class Listed(Work):
    """The leads of a campaign, a list or the workspace; at most ``limit``. It is its own supply.

    They begin behind the last lead of the journal, or with ``from_first`` at the first one.
    """

    words = LISTING
    error: InputError | None = None
    total: int | None = None
    whole: int | None = None
    duplicates = 0

    def __init__(
        self, past: PastListing, *, limit: int | None = None, from_first: bool = False
    ) -> None:
        self._past = past
        self._after = None if from_first else past.after
        self._limit = limit
        self._items = self._new = 0
        self._stream: LeadStream[Lead] | None = None
        self._closing: asyncio.Future[None] | None = None
        self.done = past.leads

    @property
    def supply(self) -> Supply:
        return self

    @property
    def has_enough(self) -> bool:  # type: ignore[override]  # it changes
        return self._limit is not None and self._new >= self._limit

    def open(self, client: InstantlyClient[Lead]) -> LeadStream[Lead]:
        query = self._past.query
        self._stream = client.list_leads(
            campaign=query.campaign, list_id=query.list_id, after=self._after, keep_raw=True
        )
        return self._stream

    def read(self, item: Outcome[Lead]) -> Sequence[Outcome[Lead]]:
        self._items += 1
        if self._past.has(item):
            return ()
        self._new += 1
        if not isinstance(item, Failed):
            return (item,)
        return (
            ListedFailure(
                lead_id=item.lead_id,
                index=item.index,
                error=item.error,
                attempts=item.attempts,
                elapsed_s=item.elapsed_s,
            ),
        )

    def stop(self) -> None:
        """Close the stream: a page that is on its way is of no use, a later run requests it."""
        if self._stream is not None and self._closing is None:
            self._closing = asyncio.ensure_future(self._stream.aclose())

    def on_end(self) -> None:
        self.whole = self._items

    def has_reported(self, _: object) -> bool:
        """Return ``False``: there is no input that was checked before."""
        return False

    @property
    def remark(self) -> str | None:
        """That there is nothing to export."""
        if self.whole is None or self._items or self.done:
            return None
        return f"There are no leads in this {_place(self._past.query)}."


def _place(query: Query) -> str:
    if query.campaign is not None:
        return "campaign"
    return "workspace" if query.list_id is None else "list"
