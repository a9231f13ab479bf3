"""``InstantlyClient``, which users call: checks its settings and connects the other parts.

What it reads is in ``reader``.
"""

import copy
import os
import ssl
from types import TracebackType
from typing import Any, Self, TypeVar, overload
from weakref import WeakSet

from ._api import Endpoints
from ._fetch import GetLookup, Workspace
from ._http import Connections, read_api_key, read_base_url, read_proxy, valid, workspace_headers
from ._pace import AdaptiveLimiter, Limiter, Places
from ._reprs import safe_repr
from .activity import Activity, end_all
from .errors import ConfigurationError
from .events import Observer, Observers
from .models import Lead
from .reader import WorkspaceReader
from .settings import (
    DEFAULT_CONCURRENCY,
    DEFAULT_MAX_LEAD_BYTES,
    RateLimit,
    RetryPolicy,
    Timeouts,
    check_concurrency,
    check_type,
)
from .streams import leave

L = TypeVar("L")


class InstantlyClient(WorkspaceReader[L]):
    """Fetches leads within the workspace's rate limits.

    Args:
        api_key: ``None``: from the environment variable ``INSTANTLY_API_KEY``.
        base_url: scheme, host and port; https, or http on this machine. ``None``: from the
            variable ``INSTANTLY_BASE_URL``; if that is not set, the vendor's.
        workspace: id of the sub-workspace that an admin key acts on; ``None``: its own.
        rate_limit: ``None``: no client-side limit, for servers of your own.
        retry: how often and how long to try again.
        timeouts: seconds per attempt.
        concurrency: requests in flight at once, over all streams.
        limiter: shares one limiter between clients of one workspace, instead of
            ``rate_limit``. See ``instantly_async.limiters``.
        lead_type: the ``msgspec.Struct`` to decode into; other fields are skipped.
        max_lead_bytes: cap on one lead's JSON, 1 KiB to 64 MiB; a larger lead is a
            ``DecodeError``. Above 1 MiB, decoding one can block the loop for more than 20 ms.
        proxy: URL of an HTTP proxy, with user and password if it requires them; on this machine
            if ``base_url`` is http. ``None``: no proxy; the environment is ignored.
        ssl_context: ``None``: the system's certificates, or those in ``SSL_CERT_FILE``.
        user_agent: the whole header ``User-Agent``; ``None``: this package and its version.
        observer: is told what happens, by the records of ``instantly_async.events``; ``None``:
            nobody. See ``observe``.

    Raises:
        ConfigurationError: a value is invalid. The message never quotes the key.

    Use it as an async context manager, or call ``aclose()``. It belongs to the event loop of
    its first request.
    """

    @overload
    def __init__(
        self: "InstantlyClient[Lead]",
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        workspace: str | None = None,
        rate_limit: RateLimit | None = ...,
        retry: RetryPolicy = ...,
        timeouts: Timeouts = ...,
        concurrency: int = DEFAULT_CONCURRENCY,
        limiter: Limiter | None = None,
        max_lead_bytes: int = DEFAULT_MAX_LEAD_BYTES,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        user_agent: str | None = None,
        observer: Observer | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        workspace: str | None = None,
        rate_limit: RateLimit | None = ...,
        retry: RetryPolicy = ...,
        timeouts: Timeouts = ...,
        concurrency: int = DEFAULT_CONCURRENCY,
        limiter: Limiter | None = None,
        lead_type: type[L],
        max_lead_bytes: int = DEFAULT_MAX_LEAD_BYTES,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        user_agent: str | None = None,
        observer: Observer | None = None,
    ) -> None: ...

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        workspace: str | None = None,
        rate_limit: RateLimit | None = RateLimit(),
        retry: RetryPolicy = RetryPolicy(),
        timeouts: Timeouts = Timeouts(),
        concurrency: int = DEFAULT_CONCURRENCY,
        limiter: Limiter | None = None,
        lead_type: type[Any] = Lead,
        max_lead_bytes: int = DEFAULT_MAX_LEAD_BYTES,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        user_agent: str | None = None,
        observer: Observer | None = None,
    ) -> None:
        # Tracebacks show locals: neither the key nor a password in a URL may stay in one.
        key, api_key = read_api_key(api_key, os.environ), None
        relay, proxy = read_proxy(proxy), None
        origin, base_url = read_base_url(base_url, os.environ, relay), None
        server, self._key = valid(origin), valid(key)
        check_type("limiter", limiter, Limiter, optional=True)
        self._retry = retry
        self._concurrency = check_concurrency(concurrency)
        self._slots = Places(concurrency)
        self._endpoints: Endpoints[L] = Endpoints(lead_type, timeouts, retry, max_lead_bytes)
        self._connections = Connections(
            server,
            timeouts=timeouts,
            proxy=valid(relay),
            ssl_context=ssl_context,
            user_agent=user_agent,
        )
        limiter = limiter or AdaptiveLimiter(rate_limit)
        self._bind(workspace, limiter, Observers(), parent=None)
        self._siblings: dict[str | None, InstantlyClient[L]] = {workspace: self}
        self._family: WeakSet[InstantlyClient[L]] = WeakSet()  # closed siblings, too
        if observer is not None:
            self.observe(observer)

    def _bind(
        self,
        workspace: str | None,
        limiter: Limiter,
        observers: Observers,
        parent: Self | None,
    ) -> None:
        """Make this the client of one workspace."""
        self._parent = parent
        self._workspace = Workspace.over(
            self._connections,
            workspace,
            slots=self._slots,
            limiter=limiter,
            key=self._key,
            retry=self._retry,
            observers=observers,
        )
        self._activity = Activity(self._connections, self._workspace)
        self._single = GetLookup(
            self._endpoints, self._workspace, self._activity.recorder, patient=False
        )

    @safe_repr
    def __repr__(self) -> str:
        state = "closed" if self._activity.closed else "open"
        return f"<InstantlyClient {state} {self._connections!r} {self._workspace.limiter!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await leave(self, error)

    def observe(self, observer: Observer) -> None:
        """Tell this observer, too, what happens from now on.

        The first client tells it about those made by ``for_workspace``, too.

        Raises:
            ConfigurationError: it cannot be called, or is a coroutine function.
            ClosedError: the client is closed.
        """
        self._activity.require_open()
        shared = Observers(observer)
        for client in [self] if self._parent else [self, *self._family]:
            activity = client._activity  # noqa: SLF001 - of this same class
            if not activity.closed:
                activity.observe(shared)

    async def aclose(self) -> None:
        """End all that is in flight with ``ClosedError``, then close the connections. Idempotent.

        A client made by ``for_workspace`` leaves the connections open for the others. An input
        that does not end within 1.5 s is left behind, with a warning in the log.

        Raises:
            Exception: what the input of a stream raised when it was closed.
            ClosedError: the client belongs to another loop, which is still open.
        """
        family = [self] if self._parent else [self, *self._family]
        activities = [client._activity for client in family]  # noqa: SLF001 - of this same class
        await end_all(activities, None if self._parent else self._connections)

    def for_workspace(
        self, workspace: str, *, limiter: Limiter | None = None
    ) -> "InstantlyClient[L]":
        """Return the client of another workspace: same connections, its own limits.

        Sends the header ``x-as-workspace`` (documented for admin keys). A second call with the
        same id returns the same client; if that was closed, a new one with the same limiter.
        Only the first client closes the connections.

        ``limiter``: of that workspace, such as one that other processes share; ``None``: one of
        its own, in this process only, with the limit of the first client.

        Raises:
            ConfigurationError: the id has characters that a header may not have, or that client
                exists with another limiter.
            ClosedError: the first client is closed.
        """
        root = self._parent or self
        root._activity.require_open()  # noqa: SLF001 - a sibling is this same class
        workspace_headers(workspace)  # before it is kept as one of the siblings
        check_type("limiter", limiter, Limiter, optional=True)
        sibling = self._siblings.get(workspace)
        if sibling is None:
            limiter = limiter or AdaptiveLimiter(self._workspace.limiter.limit)
        else:
            known = sibling._workspace.limiter  # noqa: SLF001 - as above
            if limiter is not None and limiter is not known:
                raise ConfigurationError(
                    "This workspace has a client with another limiter; pass a limiter at the "
                    "first call of for_workspace."
                )
            if not sibling._activity.closed:  # noqa: SLF001 - as above
                return sibling
            limiter = known
        sibling = self._siblings[workspace] = copy.copy(root)
        self._family.add(sibling)
        observers = root._activity.observers  # noqa: SLF001 - as above
        sibling._bind(workspace, limiter, Observers(), parent=root)  # noqa: SLF001 - as above
        sibling._activity.observe(observers)  # noqa: SLF001 - as above
        return sibling
