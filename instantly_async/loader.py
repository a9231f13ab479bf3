"""``LeadLoader``: combines the calls of many tasks, one lead each, into few list requests.

Theory of operation. The first call opens a batch, which has a task; later calls join it. The
task waits a few milliseconds or until the batch is full, and then for a free page slot. Until
then ids may join, so the slower the API, the fuller the pages. A call for an id that is already
requested joins the batch of that id. Callers wait behind a shield, so cancelling one does not
affect the others; a batch without callers is cancelled. When the task ends for any reason, callers
that still wait are told.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from functools import partial
from typing import Generic, TypeVar

import msgspec

from ._api import MAX_IDS_PER_PAGE, Endpoints, deep_copy, wire_id
from ._fetch import ListLookup, Workspace
from ._pace import Places
from ._reprs import safe_repr
from .activity import Activity
from .errors import ClosedError, own_copy
from .outcomes import Failed, Found, LeadId, Outcome, lead_or_raise
from .settings import DEFAULT_LIST_CONCURRENCY, require_positive

L = TypeVar("L")

FLUSH_S = 0.005
"""Seconds that a call waits for other calls, to share one request (*choice*)."""

CACHE_SIZE = 10_000
"""Leads that a cache keeps at most (*choice*; a lead takes about 5 kB)."""


class _Batch(Generic[L]):
    """Ids that are requested together, and the futures that their callers wait for.

    A future's result is the outcome, or the error that ended the whole batch. ``shared``: ids
    that were asked for more than once.
    """

    def __init__(self) -> None:
        self.futures: dict[str, asyncio.Future[Outcome[L] | Exception]] = {}
        self.shared: set[str] = set()
        self.callers = 0
        self.full: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None


class _Cache(Generic[L]):
    """Keeps leads for ``ttl_s`` seconds; when it is full, the oldest one is dropped."""

    def __init__(self, ttl_s: float, size: int) -> None:
        require_positive(cache_ttl_s=ttl_s)
        self._ttl_s = ttl_s
        self._size = size
        self._kept: dict[str, tuple[float, Found[L]]] = {}  # in order of arrival, so by age

    def get(self, wire: str, now: float) -> Found[L] | None:
        kept = self._kept.get(wire)
        return kept[1] if kept is not None and now < kept[0] else None

    def put(self, wire: str, found: Found[L], now: float) -> None:
        self._kept.pop(wire, None)
        self._kept[wire] = (now + self._ttl_s, found)
        if len(self._kept) > self._size:
            del self._kept[next(iter(self._kept))]


class LeadLoader(Generic[L]):
    """Loads single leads for many tasks at once. Made by ``InstantlyClient.loader``.

    Calls that arrive within a few milliseconds share one list request, up to 100 ids. The same
    id is requested once, and each call gets a lead of its own, which it may change. Nothing is
    cached unless ``cache_ttl_s`` is set. Belongs to the event loop of its client.
    """

    def __init__(
        self,
        lookup: ListLookup[L],
        activity: Activity,
        *,
        flush_s: float,
        cache_ttl_s: float | None,
        cache_size: int,
    ) -> None:
        require_positive(flush_s=flush_s, cache_size=cache_size)
        self._lookup = lookup
        self._activity = activity
        self._flush_s = flush_s
        self._cache: _Cache[L] | None = (
            None if cache_ttl_s is None else _Cache(cache_ttl_s, cache_size)
        )
        self._filling: _Batch[L] | None = None
        self._asked: dict[str, _Batch[L]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pages = Places(DEFAULT_LIST_CONCURRENCY)
        self._closed = False

    @safe_repr
    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<LeadLoader {state} waiting={len(self._asked)} batches={len(self._tasks)}>"

    async def load(self, lead_id: LeadId) -> L:
        """Return one lead.

        Raises:
            NotFoundError: the workspace has no such lead.
            LeadError: this lead could not be fetched.
            RunError: nothing can be fetched now, because of the key, the plan or the service.
            ClosedError: the client or the loader is closed, or belongs to another loop.
        """
        return lead_or_raise((await self.load_many([lead_id]))[0])

    async def load_many(self, lead_ids: Iterable[LeadId]) -> list[Outcome[L]]:
        """Return one outcome per id, in input order. Other calls share the requests.

        Raises:
            TypeError: ``lead_ids`` is a single string.
            RunError, ClosedError: as ``load``.
        """
        if isinstance(lead_ids, str | bytes):
            raise TypeError("lead_ids is a string; pass a collection of ids, or use load.")
        self._require_open()
        lead_ids = list(lead_ids)
        known: dict[str, Found[L] | _Batch[L]] = {}
        for wire in filter(None, map(wire_id, lead_ids)):
            known[wire] = self._cached(wire) or self._join(wire)
        batches = {entry for entry in known.values() if isinstance(entry, _Batch)}
        for batch in batches:
            batch.callers += 1
        try:
            return [await self._outcome(known, *asked) for asked in enumerate(lead_ids)]
        finally:
            for batch in batches:
                batch.callers -= 1
                if not batch.callers:
                    self._abandon(batch)

    async def aclose(self) -> None:
        """Cancel and await all requests; their callers get ``ClosedError``. Idempotent.

        Raises:
            ClosedError: the client belongs to another loop, which is still open.
        """
        if not self._activity.is_forsaken():
            self.stop()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def stop(self) -> None:
        """Refuse new calls, and cancel all requests. Idempotent."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("The loader is closed; make a new one.")
        self._activity.begin()

    def _cached(self, wire: str) -> Found[L] | None:
        if self._cache is None:
            return None
        return self._cache.get(wire, asyncio.get_running_loop().time())

    def _join(self, wire: str) -> _Batch[L]:
        """Return the batch of the id; if there is none, the id joins the open batch."""
        batch = self._asked.get(wire)
        if batch is not None:
            batch.shared.add(wire)
            return batch
        batch = self._filling = self._filling or self._open()
        batch.futures[wire] = asyncio.get_running_loop().create_future()
        self._asked[wire] = batch
        if len(batch.futures) >= MAX_IDS_PER_PAGE:
            self._seal(batch)
            batch.full.set_result(None)
        return batch

    def _open(self) -> _Batch[L]:
        batch: _Batch[L] = _Batch()
        batch.task = asyncio.create_task(self._run(batch))
        self._tasks.add(batch.task)
        batch.task.add_done_callback(partial(self._end, batch))
        return batch

    def _seal(self, batch: _Batch[L]) -> None:
        """Let no more ids join."""
        if batch is self._filling:
            self._filling = None

    async def _run(self, batch: _Batch[L]) -> None:
        await asyncio.wait([batch.full], timeout=self._flush_s)
        await self._pages.enter()
        with contextlib.ExitStack() as page:
            page.callback(self._pages.leave)
            self._seal(batch)
            wires = list(batch.futures)
            await self._lookup.run(
                0,
                wires,
                lambda index, outcome: self._settle(wires[index], batch, outcome),
                after_pages=page.close,  # single requests must not delay other batches
            )

    def _end(self, batch: _Batch[L], task: asyncio.Task[None]) -> None:
        """Tell callers without an outcome the reason; each raises its own copy.

        If somebody else has cancelled the batch, they are cancelled, too.
        """
        self._tasks.discard(task)
        self._seal(batch)
        failure = None if task.cancelled() else task.exception()
        if self._closed and not isinstance(failure, Exception):
            failure = ClosedError("The loader was closed.")
        for wire, future in batch.futures.items():
            if future.done():
                continue
            if isinstance(failure, Exception):
                self._settle(wire, batch, failure)
            else:
                self._forget(wire, batch)
                future.cancel()

    def _forget(self, wire: str, batch: _Batch[L]) -> None:
        if self._asked.get(wire) is batch:
            del self._asked[wire]

    def _settle(self, wire: str, batch: _Batch[L], result: Outcome[L] | Exception) -> None:
        self._forget(wire, batch)
        if self._cache is not None and isinstance(result, Found):
            self._cache.put(wire, result, asyncio.get_running_loop().time())
        batch.futures[wire].set_result(result)

    def _abandon(self, batch: _Batch[L]) -> None:
        """Cancel a batch that has no callers any more."""
        self._seal(batch)
        for wire, future in batch.futures.items():
            if not future.done():
                self._forget(wire, batch)
        assert batch.task is not None
        batch.task.cancel()

    async def _outcome(
        self, known: dict[str, Found[L] | _Batch[L]], index: int, lead_id: LeadId
    ) -> Outcome[L]:
        wire = wire_id(lead_id)
        if wire is None:
            return self._lookup.reject(index, lead_id)
        entry = known[wire]
        if isinstance(entry, Found):
            return msgspec.structs.replace(
                deep_copy(entry), lead_id=lead_id, index=index, attempts=0, elapsed_s=0.0
            )
        result = await asyncio.shield(entry.futures[wire])
        if isinstance(result, Exception):
            raise own_copy(result)
        if isinstance(result, Failed):
            own = own_copy(result.error)
            own.lead_id = lead_id
            return msgspec.structs.replace(result, lead_id=lead_id, index=index, error=own)
        if self._cache is not None or wire in entry.shared:
            result = deep_copy(result)  # what the cache and the others have stays as it is
        return msgspec.structs.replace(result, lead_id=lead_id, index=index)


def open_loader(
    endpoints: Endpoints[L],
    workspace: Workspace,
    activity: Activity,
    *,
    concurrency: int,
    confirm_missing: bool,
    flush_s: float,
    cache_ttl_s: float | None,
    cache_size: int,
) -> LeadLoader[L]:
    """Make a loader that ends with its client.

    Raises:
        ConfigurationError: a value is out of range.
        ClosedError: the client is closed.
    """
    activity.require_open()
    lookup = ListLookup(
        endpoints,
        workspace,
        activity.recorder,
        concurrency=concurrency,
        patient=False,
        confirm_missing=confirm_missing,
    )
    loader = LeadLoader(
        lookup, activity, flush_s=flush_s, cache_ttl_s=cache_ttl_s, cache_size=cache_size
    )
    activity.loaders.add(loader)
    return loader
