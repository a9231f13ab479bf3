"""``SharedLimiter`` on a real Valkey: the laws of limiters, outages, and what it refuses."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
from shared_limits import Valkey, valkey

from instantly_async import Limiter, RateLimit
from instantly_async.redis import SharedLimiter
from instantly_async.testing import LIMITER_LAWS, MakeLimiter

Law = Callable[[MakeLimiter], Awaitable[None]]
NAMES = (f"workspace {number}" for number in count())


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with valkey() as server:
        yield server


@pytest.mark.parametrize("law", LIMITER_LAWS, ids=lambda law: law.__name__)
async def test_it_keeps_the_laws(server: Valkey, law: Law) -> None:
    @asynccontextmanager
    async def make(limit: RateLimit) -> AsyncIterator[Limiter]:
        async with SharedLimiter(server.url, next(NAMES), limit) as limiter:
            yield limiter

    await law(make)
