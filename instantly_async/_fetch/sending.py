"""``Sender``: one attempt. Sends a request as its endpoint says, and reads the answer."""

import asyncio
import logging
from typing import Generic, TypeVar

from instantly_async._api import (
    Endpoint,
    ErrorContext,
    Steps,
    error_for,
    error_in,
    is_misdelivered,
)
from instantly_async._http import Reply, Request, Response
from instantly_async._pace import Pace, Permit, is_foreign
from instantly_async._recorder import Recorder
from instantly_async.errors import (
    DecodeError,
    InstantlyError,
    LeadError,
    NotFoundError,
    RateLimitedError,
    RateLimitPauseError,
    RunError,
    ServiceUnavailableError,
    TransientError,
)
from instantly_async.settings import BASE_URL_VARIABLE

from .facts import facts_of
from .reading import finish
from .retries import Tries
from .witness import Witness
from .workspace import Workspace

Q = TypeVar("Q")
R = TypeVar("R")

ASK_AFTER_S = 0.5
"""Seconds after which the API is asked again if it refuses a key that it has accepted before
(*choice*). A server that cannot look up a key now may be able to then."""

_log = logging.getLogger(__name__)

_LEAST_ATTEMPT_S = 1.0  # a shorter attempt would say nothing about the server


class Sender(Generic[Q, R]):
    """Makes attempts at one endpoint. ``pace`` says when."""

    def __init__(
        self, endpoint: Endpoint[Q, R], workspace: Workspace, recorder: Recorder, pace: Pace
    ) -> None:
        self.endpoint = endpoint
        self._workspace = workspace
        self._recorder = recorder
        self._pace = pace
        self._asking = workspace.pace(endpoint)
        self._trust = workspace.trust
        self._send = workspace.transport.send
        self._witness = Witness(endpoint, workspace, recorder)

    async def attempt(self, query: Q, tries: Tries, *, asks: bool = False) -> R | LeadError:
        """Send the request once. Errors that concern this query are returned, without tracebacks.

        An error that ends the run, though the key was accepted before, is confirmed first: the
        request is sent once more, while everything else waits. ``asks``: this is that request.

        Raises:
            RunError: the whole run has to stop; also if nothing but another server has answered.
        """
        loop, recorder, send = asyncio.get_running_loop(), self._recorder, self._send
        pace = self._asking if asks else self._pace
        witness = self._witness
        if recorder.observers.guarded:
            tries.waits_since = loop.time()
        while True:
            request, reply = self._request(query, tries), None
            with await pace.enter() as permit:
                try:
                    reply = await send(request, on_sent=permit.note_sent, fresh=asks)
                    tries.spent_s += reply.spent_s
                    if reply.is_stale:  # the connection had ended, and nobody is to blame
                        witness.tell(tries, permit, reply, reply.result, loop.time())
                        reply = None
                        reply = await send(request, on_sent=permit.note_sent, fresh=True)
                        tries.spent_s += reply.spent_s
                    if reply.result is None:  # a pause had begun, so nothing was sent
                        tries.waits_since += reply.spent_s
                        continue
                    read = self._read(query, reply.result)
                    result = await self._finish(read, reply) if isinstance(read, Steps) else read
                except BaseException as error:
                    witness.tell_end(tries, permit, reply, error, loop.time())
                    raise
                finally:
                    recorder.requests += permit.sends
                now = loop.time()
                self._learn(tries, permit, reply, result, now)
            if self._trust.is_other_server:
                await self._require_api(result, pace, now)
            if not isinstance(result, InstantlyError):
                self._trust.is_proven = True
                return result
            if isinstance(result, RunError) and self._trust.is_proven:
                if not asks:
                    return await self._ask_again(query, tries, result)
                self._trust.is_proven = False
            return self._judge(result)

    async def _ask_again(self, query: Q, tries: Tries, doubtful: RunError) -> R | LeadError:
        trust = self._trust
        self._recorder.retries += 1
        if trust.is_asking:
            await trust.settled()
            return await self.attempt(query, tries)
        _log.info(
            "%s The API has accepted the key before, so it is asked again.",
            doubtful,
            extra=facts_of(doubtful, method=self.endpoint.method),
        )
        with trust.asking():
            self._pace.limiter.pause(asyncio.get_running_loop().time(), ASK_AFTER_S)
            return await self.attempt(query, tries, asks=True)

    async def _require_api(self, result: object, pace: Pace, now: float) -> None:
        """Raise an error if something else answers a probe, too; perhaps only these ids are bad."""
        if not (isinstance(result, LeadError) and is_foreign(result)):
            return
        if not pace.has_probe:
            raise _other_server(result)
        await pace.is_alive(now)

    def _judge(self, error: InstantlyError) -> LeadError:
        """Return an error that concerns one query; raise the others."""
        if isinstance(error, RateLimitedError):
            self._recorder.throttled += 1
        if isinstance(error, TransientError) and error.retry_after_s is not None:
            cap_s = self._workspace.retry.max_retry_after_s
            if error.retry_after_s > cap_s:
                raise RateLimitPauseError(
                    f"The API asks to wait {error.retry_after_s:.0f} s, longer than "
                    "max_retry_after_s; run again after that.",
                    retry_after_s=error.retry_after_s,
                )
        if not isinstance(error, LeadError):
            raise error
        return error

    def _learn(
        self, tries: Tries, permit: Permit, reply: Reply, result: object, now: float
    ) -> None:
        """Learn from the result of an attempt, count it, and tell the observers."""
        if is_misdelivered(result):
            reply.drop_connection()  # its next answer could also be another request's
        permit.learn(result, now)
        tries.attempts += 1
        tries.tried_at = now
        if permit.sent_at is not None:
            tries.tried_at = permit.sent_at
            self._recorder.latency.record(now - permit.sent_at)
            self._recorder.meter.count(now, permit.sends)
        if self._recorder.observers.guarded:
            self._witness.tell(tries, permit, reply, result, now)

    def _request(self, query: Q, tries: Tries) -> Request:
        endpoint = self.endpoint
        total_s = endpoint.total_s
        if tries.spent_s:
            remaining_s = endpoint.max_elapsed_s - tries.spent_s
            total_s = max(_LEAST_ATTEMPT_S, min(total_s, remaining_s))
        return Request(
            endpoint.method,
            endpoint.path(query),
            endpoint.body(query),
            read_s=endpoint.read_s,
            total_s=total_s,
            max_bytes=endpoint.max_bytes,
        )

    def _read(
        self, query: Q, result: Response | LeadError | RunError
    ) -> R | Steps[R] | LeadError | RunError:
        if not isinstance(result, Response):
            return result
        self._recorder.bytes_received += len(result.body)
        if result.status == 200:
            try:
                return self.endpoint.read(query, result.body)
            except DecodeError as error:
                return self._reread(error.with_traceback(None), result)
        failure = error_for(result.status, result.headers, result.body, **self._context())
        self._trust.is_proven |= isinstance(failure, NotFoundError)
        return failure

    async def _finish(self, steps: Steps[R], reply: Reply) -> R | LeadError | RunError:
        result = await finish(steps, self._workspace.reading)
        return self._reread(result, reply.result) if isinstance(result, DecodeError) else result

    def _reread(
        self, error: DecodeError, answer: Response | LeadError | RunError | None
    ) -> LeadError | RunError:
        """Return the error that a body with status 200 names, if it is one of the API's."""
        if error.reason != "foreign" or not isinstance(answer, Response):
            return error
        return error_in(answer.headers, answer.body, **self._context()) or error

    def _context(self) -> ErrorContext:
        workspace = self._workspace
        return {
            "key": workspace.key,
            "now": workspace.wall_clock(),
            "cap_s": workspace.retry.max_retry_after_s,
            "takes_many": self.endpoint.takes_many,
        }


def _other_server(latest: LeadError) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"What answers is not the Instantly API ({latest.args[0]}); check the server's address "
        f"(base_url, {BASE_URL_VARIABLE}), and whether a proxy or a login page answers instead."
    )
