"""``WorkspaceReader``: what can be read of one workspace. ``InstantlyClient`` is one."""

from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, Generic, TypeVar

from ._api import Endpoints, LeadFilter, wire_id
from ._fetch import (
    EmailOptions,
    GetLookup,
    KeyCheck,
    Listing,
    Pipeline,
    StreamOptions,
    Workspace,
    make_email_pipeline,
    make_listing_pipeline,
    make_pipeline,
    request_check,
)
from ._recorder import Recorder
from .activity import Activity
from .errors import ConfigurationError
from .loader import CACHE_SIZE, FLUSH_S, LeadLoader, open_loader
from .outcomes import LeadBatch, LeadId, Outcome, lead_or_raise
from .settings import Strategy
from .stats import Stats
from .streams import LeadStream, MatchStream, collect, open_stream

L = TypeVar("L")


class WorkspaceReader(Generic[L]):
    """Reads leads: by id, by campaign or list, by email."""

    _endpoints: Endpoints[L]
    _concurrency: int
    _workspace: Workspace
    _activity: Activity
    _single: GetLookup[L]

    @property
    def stats(self) -> Stats:
        """The counters of this client since it was made, open streams included."""
        return self._activity.total()

    async def check(self) -> KeyCheck:
        """Check whether the key works, with one request for any lead. Fails in an outage.

        Raises:
            RunError: the key, plan or scope does not allow it, or the service is down.
            LeadError: no answer came, or an answer that is not a page of leads.
            ClosedError: as ``get_lead``.
        """
        activity = self._activity
        async with activity.call():
            return await request_check(self._endpoints, self._workspace, activity.recorder)

    async def get_lead(self, lead_id: LeadId) -> L:
        """Fetch one lead.

        Raises:
            NotFoundError: the workspace has no such lead.
            LeadError: this lead could not be fetched.
            RunError: nothing can be fetched now, because of the key, the plan or the service.
            ClosedError: the client is or was closed, or belongs to another loop.
        """
        outcomes: dict[int, Outcome[L]] = {}
        async with self._activity.call():
            await self._single.run(0, lead_id, outcomes.__setitem__)
        return lead_or_raise(outcomes[0])

    def stream_leads(
        self,
        lead_ids: Iterable[LeadId] | AsyncIterable[LeadId],
        *,
        strategy: Strategy = "get",
        ordered: bool = False,
        concurrency: int | None = None,
        keep_raw: bool = False,
        confirm_missing: bool = True,
    ) -> LeadStream[L]:
        """Stream one outcome per id, as completed or (``ordered``) in input order.

        Args:
            lead_ids: any iterable or async iterable, pulled lazily, one id (``"list"``: 100) at
                a time; may be infinite. A generator is closed at the end, a file is not.
            strategy: ``"get"``: one request per id. ``"list"``: one per 100 ids; each answer is
                checked, and ids that it does not settle are fetched as with ``"get"``.
            ordered: at most ``concurrency`` outcomes are held back (``"list"``: 100 times that).
            concurrency: lowers the client's for this stream; ``None``: the client's, and with
                ``"list"`` at most 8 pages.
            keep_raw: keep the server's JSON in ``Found.raw``.
            confirm_missing: with ``"list"``, fetch each id that a page leaves out once more;
                ``False``: it counts as not found.

        Memory does not grow with the number of ids.

        Raises:
            TypeError: ``lead_ids`` is a single string, or cannot be iterated.
            ConfigurationError: an option is out of range.
            ClosedError: the client is closed.
        """
        self._activity.require_open()
        if isinstance(lead_ids, str | bytes):
            raise TypeError("lead_ids is a string; pass a collection of ids, or use get_lead.")
        options = StreamOptions(
            strategy=strategy,
            ordered=ordered,
            concurrency=concurrency,
            keep_raw=keep_raw,
            confirm_missing=confirm_missing,
        )
        return open_stream(
            LeadStream[L],
            self._activity,
            lambda recorder, on_end: make_pipeline(
                lead_ids,
                options,
                self._endpoints,
                self._workspace,
                recorder,
                most=self._concurrency,
                on_end=on_end,
            ),
            "stream_leads",
            strategy,
        )

    async def get_leads(
        self,
        lead_ids: Iterable[LeadId] | AsyncIterable[LeadId],
        *,
        strategy: Strategy = "get",
        ordered: bool = False,
        concurrency: int | None = None,
        keep_raw: bool = False,
        confirm_missing: bool = True,
    ) -> LeadBatch[L]:
        """Fetch many leads into memory: one outcome per id, in input order.

        Options as in ``stream_leads``, which is the better choice for many thousands.

        Raises:
            RunError: the run had to stop; ``error.partial`` is the batch of the finished ids.
            TypeError, ConfigurationError, ClosedError: as ``stream_leads``.
        """
        stream = self.stream_leads(
            lead_ids,
            strategy=strategy,
            ordered=ordered,
            concurrency=concurrency,
            keep_raw=keep_raw,
            confirm_missing=confirm_missing,
        )
        return await collect(stream)

    def list_leads(
        self,
        *,
        campaign: LeadId | None = None,
        list_id: LeadId | None = None,
        after: LeadId | None = None,
        keep_raw: bool = False,
    ) -> LeadStream[L]:
        """Stream the leads of a campaign, of a list, or of the whole workspace.

        Args:
            campaign: id of a campaign; ``None``: any.
            list_id: id of a list; ``None``: any. Not together with ``campaign``, because how the
                API combines them is unknown.
            after: id of the lead behind which to go on; ``None``: from the first.
            keep_raw: keep the server's JSON in ``Found.raw``.

        Yields ``Found`` or ``Failed``, page by page in the API's order, each lead once. The order
        is ascending by id (documented). The next page is requested meanwhile. Each lead is
        compared with what was asked for, by *Get lead* if a page does not show it. How many leads
        there are is not known. Memory: 16 bytes per lead, as long as ids ascend.

        Raises:
            ConfigurationError: an id is not a UUID, or both kinds are given.
            ClosedError: the client is closed.
            FilterIgnoredError: while iterating: the API lists what was not asked for.
            ListingError: while iterating: a page could not be fetched. Go on with ``after``.
        """
        self._activity.require_open()
        wanted = _filter_by(campaign=campaign, list_id=list_id)
        cursor = None if after is None else _wire_id("after", after)

        def make(recorder: Recorder, on_end: Callable[[], None]) -> Pipeline[Any, Outcome[L]]:
            listing = Listing(
                wanted, cursor, self._endpoints, self._workspace, recorder, keep_raw=keep_raw
            )
            return make_listing_pipeline(listing, on_end=on_end)

        return open_stream(LeadStream[L], self._activity, make, "list_leads")

    def find_leads(
        self,
        emails: Iterable[str] | AsyncIterable[str],
        *,
        ordered: bool = False,
        concurrency: int | None = None,
        keep_raw: bool = False,
    ) -> MatchStream[L]:
        """Stream one ``EmailMatch`` per email: its leads, as completed or in input order.

        Args:
            emails: any iterable or async iterable, pulled lazily, 98 at a time; may be infinite.
                A generator is closed at the end. Sent as spelled and in lower case, compared
                without case; whether the API does that, too, is unknown.
            ordered: at most 98 times ``concurrency`` outcomes are held back.
            concurrency: requests in flight for this stream; ``None``: 8.
            keep_raw: keep the server's JSON in ``Found.raw``.

        An email can be several leads, one per campaign or list (documented). Each lead is compared
        with the emails that were asked for, and each request is checked for whether the API has
        read all of them. Memory does not grow with the number of emails.

        Raises:
            TypeError: ``emails`` is a single string, or cannot be iterated.
            ConfigurationError: an option is out of range.
            ClosedError: the client is closed.
            FilterIgnoredError: while iterating: the API does not answer for these emails.
        """
        self._activity.require_open()
        if isinstance(emails, str | bytes):
            raise TypeError("emails is a string; pass a collection of emails.")
        options = EmailOptions(ordered=ordered, concurrency=concurrency, keep_raw=keep_raw)
        return open_stream(
            MatchStream[L],
            self._activity,
            lambda recorder, on_end: make_email_pipeline(
                emails,
                options,
                self._endpoints,
                self._workspace,
                recorder,
                most=self._concurrency,
                on_end=on_end,
            ),
            "find_leads",
        )

    def loader(
        self,
        *,
        flush_s: float = FLUSH_S,
        confirm_missing: bool = True,
        cache_ttl_s: float | None = None,
        cache_size: int = CACHE_SIZE,
    ) -> LeadLoader[L]:
        """Make a loader, for many tasks that each want one lead.

        Args:
            flush_s: seconds that a call waits for other calls, to share one request.
            confirm_missing: as in ``stream_leads``.
            cache_ttl_s: seconds that a lead is cached; ``None``: no cache.
            cache_size: leads cached at most; the oldest is dropped first.

        Raises:
            ConfigurationError: a value is out of range.
            ClosedError: the client is closed.
        """
        return open_loader(
            self._endpoints,
            self._workspace,
            self._activity,
            concurrency=self._concurrency,
            confirm_missing=confirm_missing,
            flush_s=flush_s,
            cache_ttl_s=cache_ttl_s,
            cache_size=cache_size,
        )


def _filter_by(**ids: LeadId | None) -> LeadFilter:
    given = {name: _wire_id(name, value) for name, value in ids.items() if value is not None}
    if len(given) > 1:
        raise ConfigurationError(
            f"Pass {' or '.join(given)}, not both: how the API combines them is unknown."
        )
    for name, wire in given.items():
        return LeadFilter.by_id(name, wire)
    return LeadFilter.everything()


def _wire_id(name: str, value: LeadId) -> str:
    wire = wire_id(value)
    if wire is None:
        raise ConfigurationError(f"{name} must be a UUID, as text or uuid.UUID.")
    return wire
