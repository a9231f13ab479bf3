"""One unit of work, from id to outcome: a ladder of methods, each adding one concern.

``run`` counts, ``_repeat`` repeats, ``_attempt`` sends, ``_read`` decodes, ``_judge`` tells
limiter and breaker. A first attempt that nothing holds up takes the shortest way. What to
repeat is decided in ``retry.py``, when in ``admission.py`` and ``limiter.py``, what an answer
means in ``protocol.py`` and ``decoding.py``.

The place of the second strategy, a list request for up to 100 ids, is beside ``GetLookup``.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from .admission import Admission, Kind, SuspectError
from .decoding import LeadDecoder
from .errors import (
    DecodeError,
    InvalidLeadIdError,
    LeadError,
    NotFoundError,
    RateLimitedError,
    RateLimitPauseError,
    RequestRejectedError,
    RunError,
    TransientError,
)
from .exchange import Exchange, Response, Transport
from .limiter import AdaptiveLimiter
from .outcomes import Failed, Found, LeadId, NotFound, Outcome
from .pipeline import Deliver
from .protocol import HTTP_OK, LEADS_PATH, ApiKey, error_for, wire_id
from .retry import Tries, speaks_of_outage
from .settings import MAX_LEAD_BYTES, RetryPolicy, Timeouts
from .stats import Recorder

L = TypeVar("L")

_log = logging.getLogger(__name__)

_LEAST_ATTEMPT_S = 1.0  # an attempt shorter than this would say nothing about the server


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace(Generic[L]):
    """What all lookups of one client share.

    ``slots`` bounds the requests in flight, ``rng`` gives U(0, 1), ``wall_clock`` Unix seconds.
    """

    transport: Transport
    slots: asyncio.Semaphore
    decoder: LeadDecoder[L]
    limiter: AdaptiveLimiter
    admission: Admission
    key: ApiKey
    retry: RetryPolicy
    timeouts: Timeouts
    headers: Mapping[str, str]
    rng: Callable[[], float]
    wall_clock: Callable[[], float]


class _Decoded(msgspec.Struct, Generic[L], gc=False):
    lead: L
    problems: tuple[str, ...]
    body: bytes


class GetLookup(Generic[L]):
    """Fetches leads one by one with ``GET /api/v2/leads/{id}``.

    ``patient``: wait out an outage, as a stream does; otherwise fail.
    """

    def __init__(
        self,
        workspace: Workspace[L],
        recorder: Recorder,
        *,
        keep_raw: bool = False,
        patient: bool = True,
    ) -> None:
        self._workspace = workspace
        self._recorder = recorder
        self._keep_raw = keep_raw
        self._patient = patient
        self._admission = workspace.admission
        self._limiter = workspace.limiter
        self._slots = workspace.slots
        self._timeouts = workspace.timeouts
        self._pacer = workspace.limiter if workspace.limiter.limit else None

    async def run(self, index: int, lead_id: LeadId, deliver: Deliver[Outcome[L]]) -> None:
        """Deliver the one outcome of this id.

        Raises:
            RunError: the whole run has to stop.
        """
        recorder = self._recorder
        recorder.requested += 1
        wire = wire_id(lead_id)
        if wire is None:
            error = InvalidLeadIdError("The id is no UUID, so no request was made")
            deliver(index, self._failed(index, lead_id, error, 0, 0.0))
            return
        started_at = _now()
        tries = Tries(self._workspace.retry, self._workspace.rng)
        recorder.in_flight += 1
        self._admission.enter()
        try:
            await self._slots.acquire()
            if self._admission.is_clear and not self._limiter.is_paused(_now()):
                self._admission.budget.deposit()
                result = await self._attempt(wire, tries, probe=False)
            else:
                self._slots.release()
                result = await self._wait_and_attempt(wire, tries, Kind.FIRST)
            if not isinstance(result, _Decoded):
                result = await self._repeat(wire, tries, result)
        finally:
            self._admission.leave()
            recorder.in_flight -= 1
        elapsed_s = _now() - started_at
        deliver(index, self._outcome(index, lead_id, result, tries.attempts, elapsed_s))

    def _outcome(
        self,
        index: int,
        lead_id: LeadId,
        result: _Decoded[L] | LeadError,
        attempts: int,
        elapsed_s: float,
    ) -> Outcome[L]:
        if isinstance(result, _Decoded):
            self._recorder.found += 1
            return Found(
                lead_id=lead_id,
                index=index,
                lead=result.lead,
                attempts=attempts,
                elapsed_s=elapsed_s,
                problems=result.problems,
                raw=result.body if self._keep_raw or result.problems else None,
            )
        if isinstance(result, NotFoundError):
            self._recorder.not_found += 1
            return NotFound(lead_id=lead_id, index=index, attempts=attempts, elapsed_s=elapsed_s)
        return self._failed(index, lead_id, result, attempts, elapsed_s)

    def _failed(
        self, index: int, lead_id: LeadId, error: LeadError, attempts: int, elapsed_s: float
    ) -> Failed:
        error.lead_id = lead_id
        error.attempts = attempts
        self._recorder.failed[type(error).__name__] += 1
        return Failed(
            lead_id=lead_id, index=index, error=error, attempts=attempts, elapsed_s=elapsed_s
        )

    async def _repeat(self, wire: str, tries: Tries, result: LeadError) -> _Decoded[L] | LeadError:
        """Repeat a first attempt that failed, until it succeeds or is given up."""
        max_elapsed_s = self._workspace.retry.max_elapsed_s
        kind = Kind.FIRST if tries.was_probe else Kind.RETRY
        while True:
            if tries.was_probe and speaks_of_outage(result):
                # A probe costs the id nothing; it queues again, behind the others.
                if self._admission.blames_suspects(self._workspace.retry.attempts):
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
            _log.debug("Lead %s: %s; again in %.2f s", wire, result, wait_s)
            if wait_s:
                await asyncio.sleep(wait_s)
            try:
                again = await self._wait_and_attempt(wire, tries, kind)
            except SuspectError:
                return result
            if isinstance(again, _Decoded):
                return again
            result = again

    async def _wait_and_attempt(
        self, wire: str, tries: Tries, kind: Kind
    ) -> _Decoded[L] | LeadError:
        """Wait out breaker, budget, pauses and the other requests in flight, then try once."""
        while True:
            probe = await self._admission.admit(
                kind, patient=self._patient, is_suspect=tries.is_suspect
            )
            try:
                has_slot = await self._take_slot(probe=probe)
            except BaseException:
                if probe:
                    self._admission.abandon_probe()
                raise
            if has_slot:
                return await self._attempt(wire, tries, probe=probe)
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
            and speaks_of_outage(error)
            and self._admission.last_success_sent_at <= tries.first_sent_at
        )

    async def _attempt(self, wire: str, tries: Tries, *, probe: bool) -> _Decoded[L] | LeadError:
        """Send once, within a slot that is given back, and judge the answer.

        Errors are values here, without tracebacks.
        """
        exchange = Exchange(
            "GET",
            LEADS_PATH + wire,
            pacer=self._pacer,
            read_s=self._timeouts.read_s,
            total_s=self._total_s(tries),
            max_bytes=MAX_LEAD_BYTES,
            headers=self._workspace.headers,
        )
        tries.attempts += 1
        tries.was_probe = probe
        result: _Decoded[L] | LeadError | RunError
        try:
            response = await self._workspace.transport.request(exchange)
            result = self._read(response, exchange, wire)
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
            return self._timeouts.total_s
        remaining_s = tries.remaining_s(self._workspace.retry.max_elapsed_s)
        return max(_LEAST_ATTEMPT_S, min(self._timeouts.total_s, remaining_s))

    def _read(
        self, response: Response, exchange: Exchange, wire: str
    ) -> _Decoded[L] | LeadError | RunError:
        self._recorder.bytes_received += len(response.body)
        if response.status == HTTP_OK:
            try:
                lead, problems = self._workspace.decoder.decode(response.body, wire)
            except DecodeError as error:
                if error.reason == "other lead":
                    exchange.drop_connection()
                return error.with_traceback(None)
            return _Decoded(lead, problems, response.body)
        return error_for(
            response.status,
            response.headers,
            response.body,
            key=self._workspace.key,
            now=self._workspace.wall_clock(),
            cap_s=self._workspace.retry.max_retry_after_s,
        )

    def _judge(
        self, result: _Decoded[L] | LeadError | RunError, exchange: Exchange, *, probe: bool
    ) -> None:
        """Tell limiter and breaker what came of an attempt."""
        now = _now()
        if exchange.sent_at is not None:
            self._recorder.latency.record(now - exchange.sent_at)
            self._recorder.meter.count(now, exchange.sends)
        if isinstance(result, (_Decoded, NotFoundError, RequestRejectedError)):
            self._limiter.on_success(now)
            self._admission.on_success(exchange.sent_at or now, probe=probe)
        elif isinstance(result, TransientError):
            self._judge_trouble(result, exchange, now, probe=probe)
        elif isinstance(result, DecodeError):
            self._admission.on_no_verdict(now, probe=probe)
        elif probe:  # a RunError
            self._admission.abandon_probe()

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
