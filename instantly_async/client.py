"""The public face: ``InstantlyClient``. Thin; everything else is below."""

import asyncio
import copy
import os
import random
import ssl
import time
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, overload

from .admission import Admission
from .decoding import LeadDecoder
from .errors import ClosedError, ConfigurationError, RunError
from .limiter import AdaptiveLimiter
from .lookup import GetLookup, Workspace
from .models import Lead
from .outcomes import LeadBatch, LeadId, Outcome, lead_or_raise
from .pipeline import Pipeline, Source
from .protocol import base_url_problem, proxy_problem, read_api_key, workspace_headers
from .session import SessionPool
from .settings import (
    DEFAULT_BASE_URL,
    DEFAULT_CONCURRENCY,
    RateLimit,
    RetryPolicy,
    Timeouts,
    check_concurrency,
)
from .stats import Recorder, Stats
from .stream import LeadStream

L = TypeVar("L")

Strategy = Literal["get"]  # how leads are fetched: one request per id


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
        proxy: URL of an HTTP proxy; ``None``: none, whatever the environment says.
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
        key, api_key = read_api_key(api_key, os.environ), None  # tracebacks must not find it here
        if isinstance(key, ConfigurationError):
            raise key
        if problem := base_url_problem(base_url) or proxy_problem(proxy):
            raise ConfigurationError(problem)
        self._key = key
        self._retry = retry
        self._timeouts = timeouts
        self._concurrency = check_concurrency(concurrency)
        self._slots = asyncio.Semaphore(concurrency)
        self._decoder: LeadDecoder[L] = LeadDecoder(lead_type)
        self._pool = SessionPool(
            base_url.rstrip("/"),
            key,
            timeouts=timeouts,
            proxy=proxy,
            ssl_context=ssl_context,
        )
        self._siblings: dict[str | None, InstantlyClient[L]] = {workspace: self}
        self._bind(workspace, limiter or AdaptiveLimiter(rate_limit), parent=None)

    def _bind(self, workspace: str | None, limiter: AdaptiveLimiter, parent: Self | None) -> None:
        """Become the client of one workspace."""
        self._parent = parent
        self._closed = False
        self._recorder = Recorder()
        self._streams: dict[Pipeline[LeadId, Outcome[L]], Recorder] = {}
        self._workspace = Workspace(
            transport=self._pool,
            slots=self._slots,
            decoder=self._decoder,
            limiter=limiter,
            admission=Admission(self._retry),
            key=self._key,
            retry=self._retry,
            timeouts=self._timeouts,
            headers=workspace_headers(workspace),
            rng=random.random,
            wall_clock=time.time,
        )
        self._single = GetLookup(self._workspace, self._recorder, patient=False)

    def __repr__(self) -> str:
        if not hasattr(self, "_workspace"):  # within a traceback of __init__
            return "<InstantlyClient unconfigured>"
        state = "closed" if self._closed else "open"
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
        """End every open stream, then close the connections. Idempotent.

        A sibling made by ``for_workspace`` leaves the connections to its parent.
        """
        self._closed = True
        try:
            for pipeline in list(self._streams):
                await pipeline.aclose(ClosedError("The client was closed."))
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
        root._require_open()  # noqa: SLF001 - a sibling is this same class
        if workspace not in self._siblings:
            sibling = copy.copy(root)
            limiter = AdaptiveLimiter(self._workspace.limiter.limit)
            sibling._bind(workspace, limiter, parent=root)  # noqa: SLF001 - as above
            self._siblings[workspace] = sibling
        self._siblings[workspace]._closed = False  # noqa: SLF001 - one that was closed opens again
        return self._siblings[workspace]

    @property
    def stats(self) -> Stats:
        """What this client has done since it was made, open streams included."""
        total = Recorder()
        total.started_at = self._recorder.started_at
        for recorder in (self._recorder, *self._streams.values()):
            total.add(recorder)
        return self._snapshot(total)

    async def get_lead(self, lead_id: LeadId) -> L:
        """Fetch one lead.

        Raises:
            NotFoundError: the workspace has no such lead.
            LeadError: this lead could not be fetched.
            RunError: nothing can be fetched now: the key, the plan, the service.
            ClosedError: the client is closed or belongs to another loop.
        """
        self._begin(self._recorder)
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
    ) -> LeadStream[L]:
        """Stream one outcome per id, as completed or (``ordered``) in input order.

        Args:
            lead_ids: any iterable or async iterable, pulled lazily, one id at a time; may be
                infinite. A generator is closed at the end, a file is not.
            strategy: ``"get"``: one request per id.
            ordered: holds at most ``concurrency`` outcomes back.
            concurrency: lowers the client's for this stream; ``None``: the client's.
            keep_raw: keep the server's JSON in ``Found.raw``.

        Memory does not grow with the number of ids.

        Raises:
            TypeError: ``lead_ids`` is a single string, or cannot be iterated.
            ConfigurationError: an option is out of range.
            ClosedError: the client is closed.
        """
        self._require_open()
        if isinstance(lead_ids, str | bytes):
            raise TypeError("lead_ids is one string; pass a collection of ids, or use get_lead.")
        if strategy != "get":
            raise ConfigurationError(f'strategy must be "get"; {strategy!r} is not.')
        limit = self._concurrency if concurrency is None else check_concurrency(concurrency)
        recorder = Recorder()
        lookup = GetLookup(self._workspace, recorder, keep_raw=keep_raw)

        def on_end() -> None:
            self._end(pipeline, recorder)

        pipeline: Pipeline[LeadId, Outcome[L]] = Pipeline(
            lead_ids,
            lookup.run,
            concurrency=min(limit, self._concurrency),
            ordered=ordered,
            on_end=on_end,
        )
        return LeadStream(
            pipeline,
            begin=lambda: self._begin(recorder, pipeline),
            snapshot=lambda: self._snapshot(recorder),
        )

    async def get_leads(
        self,
        lead_ids: Source[LeadId],
        *,
        strategy: Strategy = "get",
        ordered: bool = False,
        concurrency: int | None = None,
        keep_raw: bool = False,
    ) -> LeadBatch[L]:
        """Fetch many leads into memory: one outcome per id, in input order.

        Options as in ``stream_leads``, which is the better choice for many thousands.

        Raises:
            RunError: the run had to stop; ``error.partial`` is the batch of what was finished.
            TypeError, ConfigurationError, ClosedError: as ``stream_leads``.
        """
        outcomes: list[Outcome[L]] = []
        failure: RunError | None = None
        stream = self.stream_leads(
            lead_ids, strategy=strategy, ordered=ordered, concurrency=concurrency, keep_raw=keep_raw
        )
        async with stream:
            try:
                async for outcome in stream:
                    outcomes.append(outcome)  # noqa: PERF401 - an error must not lose them
            except RunError as error:
                failure = error
        outcomes.sort(key=lambda outcome: outcome.index)
        batch = LeadBatch(outcomes=tuple(outcomes), stats=stream.stats)
        if failure is not None:
            failure.partial = batch
            raise failure
        return batch

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("The client is closed; make a new one.")

    def _begin(
        self, recorder: Recorder, pipeline: Pipeline[LeadId, Outcome[L]] | None = None
    ) -> None:
        self._require_open()
        if pipeline is not None:
            self._streams[pipeline] = recorder
        now = asyncio.get_running_loop().time()
        for each in (recorder, self._recorder):
            if each.started_at is None:
                each.started_at = now

    def _end(self, pipeline: Pipeline[LeadId, Outcome[L]], recorder: Recorder) -> None:
        recorder.stopped_at = _now()
        if self._streams.pop(pipeline, None) is not None:
            self._recorder.add(recorder)

    def _snapshot(self, recorder: Recorder) -> Stats:
        now = _now()
        return recorder.snapshot(
            now,
            allowed_rate=self._workspace.limiter.rate,
            paused_s=self._workspace.limiter.paused_s(now),
            breaker_open=self._workspace.admission.breaker.is_open,
        )


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:  # stats may be read after the loop's end
        return time.monotonic()
