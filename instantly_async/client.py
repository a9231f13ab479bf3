"""The public face: ``InstantlyClient``. Thin; everything else is below."""

import asyncio
import copy
import os
import random
import ssl
import time
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload
from weakref import WeakSet

from ._api.answers import base_url_problem, read_api_key, read_proxy, workspace_headers
from ._api.endpoints import Endpoints
from ._fetch.attempts import Workspace
from ._fetch.by_list import GetLookup, ListLookup
from ._fetch.check import check_key
from ._fetch.intake import Source
from ._http.transport import SessionPool
from ._pace.gate import Admission
from ._pace.limiter import AdaptiveLimiter
from .errors import ConfigurationError
from .loader import CACHE_SIZE, FLUSH_S, LeadLoader
from .models import Lead
from .outcomes import KeyCheck, LeadBatch, LeadId, Outcome, lead_or_raise
from .settings import (
    DEFAULT_BASE_URL,
    DEFAULT_CONCURRENCY,
    RateLimit,
    RetryPolicy,
    Timeouts,
    check_concurrency,
)
from .stats import Stats
from .streams import Activity, LeadStream, Strategy, StreamOptions, collect

L = TypeVar("L")


class InstantlyClient(Generic[L]):
    """Fetches leads by id, within the workspace's rate limits.

    Args:
        api_key: ``None``: from the environment variable ``INSTANTLY_API_KEY``.
        base_url: scheme, host and port; https, or http on this machine.
        workspace: id of the sub-workspace that an admin key acts on; ``None``: its own.
        rate_limit: ``None``: no limit on this side, for servers of your own.
        retry: how often and how long to try again.
        timeouts: seconds per attempt.
        concurrency: requests in flight at once, over all streams.
        limiter: shares one limiter between clients of one workspace, instead of
            ``rate_limit``.
        lead_type: the ``msgspec.Struct`` to decode into: only its fields are decoded.
        proxy: URL of an HTTP proxy, with user and password if it wants them; ``None``: none,
            whatever the environment says.
        ssl_context: ``None``: the system's certificates.

    Raises:
        ConfigurationError: a value cannot work. The message never quotes the key.

    Use it as an async context manager, or call ``aclose()``. Belongs to the event loop of
    its first request.
    """

    @overload
    def __init__(
        self: "InstantlyClient[Lead]",
        api_key: str | None = None,
        *,
        base_url: str = DEFAULT_BASE_URL,
        workspace: str | None = None,
        rate_limit: RateLimit | None = ...,
        retry: RetryPolicy = ...,
        timeouts: Timeouts = ...,
        concurrency: int = DEFAULT_CONCURRENCY,
        limiter: AdaptiveLimiter | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str = DEFAULT_BASE_URL,
        workspace: str | None = None,
        rate_limit: RateLimit | None = ...,
        retry: RetryPolicy = ...,
        timeouts: Timeouts = ...,
        concurrency: int = DEFAULT_CONCURRENCY,
        limiter: AdaptiveLimiter | None = None,
        lead_type: type[L],
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None: ...

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str = DEFAULT_BASE_URL,
        workspace: str | None = None,
        rate_limit: RateLimit | None = RateLimit(),
        retry: RetryPolicy = RetryPolicy(),
        timeouts: Timeouts = Timeouts(),
        concurrency: int = DEFAULT_CONCURRENCY,
        limiter: AdaptiveLimiter | None = None,
        lead_type: type[Any] = Lead,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        # Tracebacks must find no secret here: neither a key nor a password in a URL.
        key, api_key = read_api_key(api_key, os.environ), None
        relay, proxy = read_proxy(proxy), None
        if problem := base_url_problem(base_url):
            base_url = ""
            raise ConfigurationError(problem)
        if isinstance(key, ConfigurationError):
            raise key
        if isinstance(relay, ConfigurationError):
            raise relay
        self._key = key
        self._retry = retry
        self._concurrency = check_concurrency(concurrency)
        self._slots = asyncio.Semaphore(concurrency)
        self._endpoints: Endpoints[L] = Endpoints(lead_type, timeouts, retry)
        self._pool = SessionPool(
            base_url.rstrip("/"),
            key,
            timeouts=timeouts,
            proxy=relay,
            ssl_context=ssl_context,
        )
        self._siblings: dict[str | None, InstantlyClient[L]] = {workspace: self}
        self._bind(workspace, limiter or AdaptiveLimiter(rate_limit), parent=None)

    def _bind(self, workspace: str | None, limiter: AdaptiveLimiter, parent: Self | None) -> None:
        """Become the client of one workspace."""
        self._parent = parent
        self._loaders: WeakSet[LeadLoader[L]] = WeakSet()
        self._workspace = Workspace(
            transport=self._pool,
            slots=self._slots,
            limiter=limiter,
            admission=Admission(self._retry),
            key=self._key,
            retry=self._retry,
            headers=workspace_headers(workspace),
            rng=random.random,
            wall_clock=time.time,
        )
        self._activity: Activity[L] = Activity(self._workspace)
        self._single = GetLookup(
            self._endpoints, self._workspace, self._activity.recorder, patient=False
        )

    def __repr__(self) -> str:
        if not hasattr(self, "_activity"):  # within a traceback of __init__
            return "<InstantlyClient unconfigured>"
        state = "closed" if self._activity.closed else "open"
        return f"<InstantlyClient {state} {self._pool!r} {self._workspace.limiter!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every open stream and loader, then close the connections. Idempotent.

        A sibling made by ``for_workspace`` leaves the connections to its parent.
        """
        try:
            await self._activity.aclose()
            for loader in list(self._loaders):
                await loader.aclose()
            if self._parent is None:
                for sibling in self._siblings.values():
                    if sibling is not self:
                        await sibling.aclose()
        finally:
            if self._parent is None:
                await self._pool.aclose()

    def for_workspace(self, workspace: str) -> "InstantlyClient[L]":
        """Give the client of another workspace: same connections, its own limits.

        Sends the header ``x-as-workspace`` (documented for admin keys). A second call with
        the same id gives the same client. Only the first client closes the connections.

        Raises:
            ConfigurationError: the id has characters that no header may have.
        """
        root = self._parent or self
        root._activity.require_open()  # noqa: SLF001 - a sibling is this same class
        if workspace not in self._siblings:
            sibling = copy.copy(root)
            limiter = AdaptiveLimiter(self._workspace.limiter.limit)
            sibling._bind(workspace, limiter, parent=root)  # noqa: SLF001 - as above
            self._siblings[workspace] = sibling
        sibling = self._siblings[workspace]
        sibling._activity.closed = False  # noqa: SLF001 - one that was closed opens again
        return sibling

    @property
    def stats(self) -> Stats:
        """What this client has done since it was made, open streams included."""
        return self._activity.total()

    async def check(self) -> KeyCheck:
        """Ask for any one lead, to see whether the key works. Does not wait out an outage.

        Raises:
            RunError: it does not (the key, the plan, the scope), or the service is down.
            LeadError: no answer, or one that is no page of leads.
            ClosedError: as ``get_lead``.
        """
        self._activity.begin(self._activity.recorder)
        return await check_key(self._endpoints, self._workspace, self._activity.recorder)

    async def get_lead(self, lead_id: LeadId) -> L:
        """Fetch one lead.

        Raises:
            NotFoundError: the workspace has no such lead.
            LeadError: this lead could not be fetched.
            RunError: nothing can be fetched now: the key, the plan, the service.
            ClosedError: the client is closed or belongs to another loop.
        """
        self._activity.begin(self._activity.recorder)
        outcomes: dict[int, Outcome[L]] = {}
        await self._single.run(0, lead_id, outcomes.__setitem__)
        return lead_or_raise(outcomes[0])

    def stream_leads(
        self,
        lead_ids: Source[LeadId],
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
            strategy: ``"get"``: one request per id. ``"list"``: one per 100 ids, whose answer
                is checked; what it does not settle is fetched as by ``"get"``.
            ordered: holds at most ``concurrency`` outcomes back (``"list"``: 100 times that).
            concurrency: lowers the client's for this stream; ``None``: the client's, by
                ``"list"`` at most 8 pages.
            keep_raw: keep the server's JSON in ``Found.raw``.
            confirm_missing: by ``"list"``, ask once more for each id that a page leaves out;
                ``False``: it counts as not found.

        Memory does not grow with the number of ids.

        Raises:
            TypeError: ``lead_ids`` is a single string, or cannot be iterated.
            ConfigurationError: an option is out of range.
            ClosedError: the client is closed.
        """
        self._activity.require_open()
        if isinstance(lead_ids, str | bytes):
            raise TypeError("lead_ids is one string; pass a collection of ids, or use get_lead.")
        options = StreamOptions(
            strategy=strategy,
            ordered=ordered,
            concurrency=concurrency,
            keep_raw=keep_raw,
            confirm_missing=confirm_missing,
        )
        return self._activity.stream(lead_ids, options, self._endpoints, most=self._concurrency)

    async def get_leads(
        self,
        lead_ids: Source[LeadId],
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
            RunError: the run had to stop; ``error.partial`` is the batch of what was finished.
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
            flush_s: seconds that a call waits for others to share its request.
            confirm_missing: as in ``stream_leads``.
            cache_ttl_s: seconds that a lead is kept; ``None``: not at all.
            cache_size: leads kept at most; the oldest goes first.

        Raises:
            ConfigurationError: a value is out of range.
            ClosedError: the client is closed.
        """
        self._activity.require_open()
        lookup = ListLookup(
            self._endpoints,
            self._workspace,
            self._activity.recorder,
            concurrency=self._concurrency,
            patient=False,
            confirm_missing=confirm_missing,
        )
        loader = LeadLoader(
            lookup,
            lambda: self._activity.begin(self._activity.recorder),
            flush_s=flush_s,
            cache_ttl_s=cache_ttl_s,
            cache_size=cache_size,
        )
        self._loaders.add(loader)
        return loader
