"""``Witness``: tells the observers what became of each attempt at one endpoint."""

from typing import Any

from instantly_async._api import Endpoint
from instantly_async._http import Reply, Response
from instantly_async._pace import Permit
from instantly_async._recorder import Recorder
from instantly_async._telling import tell
from instantly_async.events import Attempt

from .retries import Tries
from .workspace import Workspace


class Witness:
    """Tells the observers of ``recorder``; ``Tries`` and ``Permit`` note what they know."""

    def __init__(
        self, endpoint: Endpoint[Any, Any], workspace: Workspace, recorder: Recorder
    ) -> None:
        self._method, self._route = endpoint.method, endpoint.route
        self._address, self._port = workspace.server
        self._recorder = recorder

    def tell_end(
        self, tries: Tries, permit: Permit, reply: Reply | None, cause: BaseException, now: float
    ) -> None:
        """Tell that an attempt that was sent has been ended by something else.

        ``reply`` ``None``: before its answer had come.
        """
        if permit.sends > permit.told:
            self.tell(tries, permit, reply or _NO_REPLY, cause, now)

    def tell(self, tries: Tries, permit: Permit, reply: Reply, result: object, now: float) -> None:
        """Tell that an attempt has come to this result: what was read, or an error."""
        recorder, answer, spent_s = self._recorder, reply.result, reply.spent_s
        is_sent = permit.sends > permit.told
        duration_s = now - permit.sent_at if is_sent and permit.sent_at is not None else spent_s
        # What was spent is connecting, and the time since it was sent.
        wait_s = now - tries.waits_since - max(duration_s, spent_s)
        status, size = None, 0
        if isinstance(answer, Response):
            status, size = answer.status, len(answer.body)
        attempt = Attempt(
            run=recorder.run,
            method=self._method,
            route=self._route,
            server_address=self._address,
            server_port=self._port,
            status=status,
            error=type(result).__name__ if isinstance(result, BaseException) else None,
            is_sent=is_sent,
            duration_s=duration_s,
            wait_s=max(0.0, wait_s),
            bytes_received=size,
            resend_count=tries.sends,
        )
        tries.sends += is_sent
        tries.waits_since = now
        permit.told = permit.sends
        tell(recorder.observers.guarded, attempt)


_NO_REPLY = Reply(None, 0.0)
