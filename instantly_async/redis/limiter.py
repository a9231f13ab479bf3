"""``SharedLimiter``: one limit for all processes that know its server and its name."""

import random
from collections.abc import Callable
from importlib.resources import files

from redis.asyncio import Redis

from instantly_async._http import valid
from instantly_async._pace import Act, Grant, RemoteLimiter
from instantly_async._reprs import cut_repr, safe_repr
from instantly_async.errors import ConfigurationError
from instantly_async.settings import RateLimit

from .server import read_server

LEDGER = files(__package__).joinpath("ledger.lua").read_text("utf-8")
_MOST_CHARS = 200


class SharedLimiter(RemoteLimiter):
    """Paces all processes that share one workspace's limit.

    A ``Limiter``, for ``InstantlyClient(limiter=…)``. The rate, pauses and cuts are those of all:
    each request reserves its moment on the server, first come, first served, in one round trip.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, as redis-py reads it: Redis 6.2 or
            newer, or Valkey.
        name: of the workspace, up to 200 characters; the same in all processes. It is seen on the
            server, so it must not be the API key.
        limit: the same in all processes. If they differ, the largest holds for all together, and
            the smallest slows all of them.
        fallback_share: the share of the rate that this process uses alone while it cannot reach
            the server, above 0. With the default, ten processes that all cannot reach it stay
            within the limit together.

    Raises:
        ConfigurationError: a value is invalid. The message never quotes the password.

    Use it as an async context manager around its clients, or call ``aclose()`` after them.
    """

    def __init__(
        self,
        url: str,
        name: str,
        limit: RateLimit = RateLimit(),
        *,
        fallback_share: float = 0.1,
        rng: Callable[[], float] = random.random,
    ) -> None:
        # Tracebacks show locals: no password in a URL may stay in one.
        server, url = read_server(url), ""
        self._server = valid(server)
        if not (isinstance(name, str) and name.isprintable() and 0 < len(name) <= _MOST_CHARS):
            raise ConfigurationError(
                f"The name of a shared limit must be text of 1 to {_MOST_CHARS} printable "
                f"characters; {cut_repr(name)} is not."
            )
        self._name = name
        super().__init__(limit, fallback_share, rng)

    @safe_repr
    def __repr__(self) -> str:
        return f"<SharedLimiter {self._where} of {self.limit!r}>"

    @property
    def _where(self) -> str:
        return f"{self._name!r} on {self._server!r}"

    def _start(self) -> None:
        super()._start()
        self._redis: Redis | None = None  # belongs to the loop

    async def _ask(self, act: Act, seconds: float) -> Grant:
        if act == "look":
            return await self._look()
        if self._redis is None:
            self._redis = self._server.connect()
        return await self._run(self._redis, act, seconds)

    async def _look(self) -> Grant:
        """Look by a new connection, and keep it: who looks has lost the one before."""
        redis = self._server.connect()
        try:
            grant = await self._run(redis, "look", 0.0)
            if self._is_alone:
                self._redis, redis = redis, self._redis
        finally:
            if redis is not None:
                await redis.aclose()
        return grant

    async def _run(self, redis: Redis, act: Act, seconds: float) -> Grant:
        rate = self.limit.rate
        script = redis.register_script(LEDGER)
        answer = await script(
            keys=[f"instantly_async:{self._name}"],
            args=[act, seconds, rate, (self.limit.capacity - 1) / rate],
        )
        wait_s, pause_s, allowed, cuts = answer.split()
        return Grant(float(wait_s), float(pause_s), float(allowed), int(cuts))

    async def _disconnect(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()
            self._redis = None
