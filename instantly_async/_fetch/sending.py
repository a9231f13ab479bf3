"""``Sender``: one attempt. Sends a request as its endpoint says, and reads the answer."""

import asyncio
from typing import Generic, TypeVar

from instantly_async._api import Endpoint, error_for, is_misdelivered
from instantly_async._http import Request, Response
from instantly_async._pace import Pace, Permit
from instantly_async.errors import (
    DecodeError,
    LeadError,
    RateLimitedError,
    RateLimitPauseError,
    RunError,
    TransientError,
)
from instantly_async.stats import Recorder

from .retries import Tries
from .workspace import Workspace

Q = TypeVar("Q")
R = TypeVar("R")

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
        self._send = workspace.transport.send

    async def attempt(self, query: Q, tries: Tries) -> R | LeadError:
        """Send the request once. Errors that concern this query are returned, without tracebacks.

        Raises:
            RunError: the whole run has to stop.
        """
        while True:
            async with self._pace.attempt() as permit:
                result = await self._exchange(query, tries, permit)
                if result is not None:
                    return result
            # A pause has begun, so nothing was sent.

    async def _exchange(self, query: Q, tries: Tries, permit: Permit) -> R | LeadError | None:
        request = self._request(query, tries)
        recorder = self._recorder
        try:
            reply = await self._send(request, on_sent=permit.note_sent)
            tries.spent_s += reply.spent_s
            if reply.is_stale:  # the server has closed an idle connection just then
                reply = await self._send(request, on_sent=permit.note_sent, fresh=True)
                tries.spent_s += reply.spent_s
        finally:
            recorder.requests += permit.sends
        if reply.result is None:
            return None
        tries.attempts += 1
        tries.tried_at = permit.granted_at
        result = self._read(query, reply.result)
        if is_misdelivered(result):
            reply.drop_connection()  # its next answer could also belong to another request
        now = asyncio.get_running_loop().time()
        permit.learn(result, now)
        if permit.sent_at is not None:
            tries.sent_at = permit.sent_at
            recorder.latency.record(now - permit.sent_at)
            recorder.meter.count(now, permit.sends)
        if isinstance(result, RateLimitedError):
            recorder.throttled += 1
        if isinstance(result, RunError):
            raise result
        if (pause := self._pause_over_cap(result)) is not None:
            raise pause
        return result

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

    def _read(self, query: Q, result: Response | LeadError | RunError) -> R | LeadError | RunError:
        if not isinstance(result, Response):
            return result
        self._recorder.bytes_received += len(result.body)
        if result.status == 200:
            try:
                return self.endpoint.read(query, result.body)
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
