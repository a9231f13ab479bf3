"""``Sender``: one attempt. Sends a request as its endpoint says, and reads the answer."""

import asyncio
from typing import Generic, TypeVar

from instantly_async._api import Endpoint, Steps, error_for, is_misdelivered
from instantly_async._http import Request, Response
from instantly_async._pace import Pace
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

from .reading import finish
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
        loop, recorder, send = asyncio.get_running_loop(), self._recorder, self._send
        while True:
            request = self._request(query, tries)
            async with self._pace.attempt() as permit:
                try:
                    reply = await send(request, on_sent=permit.note_sent)
                    tries.spent_s += reply.spent_s
                    if reply.is_stale:  # the connection had ended, and nobody is to blame
                        reply = await send(request, on_sent=permit.note_sent, fresh=True)
                        tries.spent_s += reply.spent_s
                finally:
                    recorder.requests += permit.sends
                if reply.result is None:
                    continue  # a pause had begun, so nothing was sent
                read = self._read(query, reply.result)
                result = await self._finish(read) if isinstance(read, Steps) else read
                if is_misdelivered(result):
                    reply.drop_connection()  # its next answer could also be another request's
                now = loop.time()
                permit.learn(result, now)
            tries.attempts += 1
            tries.tried_at = now
            if permit.sent_at is not None:
                tries.tried_at = permit.sent_at
                recorder.latency.record(now - permit.sent_at)
                recorder.meter.count(now, permit.sends)
            return result if not isinstance(result, InstantlyError) else self._judge(result)

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
                return error.with_traceback(None)
        return error_for(
            result.status,
            result.headers,
            result.body,
            key=self._workspace.key,
            now=self._workspace.wall_clock(),
            cap_s=self._workspace.retry.max_retry_after_s,
        )

    async def _finish(self, steps: Steps[R]) -> R | LeadError:
        return await finish(steps, self._workspace.reading)
