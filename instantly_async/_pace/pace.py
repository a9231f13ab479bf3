"""``Pace``: says when an attempt may be sent, and learns from its result.

Theory of operation. An attempt waits, in this order, until the circuit breaker is closed, nobody
asks whether the key is still accepted, no pause is in effect, its turn at the limiter is near, and
a slot is free. Then all but the last two are looked at once more. A retry takes a token of the
retry budget before. What waits, waits for an event or for a token, so no rule is needed for the
case that all of them wait.
"""

import asyncio
from types import TracebackType
from typing import Self

from instantly_async.errors import (
    DecodeError,
    LeadError,
    ProtocolError,
    RateLimitedError,
    RequestRejectedError,
    RunError,
    TransientError,
)

from .breaker import CircuitBreaker, Probe
from .budget import RetryBudget
from .limiter import Limiter
from .places import Places
from .trust import Trust

QUIET_S = 10.0
"""Seconds without an answer after which a retry without a token asks for the reason (*choice*)."""


def is_foreign(error: LeadError) -> bool:
    """Whether something else has answered instead of the API: a maintenance page, a login."""
    if isinstance(error, DecodeError):
        return error.reason == "foreign"
    return isinstance(error, ProtocolError) and error.status is not None


def may_be_outage(error: LeadError) -> bool:
    """Whether the reason of an error may be an outage, and not this one id."""
    if isinstance(error, DecodeError):
        return error.reason in {"foreign", "truncated"}
    return isinstance(error, TransientError) and not isinstance(error, RateLimitedError)


def shows_life(result: object) -> bool:
    """Whether a result shows that the service is alive: an answer, a 404, a 429."""
    if isinstance(result, DecodeError):
        return result.reason == "malformed"  # it was the lead, so the API has sent it
    if isinstance(result, TransientError):
        return isinstance(result, RateLimitedError)
    return not isinstance(result, RunError)


class Pace:
    """The pace of some requests to one endpoint of a workspace.

    ``slots`` bounds the requests in flight. ``probe`` asks whether the endpoint is alive; ``None``:
    others wait for these requests, so they wait neither for the breaker nor for trust. ``budget``
    ``None``: retries take no tokens. ``patient``: wait for an outage to end, and for a token of the
    budget; otherwise fail. A longer ``Retry-After`` than ``max_pause_s`` is cut.
    """

    def __init__(
        self,
        limiter: Limiter,
        slots: Places,
        budget: RetryBudget | None,
        breaker: CircuitBreaker,
        *,
        max_pause_s: float,
        trust: Trust,
        probe: Probe | None = None,
        patient: bool = False,
    ) -> None:
        self.limiter = limiter
        self.slots = slots
        self.breaker = breaker
        self.max_pause_s = max_pause_s
        self.trust = trust
        self._budget = budget
        self._probe = probe
        self._patient = patient

    async def pay(self) -> bool:
        """Take a token for a retry; ``False``: there is none.

        If there is none, and nothing has been answered for a while, this asks whether the service
        is alive: an outage must not look like a lack of tokens.
        """
        if self._budget is None or self._budget.try_withdraw():
            return True
        if not self._patient:
            return False
        await self.is_alive(asyncio.get_running_loop().time() - QUIET_S)
        await self._budget.withdraw()
        return True

    @property
    def has_probe(self) -> bool:
        """Whether these requests can ask if the endpoint is alive; a probe itself cannot."""
        return self._probe is not None

    async def is_alive(self, since: float) -> bool:
        """Whether the endpoint has answered since then, or answers a probe; else it is down."""
        assert self._probe is not None
        return await self.breaker.is_alive(since, self._probe)

    async def enter(self) -> "Permit":
        """Wait until a request may be sent, and take its place.

        Raises:
            ServiceUnavailableError: the service is down.
            ClosedError: the limiter belongs to another loop.
        """
        self.limiter.join()
        while True:
            if self._is_blocked():
                if self._probe is not None:
                    await self.until_up(patient=self._patient)
                    await self.trust.settled()
                await self.limiter.wait_out_pause()
            near = self.limiter.near if self.limiter.limit else None
            if near is not None:
                await near.enter()
            if not self.slots.try_enter():
                try:
                    await self.slots.enter()
                except BaseException:
                    if near is not None:
                        near.leave()
                    raise
            if not self._is_blocked():
                return Permit(self, near)
            self.leave(near)

    async def until_up(self, *, patient: bool) -> None:
        """Wait until the breaker is closed.

        Raises:
            ServiceUnavailableError: as ``CircuitBreaker.until_closed``.
        """
        if self.breaker.is_open and self._probe is not None:
            await self.breaker.until_closed(self._probe, patient=patient)

    def _is_blocked(self) -> bool:
        if (self.breaker.is_open or self.trust.is_asking) and self._probe is not None:
            return True
        return self.limiter.is_paused

    def leave(self, near: Places | None) -> None:
        self.slots.leave()
        if near is not None:
            near.leave()


class Permit:
    """The right to send one request, as a context manager that gives its place back.

    ``sent_at``: the loop's time, ``None``: nothing was sent. ``sends``: how often, as a request
    whose connection had died is repeated. ``told``: how many of them observers know of.
    """

    __slots__ = ("_near", "_pace", "sends", "sent_at", "told")

    def __init__(self, pace: Pace, near: Places | None) -> None:
        self._pace = pace
        self._near = near
        self.sent_at: float | None = None
        self.sends = 0
        self.told = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pace.leave(self._near)

    def note_sent(self, now: float) -> None:
        """Note that the request is sent at ``now``, the loop's time."""
        if self._near is not None:
            self._near.leave()
            self._near = None
        self.sends += 1
        self.sent_at = now

    def learn(self, result: object, now: float) -> None:
        """Learn from what became of the request: an answer, or an error. ``now``: loop's time."""
        limiter, breaker = self._pace.limiter, self._pace.breaker
        sent_at = now if self.sent_at is None else self.sent_at
        if not self._pace.trust.is_recognized:
            self._recognize(result)
        if not isinstance(result, LeadError):
            if not isinstance(result, RunError):
                limiter.on_success(now)
                breaker.on_success(sent_at)
        elif isinstance(result, RateLimitedError):
            limiter.on_throttled(now, sent_at=sent_at, retry_after_s=self._pause_of(result))
            breaker.on_success(sent_at)  # it is alive, only busy
        elif may_be_outage(result):
            pause_s = self._pause_of(result)
            if pause_s is not None:
                limiter.pause(now, pause_s)
            what = str(result.args[0])
            breaker.on_failure(what, sent_at=sent_at, is_down=pause_s is not None)
        elif shows_life(result):
            limiter.on_success(now)
            breaker.on_success(sent_at)

    def _recognize(self, result: object) -> None:
        trust = self._pace.trust
        # Many servers reject a page of ids with a 400.
        trust.is_recognized = shows_life(result) and not isinstance(result, RequestRejectedError)
        trust.strange += isinstance(result, LeadError) and is_foreign(result)

    def _pause_of(self, error: LeadError) -> float | None:
        if not isinstance(error, TransientError) or error.retry_after_s is None:
            return None
        return min(error.retry_after_s, self._pace.max_pause_s)
