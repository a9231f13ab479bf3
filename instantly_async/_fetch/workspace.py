"""``Workspace``: what all requests of one client share."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from instantly_async._api import Endpoint
from instantly_async._http import (
    AiohttpTransport,
    ApiKey,
    Connections,
    Server,
    Transport,
    workspace_headers,
)
from instantly_async._pace import CircuitBreaker, Limiter, Pace, Places, RetryBudget, Trust
from instantly_async.events import Observers
from instantly_async.settings import RetryPolicy

_KEPT = 8  # enough that *Get lead* can return one of them


class KnownLeads:
    """The last few ids of leads that exist, to probe with: ``found`` by *Get lead*, or ``listed``.

    For those that were only listed, *Get lead* may fail.
    """

    def __init__(self) -> None:
        self.found: deque[str] = deque(maxlen=_KEPT)
        self.listed: deque[str] = deque(maxlen=_KEPT)

    def pick(self) -> str | None:
        """Return the best one, each time another, as one may have turned bad; ``None``: none."""
        ids = self.found or self.listed
        ids.rotate()
        return ids[0] if ids else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Connections, limits and policies of one client.

    ``slots`` bounds the requests in flight. Each endpoint has a breaker of its own, by its method,
    because one of them may be down alone. ``observers`` are told what happens; ``server`` is what
    they are told about where. ``rng`` returns U(0, 1), ``wall_clock`` Unix seconds.
    ``reading`` is held while an answer is read in steps.
    """

    transport: Transport
    slots: Places
    limiter: Limiter
    budget: RetryBudget
    breakers: Mapping[str, CircuitBreaker]
    key: ApiKey
    retry: RetryPolicy
    rng: Callable[[], float]
    wall_clock: Callable[[], float]
    server: Server
    observers: Observers = field(default_factory=Observers)
    known: KnownLeads = field(default_factory=KnownLeads)
    trust: Trust = field(default_factory=Trust)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def pace(
        self,
        endpoint: Endpoint[Any, Any],
        probe: Callable[[], Awaitable[bool]] | None = None,
        *,
        patient: bool = False,
        pays: bool = True,
    ) -> Pace:
        """Return the pace of requests to this endpoint.

        ``probe`` ``None``: others wait for them. ``pays``: retries take tokens of the budget.
        """
        return Pace(
            self.limiter,
            self.slots,
            self.budget if pays else None,
            self.breakers[endpoint.method],
            max_pause_s=self.retry.max_retry_after_s,
            trust=self.trust,
            probe=probe,
            patient=patient,
        )

    @property
    def open_breaker(self) -> CircuitBreaker | None:
        """A breaker that is open; ``None``: all are closed."""
        return next((each for each in self.breakers.values() if each.is_open), None)

    @classmethod
    def over(
        cls,
        connections: Connections,
        workspace: str | None,
        *,
        slots: Places,
        limiter: Limiter,
        key: ApiKey,
        retry: RetryPolicy,
        observers: Observers,
    ) -> Self:
        """Return the workspace with this id (``None``: the key's own) over these connections.

        Raises:
            ConfigurationError: the id has characters that a header may not have.
        """
        transport = AiohttpTransport(
            connections,
            key,
            headers=workspace_headers(workspace),
            pacer=limiter if limiter.limit else None,
        )
        limiter.watch(observers)
        return cls(
            transport=transport,
            slots=slots,
            limiter=limiter,
            budget=RetryBudget(retry),
            breakers={
                method: CircuitBreaker(retry, random.random, method=method, observers=observers)
                for method in ("GET", "POST")
            },
            key=key,
            retry=retry,
            rng=random.random,
            wall_clock=time.time,
            server=connections.server,
            observers=observers,
        )
