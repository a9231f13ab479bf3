"""One unit of work, from id to outcome: a ladder of methods, each adding one concern.

``run`` counts, ``_with_retries`` repeats, ``_attempt`` judges, ``_exchange`` sends and
decodes. What to repeat is decided in ``retry.py``, when in ``admission.py`` and
``limiter.py``, what an answer means in ``protocol.py`` and ``decoding.py``.

The place of the second strategy, a list request for up to 100 ids, is beside ``GetLookup``.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from .admission import Admission, Kind
from .decoding import LeadDecoder
from .errors import (
    DecodeError,
    InvalidLeadIdError,
    LeadError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    RateLimitPauseError,
    RunError,
    TransientError,
)
from .limiter import AdaptiveLimiter
from .outcomes import Failed, Found, LeadId, NotFound, Outcome
from .protocol import LEADS_PATH, ApiKey, error_for, wire_id
from .retry import Tries
from .session import Exchange, Response
from .settings import MAX_LEAD_BYTES, RetryPolicy, Timeouts
from .stats import Recorder

L = TypeVar("L")

_log = logging.getLogger(__name__)

_LEAST_ATTEMPT_S = 1.0  # an attempt shorter than this would say nothing about the server


class Transport(Protocol):
    """The seam to the network: sends an exchange, or raises one of our errors."""

    async def request(self, exchange: Exchange) -> Response:
        """Send one request and read its answer to the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace(Generic[L]):
    """What all lookups of one client share. ``rng`` gives U(0, 1), ``wall_clock`` Unix seconds."""

    transport: Transport
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
        self._pacer = workspace.limiter if workspace.limiter.limit else None

    async def run(self, index: int, lead_id: LeadId) -> Outcome[L]:
        """Give the one outcome of this id.

        Raises:
            RunError: the whole run has to stop.
        """
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        recorder = self._recorder
        recorder.requested += 1
        wire = wire_id(lead_id)
        if wire is None:
            error = InvalidLeadIdError("The id is no UUID, so no request was made")
            return self._failed(index, lead_id, error, 0, 0.0)
        recorder.in_flight += 1
        self._admission.enter()
        try:
            result, attempts = await self._with_retries(wire, started_at)
        finally:
            self._admission.leave()
            recorder.in_flight -= 1
        elapsed_s = loop.time() - started_at
        if isinstance(result, _Decoded):
            recorder.found += 1
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
            recorder.not_found += 1
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

    async def _with_retries(
        self, wire: str, started_at: float
    ) -> tuple[_Decoded[L] | LeadError, int]:
        policy = self._workspace.retry
        tries = Tries(policy, self._workspace.rng)
        attempts = 0
        kind = Kind.FIRST
        while True:
            probe = await self._admit(kind)
            result = await self._attempt(wire, tries, probe=probe)
            attempts += 1
            if isinstance(result, _Decoded):
                return result, attempts
            if probe and _speaks_of_outage(result):
                self._recorder.retries += 1
                continue  # a probe costs the id nothing; it queues again behind the others
            wait_s = tries.wait_s(result, policy.max_elapsed_s)
            if wait_s is None:
                if not self._is_outage(result, started_at):
                    return result, attempts
                self._admission.declare_outage(asyncio.get_running_loop().time())
                tries.forgive()
                wait_s = 0.0
            self._recorder.retries += 1
            kind = Kind.REPEAT if isinstance(result, RateLimitedError) else Kind.RETRY
            _log.debug("Lead %s: %s; again in %.2f s", wire, result, wait_s)
            await asyncio.sleep(wait_s)

    async def _admit(self, kind: Kind) -> bool:
        """Wait out breaker, budget and pauses; ``True`` when the attempt is a probe."""
        admission = self._admission
        probe = False
        if admission.is_clear and kind is Kind.FIRST:
            admission.budget.deposit()
        else:
            probe = await admission.admit(kind, patient=self._patient)
        if self._limiter.paused_s(asyncio.get_running_loop().time()):
            try:
                await self._limiter.wait_out_pause()
            except BaseException:
                if probe:
                    admission.abandon_probe()
                raise
        return probe

    def _is_outage(self, error: LeadError, started_at: float) -> bool:
        """Whether an id is out of attempts while nothing at all has succeeded since its first."""
        return (
            self._patient
            and _speaks_of_outage(error)
            and self._admission.last_success_at < started_at
        )

    async def _attempt(self, wire: str, tries: Tries, *, probe: bool) -> _Decoded[L] | LeadError:
        exchange = self._make_exchange(wire, tries)
        try:
            result = await self._exchange(exchange, wire)
        except BaseException:  # cancelled, or closed
            if probe:
                self._admission.abandon_probe()
            raise
        finally:
            tries.spent_s += exchange.spent_s
            self._recorder.requests += exchange.sends
        self._judge(result, exchange, probe=probe)
        if isinstance(result, _Decoded | LeadError):
            return result
        raise result

    def _make_exchange(self, wire: str, tries: Tries) -> Exchange:
        timeouts = self._workspace.timeouts
        remaining_s = tries.remaining_s(self._workspace.retry.max_elapsed_s)
        return Exchange(
            "GET",
            LEADS_PATH + wire,
            pacer=self._pacer,
            read_s=timeouts.read_s,
            total_s=max(_LEAST_ATTEMPT_S, min(timeouts.total_s, remaining_s)),
            max_bytes=MAX_LEAD_BYTES,
            headers=self._workspace.headers,
        )

    async def _exchange(self, exchange: Exchange, wire: str) -> _Decoded[L] | LeadError | RunError:
        """Send and decode; errors are values here, without tracebacks that hold bodies."""
        workspace = self._workspace
        try:
            response = await workspace.transport.request(exchange)
        except (LeadError, RunError) as error:
            return error.with_traceback(None)
        self._recorder.bytes_received += len(response.body)
        if response.status == 200:
            try:
                lead, problems = workspace.decoder.decode(response.body, wire)
            except DecodeError as error:
                if error.reason == "other lead":
                    exchange.drop_connection()
                return error.with_traceback(None)
            return _Decoded(lead, problems, response.body)
        return error_for(
            response.status,
            response.headers,
            response.body,
            key=workspace.key,
            now=workspace.wall_clock(),
            cap_s=workspace.retry.max_retry_after_s,
        )

    def _judge(
        self, result: _Decoded[L] | LeadError | RunError, exchange: Exchange, *, probe: bool
    ) -> None:
        """Tell limiter and breaker what came of an attempt."""
        now = asyncio.get_running_loop().time()
        if exchange.sent_at is not None:
            self._recorder.latency.record(now - exchange.sent_at)
            self._recorder.meter.count(now, exchange.sends)
        if isinstance(result, TransientError):
            self._judge_trouble(result, exchange, now, probe=probe)
        elif isinstance(result, DecodeError):
            self._admission.on_no_verdict(now, probe=probe)
        elif not isinstance(result, RunError):
            self._limiter.on_success(now)
            self._admission.on_success(now, probe=probe)
        elif probe:
            self._admission.abandon_probe()

    def _judge_trouble(
        self, error: TransientError, exchange: Exchange, now: float, *, probe: bool
    ) -> None:
        if isinstance(error, RateLimitedError):
            self._recorder.throttled += 1
        asked_s = error.retry_after_s
        if asked_s is not None and asked_s > self._workspace.retry.max_retry_after_s:
            if probe:
                self._admission.abandon_probe()
            raise RateLimitPauseError(
                f"The API asks to wait {asked_s:.0f} s, longer than max_retry_after_s; "
                "run again after that.",
                retry_after_s=asked_s,
            )
        if isinstance(error, RateLimitedError):
            sent_at = now if exchange.sent_at is None else exchange.sent_at
            self._limiter.on_throttled(now, sent_at=sent_at, retry_after_s=asked_s)
            self._admission.on_success(now, probe=probe)  # the service is alive, only busy
            return
        if asked_s is not None:
            self._limiter.pause(now, asked_s)
        self._admission.on_failure(error.last, now, probe=probe)


def _speaks_of_outage(error: LeadError) -> bool:
    """Whether an error can be an outage's, rather than this id's."""
    if isinstance(error, ProtocolError):
        return error.status is None
    return isinstance(error, TransientError) and not isinstance(error, RateLimitedError)
