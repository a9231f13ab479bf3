"""One request, repeated until it is answered or given up: a ladder, each rung one concern.

``request`` enters, ``_repeat`` repeats, ``_wait_and_attempt`` waits, ``_attempt`` sends,
``_read`` reads, ``_judge`` tells limiter and breaker. A first attempt that nothing holds up
takes the shortest way. What to repeat is decided in ``retry.py``, when in ``admission.py``
and ``limiter.py``, what an error status means in ``protocol.py``; what is asked, and how the
answer is read, is the endpoint's.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from instantly_async._api.answers import HTTP_OK, ApiKey, error_for
from instantly_async._http.exchange import Exchange, Pacer, Response, Transport
from instantly_async._pace.backoff import Tries, speaks_of_outage
from instantly_async._pace.gate import Admission, Kind, SuspectError
from instantly_async._pace.limiter import AdaptiveLimiter
from instantly_async.errors import (
    DecodeError,
    LeadError,
    RateLimitedError,
    RateLimitPauseError,
    RunError,
    TransientError,
)
from instantly_async.settings import RetryPolicy
from instantly_async.stats import Recorder

Q = TypeVar("Q")
Q_contra = TypeVar("Q_contra", contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_log = logging.getLogger(__name__)

_LEAST_ATTEMPT_S = 1.0  # an attempt shorter than this would say nothing about the server


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """What all requests of one client share.

    ``slots`` bounds the requests in flight, ``rng`` gives U(0, 1), ``wall_clock`` Unix seconds.
    """

    transport: Transport
    slots: asyncio.Semaphore
    limiter: AdaptiveLimiter
    admission: Admission
    key: ApiKey
    retry: RetryPolicy
    headers: Mapping[str, str]
    rng: Callable[[], float]
    wall_clock: Callable[[], float]


class Endpoint(Protocol[Q_contra, R_co]):
    """What can be asked, and how an answer is read.

    ``total_s`` bounds one attempt, ``max_elapsed_s`` all of them. ``divisible``: what is asked
    for can be asked for in parts too. Then a failure is not the last word, and neither waits
    out an outage nor declares one.
    """

    @property
    def divisible(self) -> bool:
        """See above."""

    @property
    def total_s(self) -> float:
        """See above."""

    @property
    def max_elapsed_s(self) -> float:
        """See above."""

    def exchange(
        self, query: Q_contra, headers: Mapping[str, str], pacer: Pacer | None, total_s: float
    ) -> Exchange:
        """Make the request."""

    def read(self, query: Q_contra, response: Response, exchange: Exchange) -> R_co:
        """Read an answer of status 200.

        Raises:
            DecodeError: it is not what was asked for.
        """

    def describe(self, query: Q_contra) -> str:
        """Say in a few words what is asked for."""


class Requester(Generic[Q, R]):
    """Makes requests to one endpoint.

    ``patient``: wait out an outage, as a stream does; otherwise fail.
    """

    def __init__(
        self,
        endpoint: Endpoint[Q, R],
        workspace: Workspace,
        recorder: Recorder,
        *,
        patient: bool,
    ) -> None:
        self._endpoint = endpoint
        self._workspace = workspace
        self._recorder = recorder
        self._patient = patient
        self._admission = workspace.admission
        self._limiter = workspace.limiter
        self._slots = workspace.slots
        self._pacer = workspace.limiter if workspace.limiter.limit else None

    async def request(self, query: Q, tries: Tries) -> R | LeadError:
        """Ask until there is an answer or it is enough; ``tries`` counts.

        Errors that concern what was asked for are values here, without tracebacks.

        Raises:
            RunError: the whole run has to stop.
        """
        self._admission.enter()
        try:
            await self._slots.acquire()
            if self._admission.is_clear and not self._limiter.is_paused(_now()):
                self._admission.budget.deposit()
                result = await self._attempt(query, tries, probe=False)
            else:
                self._slots.release()
                result = await self._wait_and_attempt(query, tries, Kind.FIRST)
            if isinstance(result, LeadError):
                result = await self._repeat(query, tries, result)
        finally:
            self._admission.leave()
        return result

    async def _repeat(self, query: Q, tries: Tries, result: LeadError) -> R | LeadError:
        """Repeat a first attempt that failed, until it succeeds or is given up."""
        max_elapsed_s = self._endpoint.max_elapsed_s
        kind = Kind.FIRST if tries.was_probe else Kind.RETRY
        while True:
            if tries.was_probe and speaks_of_outage(result):
                # A probe costs an id nothing; it queues again, behind the others.
                if self._is_last_probe():
                    return result
                tries.is_suspect = True
                wait_s = 0.0
            else:
                kind = Kind.REPEAT if isinstance(result, RateLimitedError) else Kind.RETRY
                patience_s = tries.wait_s(result, max_elapsed_s)
                if patience_s is None and not self._is_outage(result, tries):
                    return result
                if patience_s is None:
                    self._admission.declare_outage(_now())
                    tries.forgive()
                wait_s = patience_s or 0.0
            self._recorder.retries += 1
            _log.debug("%s: %s; again in %.2f s", self._endpoint.describe(query), result, wait_s)
            if wait_s:
                await asyncio.sleep(wait_s)
            try:
                again = await self._wait_and_attempt(query, tries, kind)
            except SuspectError:
                return result
            if not isinstance(again, LeadError):
                return again
            result = again

    def _is_last_probe(self) -> bool:
        return self._endpoint.divisible or self._admission.blames_suspects(
            self._workspace.retry.attempts
        )

    async def _wait_and_attempt(self, query: Q, tries: Tries, kind: Kind) -> R | LeadError:
        """Wait out breaker, budget, pauses and the other requests in flight, then try once."""
        while True:
            probe = await self._admission.admit(
                kind,
                patient=self._patient,
                is_suspect=tries.is_suspect,
                divisible=self._endpoint.divisible,
            )
            try:
                has_slot = await self._take_slot(probe=probe)
            except BaseException:
                if probe:
                    self._admission.abandon_probe()
                raise
            if has_slot:
                return await self._attempt(query, tries, probe=probe)
            kind = Kind.REPEAT  # what it means to the budget has been settled

    async def _take_slot(self, *, probe: bool) -> bool:
        """Take a slot when nothing is paused; ``False`` if the breaker has opened meanwhile."""
        while True:
            await self._limiter.wait_out_pause()
            await self._slots.acquire()
            if self._admission.breaker.is_open and not probe:
                self._slots.release()
                return False
            if not self._limiter.is_paused(_now()):
                return True
            self._slots.release()

    def _is_outage(self, error: LeadError, tries: Tries) -> bool:
        """Whether an id is out of attempts, but nothing sent since its first has succeeded."""
        assert tries.first_sent_at is not None
        return (
            self._patient
            and not self._endpoint.divisible
            and speaks_of_outage(error)
            and self._admission.last_success_sent_at <= tries.first_sent_at
        )

    async def _attempt(self, query: Q, tries: Tries, *, probe: bool) -> R | LeadError:
        """Send once, within a slot that is given back, and judge the answer."""
        exchange = self._endpoint.exchange(
            query, self._workspace.headers, self._pacer, self._total_s(tries)
        )
        tries.attempts += 1
        tries.was_probe = probe
        result: R | LeadError | RunError
        try:
            response = await self._workspace.transport.request(exchange)
            result = self._read(query, response, exchange)
        except (LeadError, RunError) as error:
            result = error.with_traceback(None)
        except BaseException:  # cancelled, or closed
            if probe:
                self._admission.abandon_probe()
            raise
        finally:
            self._slots.release()
            tries.spent_s += exchange.spent_s
            tries.first_sent_at = tries.first_sent_at or exchange.sent_at or _now()
            self._recorder.requests += exchange.sends
        self._judge(result, exchange, probe=probe)
        if isinstance(result, RunError):
            raise result
        return result

    def _total_s(self, tries: Tries) -> float:
        if not tries.spent_s:
            return self._endpoint.total_s
        remaining_s = tries.remaining_s(self._endpoint.max_elapsed_s)
        return max(_LEAST_ATTEMPT_S, min(self._endpoint.total_s, remaining_s))

    def _read(self, query: Q, response: Response, exchange: Exchange) -> R | LeadError | RunError:
        self._recorder.bytes_received += len(response.body)
        if response.status == HTTP_OK:
            return self._endpoint.read(query, response, exchange)
        return error_for(
            response.status,
            response.headers,
            response.body,
            key=self._workspace.key,
            now=self._workspace.wall_clock(),
            cap_s=self._workspace.retry.max_retry_after_s,
        )

    def _judge(self, result: R | LeadError | RunError, exchange: Exchange, *, probe: bool) -> None:
        """Tell limiter and breaker what came of an attempt."""
        now = _now()
        if exchange.sent_at is not None:
            self._recorder.latency.record(now - exchange.sent_at)
            self._recorder.meter.count(now, exchange.sends)
        if isinstance(result, TransientError):
            self._judge_trouble(result, exchange, now, probe=probe)
        elif isinstance(result, DecodeError):
            self._admission.on_no_verdict(now, probe=probe)
        elif isinstance(result, RunError):
            if probe:
                self._admission.abandon_probe()
        else:  # what was asked for, NotFoundError or RequestRejectedError
            self._limiter.on_success(now)
            self._admission.on_success(exchange.sent_at or now, probe=probe)

    def _judge_trouble(
        self, error: TransientError, exchange: Exchange, now: float, *, probe: bool
    ) -> None:
        asked_s = error.retry_after_s
        cap_s = self._workspace.retry.max_retry_after_s
        heeded_s = None if asked_s is None else min(asked_s, cap_s)
        if isinstance(error, RateLimitedError):
            self._recorder.throttled += 1
            sent_at = exchange.sent_at or now
            self._limiter.on_throttled(now, sent_at=sent_at, retry_after_s=heeded_s)
            # The service is alive, only busy.
            self._admission.on_success(sent_at, probe=probe)
        else:
            if heeded_s is not None:
                self._limiter.pause(now, heeded_s)
            self._admission.on_failure(error.last, now, probe=probe)
        if asked_s is not None and asked_s > cap_s:
            raise RateLimitPauseError(
                f"The API asks to wait {asked_s:.0f} s, longer than max_retry_after_s; "
                "run again after that.",
                retry_after_s=asked_s,
            )


def _now() -> float:
    return asyncio.get_running_loop().time()
