"""``Requester``: one request, repeated until it is answered or given up.

Each method adds one step: ``request`` counts the query as active, ``_repeat`` repeats,
``_wait_and_attempt`` waits, ``_attempt`` sends, ``_read`` reads, ``_report`` tells limiter and
gate. If nothing blocks the first attempt, the waiting steps are skipped. The endpoint says what is
sent and how the answer is read; ``_pace`` says when an attempt may be sent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from instantly_async._api import Endpoint, error_for, is_misdelivered
from instantly_async._http import Request, Response
from instantly_async._pace import AttemptKind, SuspectError, Tries, may_be_outage
from instantly_async.errors import (
    DecodeError,
    InstantlyError,
    LeadError,
    RateLimitedError,
    RateLimitPauseError,
    RunError,
    TransientError,
)
from instantly_async.stats import Recorder

from .workspace import Workspace

Q = TypeVar("Q")
R = TypeVar("R")

_log = logging.getLogger(__name__)

_LEAST_ATTEMPT_S = 1.0  # a shorter attempt would say nothing about the server


class _Retry(NamedTuple):
    """Try again after ``wait_s`` seconds, as an attempt of this kind."""

    kind: AttemptKind
    wait_s: float


class Requester(Generic[Q, R]):
    """Makes requests to one endpoint.

    ``patient``: wait for an outage to end, as a stream does; otherwise fail.
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
        self._gate = workspace.gate
        self._limiter = workspace.limiter
        self._near = workspace.limiter.near if workspace.limiter.limit else None
        self._slots = workspace.slots
        # Without a limit there is no turn to wait for.
        self._take_slot: Callable[[], Awaitable[object]] = (
            self._slots.acquire if self._near is None else self._take_slot_when_near
        )
        self._transport = workspace.transport

    async def request(self, query: Q, tries: Tries) -> R | LeadError:
        """Send the request until it is answered or given up; ``tries`` counts.

        Errors that concern this query are returned, without tracebacks.

        Raises:
            RunError: the whole run has to stop.
        """
        self._gate.enter()
        try:
            await self._take_slot()
            kind = AttemptKind.FIRST
            result = None
            if self._gate.is_clear and not self._limiter.is_paused(_now()):
                self._gate.budget.deposit()
                result = await self._attempt(query, tries, probe=False)
                kind = AttemptKind.REPEAT  # the budget has been charged already
            else:
                self._free_slot()
            if result is None:
                result = await self._wait_and_attempt(query, tries, kind)
            if isinstance(result, LeadError):
                result = await self._repeat(query, tries, result)
        finally:
            self._gate.leave()
        return result

    async def _repeat(self, query: Q, tries: Tries, result: LeadError) -> R | LeadError:
        kind = AttemptKind.FIRST if tries.was_probe else AttemptKind.RETRY
        while (step := self._next_step(result, tries, kind)) is not None:
            kind, wait_s = step
            self._recorder.retries += 1
            _log.debug("%s: %s; retry in %.2f s", self._endpoint.describe(query), result, wait_s)
            if wait_s:
                await asyncio.sleep(wait_s)
            try:
                again = await self._wait_and_attempt(query, tries, kind)
            except SuspectError:
                break
            if not isinstance(again, LeadError):
                return again
            result = again
        return result

    def _next_step(self, result: LeadError, tries: Tries, kind: AttemptKind) -> _Retry | None:
        """Decide what follows a failed attempt of this kind; ``None``: give up."""
        if tries.was_probe and may_be_outage(result):
            if self._is_last_probe():
                return None
            tries.is_suspect = True
            return _Retry(kind, 0.0)  # probes are free; queue again, at the end
        throttled = isinstance(result, RateLimitedError)
        kind = AttemptKind.REPEAT if throttled else AttemptKind.RETRY
        wait_s = tries.wait_s(result, self._endpoint.max_elapsed_s)
        if wait_s is None and self._is_outage(result, tries):
            self._gate.declare_outage(_now())
            tries.forgive()
            wait_s = 0.0
        return None if wait_s is None else _Retry(kind, wait_s)

    def _is_last_probe(self) -> bool:
        return self._endpoint.divisible or self._gate.fail_suspects(self._workspace.retry.attempts)

    async def _wait_and_attempt(self, query: Q, tries: Tries, kind: AttemptKind) -> R | LeadError:
        """Wait for breaker, budget, pauses and a free slot, then try once."""
        while True:
            probe = await self._gate.admit(
                kind,
                patient=self._patient,
                is_suspect=tries.is_suspect,
                divisible=self._endpoint.divisible,
            )
            try:
                has_slot = await self._wait_for_slot(probe=probe)
            except BaseException:
                if probe:
                    self._gate.abandon_probe()
                raise
            result = await self._attempt(query, tries, probe=probe) if has_slot else None
            if result is not None:
                return result
            kind = AttemptKind.REPEAT  # the budget has been charged already

    async def _wait_for_slot(self, *, probe: bool) -> bool:
        """Take a slot once nothing is paused; return ``False`` if the breaker has opened."""
        while True:
            await self._limiter.wait_out_pause()
            await self._take_slot()
            if self._gate.breaker.is_open and not probe:
                self._free_slot()
                return False
            if not self._limiter.is_paused(_now()):
                return True
            self._free_slot()

    async def _take_slot_when_near(self) -> None:
        """Wait until the turn is near, and only then for a slot, which others may need."""
        assert self._near is not None
        await self._near.enter()
        try:
            await self._slots.acquire()
        except BaseException:
            self._near.leave()
            raise

    def _free_slot(self) -> None:
        self._slots.release()
        if self._near is not None:
            self._near.leave()

    def _is_outage(self, error: LeadError, tries: Tries) -> bool:
        """Whether nothing has succeeded that was sent since this query's first attempt."""
        assert tries.first_sent_at is not None
        return (
            self._patient
            and not self._endpoint.divisible
            and may_be_outage(error)
            and self._gate.last_success_sent_at <= tries.first_sent_at
        )

    async def _attempt(self, query: Q, tries: Tries, *, probe: bool) -> R | LeadError | None:
        """Send once, free the slot, and report the result; ``None``: a pause has begun."""
        request = self._request(query, self._total_s(tries))
        tries.begin(is_probe=probe)
        send = self._transport.send
        on_sent = tries.note_sent if self._near is None else partial(self._note_sent, tries)
        try:
            reply = await send(request, on_sent=on_sent)
            tries.spent_s += reply.spent_s
            if reply.is_stale:  # the server has closed an idle connection just then
                reply = await send(request, on_sent=on_sent, fresh=True)
                tries.spent_s += reply.spent_s
        except BaseException:  # cancelled, or closed
            if probe:
                self._gate.abandon_probe()
            raise
        finally:
            self._slots.release()
            if self._near is not None and not tries.sends:
                self._near.leave()
            self._recorder.requests += tries.sends
        if reply.result is None:
            tries.undo()
            if probe:
                self._gate.abandon_probe()
            return None
        tries.first_sent_at = tries.first_sent_at or tries.last_sent_at or _now()
        result = self._read(query, reply.result)
        if is_misdelivered(result):
            reply.drop_connection()  # its next answer could also belong to another request
        self._report(result, tries, probe=probe)
        if isinstance(result, RunError):
            raise result
        if (pause := self._pause_over_cap(result)) is not None:
            raise pause
        return result

    def _note_sent(self, tries: Tries, now: float) -> None:
        if self._near is not None and not tries.sends:
            self._near.leave()
        tries.note_sent(now)

    def _request(self, query: Q, total_s: float) -> Request:
        endpoint = self._endpoint
        return Request(
            endpoint.method,
            endpoint.path(query),
            endpoint.body(query),
            read_s=endpoint.read_s,
            total_s=total_s,
            max_bytes=endpoint.max_bytes,
        )

    def _total_s(self, tries: Tries) -> float:
        if not tries.spent_s:
            return self._endpoint.total_s
        remaining_s = tries.remaining_s(self._endpoint.max_elapsed_s)
        return max(_LEAST_ATTEMPT_S, min(self._endpoint.total_s, remaining_s))

    def _read(self, query: Q, result: Response | LeadError | RunError) -> R | LeadError | RunError:
        if not isinstance(result, Response):
            return result
        self._recorder.bytes_received += len(result.body)
        if result.status == 200:
            try:
                return self._endpoint.read(query, result.body)
            except DecodeError as error:
                return error.with_traceback(None)
        return error_for(
            result.status,
            result.headers,
            result.body,
            key=self._workspace.key,
            now=self._workspace.wall_clock(),
            cap_s=self._workspace.retry.max_retry_after_s,
        )

    def _report(self, result: R | LeadError | RunError, tries: Tries, *, probe: bool) -> None:
        """Tell statistics, limiter and gate the result of an attempt."""
        now = _now()
        sent_at = now if tries.last_sent_at is None else tries.last_sent_at
        if tries.sends:
            self._recorder.latency.record(now - sent_at)
            self._recorder.meter.count(now, tries.sends)
        if not isinstance(result, InstantlyError):
            self._report_answer(sent_at, now, probe=probe)
        elif isinstance(result, RateLimitedError):
            self._report_throttled(result, sent_at, now, probe=probe)
        elif isinstance(result, TransientError):
            if result.retry_after_s is not None:
                self._limiter.pause(now, self._capped(result.retry_after_s))
            self._gate.on_failure(result.last, now, probe=probe)
        elif isinstance(result, DecodeError):
            self._gate.on_no_verdict(now, probe=probe)
        elif isinstance(result, RunError):
            if probe:
                self._gate.abandon_probe()
        else:  # NotFoundError or RequestRejectedError
            self._report_answer(sent_at, now, probe=probe)

    def _report_answer(self, sent_at: float, now: float, *, probe: bool) -> None:
        self._limiter.on_success(now)
        self._gate.on_success(sent_at, probe=probe)

    def _report_throttled(
        self, error: RateLimitedError, sent_at: float, now: float, *, probe: bool
    ) -> None:
        self._recorder.throttled += 1
        asked_s = error.retry_after_s
        heeded_s = None if asked_s is None else self._capped(asked_s)
        self._limiter.on_throttled(now, sent_at=sent_at, retry_after_s=heeded_s)
        self._gate.on_success(sent_at, probe=probe)  # the service is alive, only busy

    def _capped(self, retry_after_s: float) -> float:
        return min(retry_after_s, self._workspace.retry.max_retry_after_s)

    def _pause_over_cap(self, result: R | LeadError) -> RateLimitPauseError | None:
        """Return the error that ends the run if the server asks to wait longer than the cap."""
        if not isinstance(result, TransientError) or result.retry_after_s is None:
            return None
        asked_s = result.retry_after_s
        if asked_s <= self._workspace.retry.max_retry_after_s:
            return None
        return RateLimitPauseError(
            f"The API asks to wait {asked_s:.0f} s, longer than max_retry_after_s; "
            "run again after that.",
            retry_after_s=asked_s,
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
