"""Sends single requests through the real transport, and keeps when they were sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from wire import answer

from instantly_async._http import AiohttpTransport, ApiKey, Connections, Request, Response
from instantly_async._http.pool import Pool
from instantly_async._http.request import Pacer, Reply
from instantly_async._pace import AdaptiveLimiter
from instantly_async.settings import RateLimit, Timeouts

KEY = "canary-key-in-transport-tests"
GOOD = answer(b'{"id":"x"}', "200 OK", "Content-Type: application/json")


@asynccontextmanager
async def loop_passes() -> AsyncIterator[list[None]]:
    """Yield a list that grows by one at each pass of the event loop."""
    passes: list[None] = []

    async def count() -> None:
        while True:
            passes.append(None)
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    yield passes
    counting.cancel()


class CountingPacer:
    """Counts the tokens that are taken, and never waits."""

    is_slow = is_paused = False

    def __init__(self) -> None:
        self.paid = 0

    async def acquire(self, is_ready: Callable[[], bool]) -> bool:
        self.paid += is_ready()
        return is_ready()


class CountingLimiter(AdaptiveLimiter):
    """Counts the tokens that were taken; by default its rate is never reached."""

    def __init__(self, limit: RateLimit | None = RateLimit(per_second=1e5, per_minute=6e6)) -> None:
        super().__init__(limit)
        self.paid = 0

    async def acquire(self, is_ready: Callable[[], bool] | None = None) -> bool:
        taken = await super().acquire(is_ready)
        self.paid += taken
        return taken


def get(**changes: object) -> Request:
    settings: dict[str, object] = {"read_s": 5.0, "total_s": 5.0, "max_bytes": 100_000}
    return Request("GET", "/api/v2/leads/x", None, **(settings | changes))  # type: ignore[arg-type]


GET = get()
POST = Request("POST", "/list", b'{"ids":[]}', read_s=5, total_s=5, max_bytes=100_000)


class Sender:
    """A transport whose errors are raised, and the times at which it has sent."""

    def __init__(
        self,
        url: str,
        *,
        timeouts: Timeouts = Timeouts(),
        pacer: Pacer | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.connections = Connections(url, timeouts=timeouts, **options)
        key = ApiKey(KEY, "a test")
        self.transport = AiohttpTransport(self.connections, key, headers=headers or {}, pacer=pacer)
        self.sent: list[float] = []

    async def reply(self, request: Request = GET, *, fresh: bool = False) -> Reply:
        return await self.transport.send(request, on_sent=self.sent.append, fresh=fresh)

    async def send(self, request: Request = GET) -> Response:
        result = (await self.reply(request)).result
        if isinstance(result, Response):
            return result
        assert result is not None
        raise result

    async def send_paced(self, limiter: AdaptiveLimiter) -> None:
        """Send as the client does: come near first, and again after a pause."""
        result = None
        while result is None:
            await limiter.wait_out_pause()
            await limiter.near.enter()
            is_sent = False

            def on_sent(now: float) -> None:
                nonlocal is_sent
                is_sent = True
                self.sent.append(now)
                limiter.near.leave()

            try:
                result = (await self.transport.send(GET, on_sent=on_sent)).result
            finally:
                if not is_sent:
                    limiter.near.leave()
        assert isinstance(result, Response), result

    @property
    def pool(self) -> Pool:
        assert self.connections._pool is not None
        return self.connections._pool


@asynccontextmanager
async def sender(url: str, **options: Any) -> AsyncIterator[Sender]:
    made = Sender(url, **options)
    try:
        yield made
    finally:
        await made.connections.aclose()
        await asyncio.sleep(0)  # transports report their closing in the next turn


@dataclass(eq=False)
class Line:
    """Stands in for a connection: it is open until somebody closes it."""

    is_alive: bool = True
    is_reused: bool = False
    is_dirty: bool = False
    is_resting: bool = False
    idle_since: float = 0.0

    @property
    def is_usable(self) -> bool:
        return self.is_alive and not self.is_dirty

    def rest(self) -> bool:
        self.is_resting = True
        return self.is_usable

    def close(self) -> None:
        self.is_alive = False
