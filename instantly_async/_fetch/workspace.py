"""``Workspace``: what all requests of one client share."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from instantly_async._http import (
    AiohttpTransport,
    ApiKey,
    Connections,
    Transport,
    workspace_headers,
)
from instantly_async._pace import AdaptiveLimiter, Gate
from instantly_async.settings import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Connections, limits and policies of one client.

    ``slots`` bounds the requests in flight. ``rng`` returns U(0, 1), ``wall_clock`` Unix seconds.
    """

    transport: Transport
    slots: asyncio.Semaphore
    limiter: AdaptiveLimiter
    gate: Gate
    key: ApiKey
    retry: RetryPolicy
    rng: Callable[[], float]
    wall_clock: Callable[[], float]

    @classmethod
    def over(
        cls,
        connections: Connections,
        workspace: str | None,
        *,
        slots: asyncio.Semaphore,
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
            gate=Gate(retry),
            key=key,
            retry=retry,
            rng=random.random,
            wall_clock=time.time,
        )
