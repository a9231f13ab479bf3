"""``RayLimiter``: one limit for all processes of a Ray cluster, in an actor.

The actor is detached: the limit is the workspace's, so it must outlive the process that made it,
and jobs that run at the same time must share it. It is never restarted; whoever misses it makes a
new one by its name, which begins as if it had just sent. So nobody has to end it, either: it
ends itself when it was not asked for ``IDLE_S``.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from instantly_async._extras import load_extra
from instantly_async._pace import LATE_S, Act, Grant, Ledger, Moment, RemoteLimiter
from instantly_async._reprs import cut_repr, safe_repr
from instantly_async.errors import ConfigurationError
from instantly_async.settings import RateLimit

NAMESPACE = "instantly_async"
"""The namespace of the actors, the same for all jobs of a cluster."""

IDLE_S = 600.0
"""Seconds after which an actor that nobody asks ends itself (*choice*). No pause is longer."""

START_S = 60.0
"""Seconds that an actor may take to start; then each process begins alone (*choice*)."""

MOMENTS = 4
"""Moments that a process reserves at once if so many tasks wait (*choice*). A call of an actor
takes a millisecond of CPU on either side. A moment that is not used in time is lost."""

_MOST_CHARS = 200


class LedgerKeeper:
    """The actor: a ledger, and the clock that it goes by."""

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._ledger = Ledger()
        self._asked_at = time.monotonic()
        threading.Thread(target=self._end_when_idle, args=(idle_s,), daemon=True).start()

    def ask(self, act: Act, limit: RateLimit, seconds: float, moments: int = 1) -> list[Grant]:
        """Do this, with what it needs; reserve up to so many moments."""
        now = self._asked_at = time.monotonic()
        match act:
            case "reserve":
                grants = [self._ledger.reserve(now, limit)]
                while len(grants) < moments and not grants[-1].pause_s:
                    grants.append(self._ledger.reserve(now, limit))
                return grants
            case "look":
                return [self._ledger.look(now, limit)]
            case "pause":
                return [self._ledger.pause(now, limit, seconds)]
            case "throttled":
                return [self._ledger.throttled(now, limit, seconds)]

    def _end_when_idle(self, idle_s: float) -> None:
        while (left_s := self._asked_at + idle_s - time.monotonic()) > 0:
            time.sleep(left_s)
        ray = _import_ray()
        ray.kill(ray.get_runtime_context().current_actor)


class RayLimiter(RemoteLimiter):
    """Paces all processes of a Ray cluster that share one workspace's limit.

    A ``Limiter``, for ``InstantlyClient(limiter=…)`` in tasks, actors and Ray Serve. The rate,
    pauses and cuts are those of all: each request reserves its moment, first come, first served.
    Up to four that wait do so by one call of an actor. The first limiter with this name starts the
    actor, a process of its own (125 MB) that reserves no CPU, and ends 10 minutes after the last
    call.

    Args:
        name: of the workspace, up to 200 characters; the same in all processes. Tools of the
            cluster show it, so it must not be the API key.
        limit: the same in all processes. If they differ, the largest holds for all together, and
            the smallest slows all of them.
        fallback_share: the share of the limit that this process uses alone while it cannot reach
            the actor, above 0. With the default, ten processes together stay within the limit.

    Raises:
        ConfigurationError: a value is invalid, or Ray is not installed.

    Use it as an async context manager around its clients, or call ``aclose()`` after them.
    """

    def __init__(
        self,
        name: str,
        limit: RateLimit = RateLimit(),
        *,
        fallback_share: float = 0.1,
        rng: Callable[[], float] = random.random,
    ) -> None:
        if not (isinstance(name, str) and name.isprintable() and 0 < len(name) <= _MOST_CHARS):
            raise ConfigurationError(
                f"The name of a shared limit must be text of 1 to {_MOST_CHARS} printable "
                f"characters; {cut_repr(name)} is not."
            )
        self._name = name
        self._keeper: Any = None
        self._ray = _import_ray()
        super().__init__(limit, fallback_share, rng)

    def _start(self) -> None:
        super()._start()
        self._ahead: deque[Moment] = deque()
        self._later_s: list[float] = []  # the moments of the last answer, counted from its first
        self._waiting = 0

    @safe_repr
    def __repr__(self) -> str:
        return f"<RayLimiter {self._where} of {self.limit!r}>"

    @property
    def _where(self) -> str:
        return f"{self._name!r} on Ray"

    async def __aenter__(self) -> Self:
        await self.prepare()
        return self

    async def prepare(self) -> None:
        """Wait until the actor answers, up to a minute, because its process may have to start.

        ``async with`` does that. Without it, a process whose actor has to start begins alone.
        """
        self.join()
        for _ in range(2):  # the first may find one that has just ended
            # Whatever it is, the first request finds out, too, and reports it.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(START_S):
                    await self._ask("look", 0.0)
                    return

    async def acquire(self, is_ready: Callable[[], bool] | None = None) -> bool:
        """As ``Limiter.acquire``."""
        self._waiting += 1
        try:
            return await super().acquire(is_ready)
        finally:
            self._waiting -= 1

    async def _reserve(self) -> Moment | None:
        while self._ahead:
            moment = self._ahead.popleft()
            if moment.at >= asyncio.get_running_loop().time() - LATE_S:
                return moment
        first = await super()._reserve()
        if first is not None:
            self._ahead.extend(
                first._replace(at=first.at + later_s, due=first.due + later_s)
                for later_s in self._later_s
            )
        return first

    async def _ask(self, act: Act, seconds: float) -> Grant:
        self._ahead.clear()  # the ledger may change, or have changed
        grant, *more = await self._send(act, seconds, min(MOMENTS, max(1, self._waiting)))
        self._later_s = [each.wait_s - grant.wait_s for each in more]
        return grant

    async def _send(self, act: Act, seconds: float, moments: int) -> list[Grant]:
        if self._keeper is None:
            self._keeper = await asyncio.to_thread(self._find)
        errors = self._ray.exceptions
        try:
            grants: list[Grant] = await self._keeper.ask.remote(act, self.limit, seconds, moments)
        except errors.RayError as error:
            if isinstance(error, errors.ActorDiedError):
                self._keeper = None  # the next call makes a new one
            # Their texts have many lines.
            raise ConnectionError(type(error).__name__) from None
        return grants

    def _find(self) -> Any:
        keeper = self._ray.remote(LedgerKeeper)
        return keeper.options(
            name=self._name,
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            max_restarts=0,
            num_cpus=0,
        ).remote()


def _import_ray() -> Any:
    return load_extra("ray", what="A limit that a Ray cluster shares", extra="ray")
