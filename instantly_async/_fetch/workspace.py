"""``Workspace``: what all requests of one client share."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from instantly_async._api import Endpoint
from instantly_async._http import (
    AiohttpTransport,
    ApiKey,
    Connections,
    Transport,
    workspace_headers,
)
from instantly_async._pace import AdaptiveLimiter, CircuitBreaker, Pace, Places, RetryBudget
from instantly_async.settings import RetryPolicy

_LISTED = 8  # enough that *Get lead* can return one of them


class KnownLeads:
    """Ids of leads that exist, to probe with.

    ``found``: the last one by *Get lead*. One that was only listed is less certain, because *Get
    lead* may fail for it.
    """

    def __init__(self) -> None:
        self.found: str | None = None
        self._listed: deque[str] = deque(maxlen=_LISTED)

    def note_listed(self, ids: Iterable[str]) -> None:
        self._listed.extend(ids)

    def pick(self) -> str | None:
        """Return the best one; each time another if none is certain. ``None``: none is known."""
        self._listed.rotate()
        return self.found or (self._listed[0] if self._listed else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Connections, limits and policies of one client.

    ``slots`` bounds the requests in flight. Each endpoint has a breaker of its own, by its method,
    because one of them may be down alone. ``rng`` returns U(0, 1), ``wall_clock`` Unix seconds.
    ``reading`` is held while an answer is read in steps.
    """

    transport: Transport
    slots: Places
    limiter: AdaptiveLimiter
    budget: RetryBudget
    breakers: Mapping[str, CircuitBreaker]
    key: ApiKey
    retry: RetryPolicy
    rng: Callable[[], float]
    wall_clock: Callable[[], float]
    known: KnownLeads = field(default_factory=KnownLeads)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def pace(
        self,
        endpoint: Endpoint[Any, Any],
        probe: Callable[[], Awaitable[bool]] | None = None,
        *,
        patient: bool = False,
    ) -> Pace:
        """Return the pace of requests to this endpoint; ``probe`` ``None``: of its probes."""
        return Pace(
            self.limiter,
            self.slots,
            self.budget,
            self.breakers[endpoint.method],
            max_pause_s=self.retry.max_retry_after_s,
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
        limiter: AdaptiveLimiter,
        key: ApiKey,
        retry: RetryPolicy,
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
        return cls(
            transport=transport,
            slots=slots,
            limiter=limiter,
            budget=RetryBudget(retry),
            breakers={method: CircuitBreaker(retry) for method in ("GET", "POST")},
            key=key,
            retry=retry,
            rng=random.random,
            wall_clock=time.time,
        )
