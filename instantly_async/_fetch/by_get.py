"""Strategy ``"get"``: one *Get lead* request per id."""

import asyncio
from contextlib import nullcontext
from typing import Generic, TypeVar

from instantly_async._api import Endpoints, wire_id
from instantly_async._recorder import Recorder
from instantly_async.errors import LeadError
from instantly_async.outcomes import LeadId, Outcome

from .attempts import Absence, Requester
from .canary import Canary
from .pipeline import Deliver
from .retries import Tries
from .settle import OutcomeMaker
from .workspace import Workspace

L = TypeVar("L")


class GetLookup(Generic[L]):
    """Fetches leads one by one.

    ``patient``: wait for an outage to end, as a stream does; otherwise fail. ``absence`` is entered
    while an id waits for its next attempt.
    """

    def __init__(
        self,
        endpoints: Endpoints[L],
        workspace: Workspace,
        recorder: Recorder,
        *,
        keep_raw: bool = False,
        patient: bool = True,
        absence: Absence = nullcontext,
    ) -> None:
        self._absence = absence
        self._known = workspace.known
        self._budget = workspace.budget
        self._recorder = recorder
        self._outcomes: OutcomeMaker[L] = OutcomeMaker(recorder, keep_raw=keep_raw)
        canary = Canary(endpoints, workspace, recorder)
        self._get = Requester(endpoints.get, workspace, recorder, canary.get_lead, patient=patient)

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
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        tries = Tries()
        self._budget.deposit()
        recorder.in_flight += 1
        try:
            result = await self._get.request(wire, tries, self._absence)
        finally:
            recorder.in_flight -= 1
        if not isinstance(result, LeadError):
            self._known.found.append(wire)
        elapsed_s = loop.time() - started_at
        deliver(index, self._outcomes.make(index, lead_id, result, tries.attempts, elapsed_s))
