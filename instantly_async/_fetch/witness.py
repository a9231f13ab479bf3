"""``Witness``: tells the observers what became of each attempt at one endpoint."""

import asyncio
from typing import Any

from instantly_async._api import Endpoint
from instantly_async._http import Reply, Response
from instantly_async._pace import Permit
from instantly_async._recorder import Recorder
from instantly_async._telling import tell
from instantly_async.errors import InstantlyError
from instantly_async.events import Attempt

from .retries import Tries
from .workspace import Workspace


class Witness:
    """Tells the observers of ``recorder``, if there are any."""

    def __init__(
        self, endpoint: Endpoint[Any, Any], workspace: Workspace, recorder: Recorder
    ) -> None:
        self._method, self._route = endpoint.method, endpoint.route
        self._address, self._port = workspace.server
        self._recorder = recorder
        self._observers = recorder.observers

    def begin(self, tries: Tries) -> None:
        """Note that an attempt is wanted."""
        if self._observers.guarded:
            tries.waits_since = asyncio.get_running_loop().time()

    def tell(self, tries: Tries, permit: Permit, reply: Reply, result: object, now: float) -> None:
        """Tell that an attempt has come to this result: what was read, or an error."""
        if self._observers.guarded:
            error = type(result).__name__ if isinstance(result, InstantlyError) else None
            self._tell(tries, permit, reply.result, error=error, spent_s=reply.spent_s, now=now)

    def tell_end(
        self, tries: Tries, permit: Permit, reply: Reply | None, cause: BaseException, now: float
    ) -> None:
        """Tell that an attempt that was sent has been ended by something else.

        ``reply`` ``None``: before its answer had come.
        """
        if self._observers.guarded and permit.sends > permit.told:
            answer, spent_s = (None, 0.0) if reply is None else (reply.result, reply.spent_s)
            name = type(cause).__name__
            self._tell(tries, permit, answer, error=name, spent_s=spent_s, now=now)

    def _tell(
        self,
        tries: Tries,
        permit: Permit,
        answer: object,
        *,
        error: str | None,
        spent_s: float,
        now: float,
    ) -> None:
        is_sent = permit.sends > permit.told
        duration_s = now - permit.sent_at if is_sent and permit.sent_at is not None else spent_s
        # What was spent is connecting, and the time since it was sent.
        wait_s = now - tries.waits_since - (max(duration_s, spent_s))
        status, size = None, 0
        if isinstance(answer, Response):
            status, size = answer.status, len(answer.body)
        tell(
            self._observers.guarded,
            Attempt(
                run=self._recorder.run,
                method=self._method,
                route=self._route,
                server_address=self._address,
                server_port=self._port,
                status=status,
                error=error,
                is_sent=is_sent,
                duration_s=duration_s,
                wait_s=max(0.0, wait_s),
                bytes_received=size,
                resend_count=tries.sends,
            ),
        )
        tries.sends += is_sent
        tries.waits_since = now
        permit.told = permit.sends
