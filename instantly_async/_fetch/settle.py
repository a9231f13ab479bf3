"""``OutcomeMaker``: makes the outcome of one id from its result, and counts it."""

from typing import Generic, TypeVar

from instantly_async._api import LeadItem
from instantly_async.errors import InvalidLeadIdError, LeadError, NotFoundError
from instantly_async.outcomes import Failed, Found, LeadId, NotFound, Outcome
from instantly_async.stats import Recorder

L = TypeVar("L")


class OutcomeMaker(Generic[L]):
    """Makes outcomes and counts them.

    ``keep_raw``: keep the server's JSON of every lead. Otherwise it is kept only for leads with
    ``problems``.
    """

    def __init__(self, recorder: Recorder, *, keep_raw: bool) -> None:
        self.recorder = recorder
        self._keep_raw = keep_raw

    def make(
        self,
        index: int,
        lead_id: LeadId,
        result: LeadItem[L] | LeadError,
        attempts: int,
        elapsed_s: float,
    ) -> Outcome[L]:
        if isinstance(result, LeadItem):
            self.recorder.found += 1
            return Found(
                lead_id=lead_id,
                index=index,
                lead=result.lead,
                attempts=attempts,
                elapsed_s=elapsed_s,
                problems=result.problems,
                raw=result.raw if self._keep_raw or result.problems else None,
            )
        if isinstance(result, NotFoundError):
            self.recorder.not_found += 1
            return NotFound(lead_id=lead_id, index=index, attempts=attempts, elapsed_s=elapsed_s)
        # Only here are the caller's spelling of the id and all of its attempts known.
        result.lead_id = lead_id
        result.attempts = attempts
        self.recorder.failed[type(result).__name__] += 1
        return Failed(
            lead_id=lead_id, index=index, error=result, attempts=attempts, elapsed_s=elapsed_s
        )

    def reject(self, index: int, lead_id: LeadId) -> Outcome[L]:
        """Make the outcome of an id that is not a UUID."""
        error = InvalidLeadIdError("The id is not a UUID, so no request was sent")
        return self.make(index, lead_id, error, 0, 0.0)
