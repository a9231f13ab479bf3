"""Strategy ``"get"``: one *Get lead* request per id."""

import asyncio
from typing import Generic, TypeVar

from instantly_async._api import Endpoints, wire_id
from instantly_async._pace import Tries
from instantly_async.outcomes import LeadId, Outcome
from instantly_async.stats import Recorder

from .attempts import Requester
from .pipeline import Deliver
from .settle import OutcomeMaker
from .workspace import Workspace

L = TypeVar("L")


class GetLookup(Generic[L]):
    """Fetches leads one by one.

    ``patient``: wait for an outage to end, as a stream does; otherwise fail.
    """

    def __init__(
        self,
        endpoints: Endpoints[L],
        workspace: Workspace,
        recorder: Recorder,
        *,
        keep_raw: bool = False,
        patient: bool = True,
    ) -> None:
        self._retry = workspace.retry
        self._rng = workspace.rng
        self._recorder = recorder
        self._outcomes: OutcomeMaker[L] = OutcomeMaker(recorder, keep_raw=keep_raw)
        self._get = Requester(endpoints.get, workspace, recorder, patient=patient)

    async def run(self, index: int, lead_id: LeadId, deliver: Deliver[Outcome[L]]) -> None:
        """Deliver the one outcome of this id.

        Raises:
            RunError: the whole run has to stop.
        """
        recorder = self._recorder
        recorder.requested += 1
        wire = wire_id(lead_id)
        if wire is None:
            deliver(index, self._outcomes.reject(index, lead_id))
            return
        started_at = _now()
        tries = Tries(self._retry, self._rng)
        recorder.in_flight += 1
        try:
            result = await self._get.request(wire, tries)
        finally:
            recorder.in_flight -= 1
        elapsed_s = _now() - started_at
        deliver(index, self._outcomes.make(index, lead_id, result, tries.attempts, elapsed_s))


def _now() -> float:
    return asyncio.get_running_loop().time()
