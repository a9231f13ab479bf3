"""``Witness``: tells the observers what became of each attempt of one request."""

from typing import Any

from instantly_async._api import Endpoint
from instantly_async._http import Reply, Response
from instantly_async._pace import Permit
from instantly_async._recorder import Recorder
from instantly_async.errors import InstantlyError
from instantly_async.events import Attempt

from .retries import Tries
from .workspace import Workspace


class Nobody:
    """What stands for a witness while nobody observes."""

    def tell(self, permit: Permit, reply: Reply, result: object, now: float) -> None: ...

    def tell_end(self, permit: Permit, cause: BaseException, now: float) -> None: ...


NOBODY = Nobody()


class Witness(Nobody):
    """Sees one request of a query; an attempt of it may be sent twice, which makes two records.

    ``began_at``: since when it waits, in the loop's time.
    """

    __slots__ = ("_began_at", "_endpoint", "_recorder", "_sends", "_server", "_tries")

    def __init__(
        self,
        endpoint: Endpoint[Any, Any],
        workspace: Workspace,
        recorder: Recorder,
        tries: Tries,
        began_at: float,
    ) -> None:
        self._endpoint = endpoint
        self._server = workspace.server
        self._recorder = recorder
        self._tries = tries
        self._began_at = began_at
        self._sends = 0

    def tell(self, permit: Permit, reply: Reply, result: object, now: float) -> None:
        """Tell that an attempt has come to this result: what was read, or an error."""
        answer = reply.result if isinstance(reply.result, Response) else None
        error = type(result).__name__ if isinstance(result, InstantlyError) else None
        self._tell(permit, answer, error, now, reply.spent_s)

    def tell_end(self, permit: Permit, cause: BaseException, now: float) -> None:
        """Tell that an attempt that was sent has been ended by something else."""
        if permit.sends > self._sends:
            self._tell(permit, None, type(cause).__name__, now, 0.0)

    def _tell(
        self, permit: Permit, answer: Response | None, error: str | None, now: float, spent_s: float
    ) -> None:
        is_sent = permit.sends > self._sends
        duration_s = spent_s
        if is_sent and permit.sent_at is not None:
            duration_s = now - permit.sent_at
        endpoint, server, tries = self._endpoint, self._server, self._tries
        self._recorder.observers(
            Attempt(
                run=self._recorder.run,
                method=endpoint.method,
                route=endpoint.route,
                server_address=server.address,
                server_port=server.port,
                status=None if answer is None else answer.status,
                error=error,
                is_sent=is_sent,
                duration_s=duration_s,
                # What was spent is connecting, and the time since it was sent.
                wait_s=max(0.0, now - self._began_at - max(spent_s, duration_s)),
                bytes_received=0 if answer is None else len(answer.body),
                resend_count=tries.sends,
            )
        )
        tries.sends += is_sent
        self._sends = permit.sends
        self._began_at = now
