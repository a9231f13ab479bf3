"""``Workspace``: what all requests of one client share."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from instantly_async._http import ApiKey, Transport
from instantly_async._pace import AdaptiveLimiter, Gate
from instantly_async.settings import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Connections, limits and policies of one client.

    ``slots`` bounds the requests in flight, ``headers`` are added to each request. ``rng``
    returns U(0, 1), ``wall_clock`` Unix seconds.
    """

    transport: Transport
    slots: asyncio.Semaphore
    limiter: AdaptiveLimiter
    gate: Gate
    key: ApiKey
    retry: RetryPolicy
    headers: Mapping[str, str]
    rng: Callable[[], float]
    wall_clock: Callable[[], float]
