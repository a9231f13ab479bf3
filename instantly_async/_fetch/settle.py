"""``OutcomeMaker``: makes the outcome of one id or email from its result, and counts it."""

from collections.abc import Mapping
from typing import Generic, Literal, TypeVar

from instantly_async._api import LeadItem
from instantly_async._recorder import Recorder
from instantly_async.errors import InvalidLeadIdError, LeadError, NotFoundError
from instantly_async.events import Settled
from instantly_async.outcomes import EmailMatch, Failed, Found, LeadId, NotFound, Outcome

L = TypeVar("L")

Kind = Literal["found", "not_found", "failed"]


class OutcomeMaker(Generic[L]):
    """Makes outcomes and counts them.

    ``keep_raw``: keep the server's JSON of every lead. Otherwise it is kept only for leads with
    ``problems``.
    """

    def __init__(self, recorder: Recorder, *, keep_raw: bool) -> None:
        self.recorder = recorder
        self._observers = recorder.observers
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
            if self._observers.want_settled:  # nearly all leads come here, and nearly nobody looks
                self._tell("found", None, attempts, elapsed_s)
            return self._found(index, lead_id, result, attempts, elapsed_s)
        if isinstance(result, NotFoundError):
            self.recorder.not_found += 1
            self._tell("not_found", None, attempts, elapsed_s)
            return NotFound(lead_id=lead_id, index=index, attempts=attempts, elapsed_s=elapsed_s)
        # Only here are the caller's spelling of the id and all of its attempts known.
        result.lead_id = lead_id
        result.attempts = attempts
        self._fail(result, attempts, elapsed_s)
        return Failed(
            lead_id=lead_id, index=index, error=result, attempts=attempts, elapsed_s=elapsed_s
        )

    def _found(
        self, index: int, lead_id: LeadId, item: LeadItem[L], attempts: int, elapsed_s: float
    ) -> Found[L]:
        return Found(
            lead_id=lead_id,
            index=index,
            lead=item.lead,
            attempts=attempts,
            elapsed_s=elapsed_s,
            problems=item.problems,
            raw=item.raw if self._keep_raw or item.problems else None,
        )

    def match(
        self,
        index: int,
        email: str,
        result: Mapping[str, LeadItem[L]] | LeadError,
        attempts: int,
        elapsed_s: float,
    ) -> EmailMatch[L]:
        """Make the outcome of an email; ``result``: its leads by their ids, or what failed.

        It counts as found if it has any lead.
        """
        error = result if isinstance(result, LeadError) else None
        items = {} if isinstance(result, LeadError) else result
        if error is not None:
            error.attempts = attempts
            self._fail(error, attempts, elapsed_s)
        elif items:
            self.recorder.found += 1
            self._tell("found", None, attempts, elapsed_s)
        else:
            self.recorder.not_found += 1
            self._tell("not_found", None, attempts, elapsed_s)
        return EmailMatch(
            email=email,
            index=index,
            found=tuple(
                self._found(index, lead_id, item, attempts, elapsed_s)
                for lead_id, item in items.items()
            ),
            error=error,
            attempts=attempts,
            elapsed_s=elapsed_s,
        )

    def _fail(self, error: LeadError, attempts: int, elapsed_s: float) -> None:
        name = type(error).__name__
        self.recorder.failed[name] += 1
        self._tell("failed", name, attempts, elapsed_s)

    def _tell(self, outcome: Kind, error: str | None, attempts: int, elapsed_s: float) -> None:
        if self._observers.want_settled:
            self._observers(
                Settled(
                    run=self.recorder.run,
                    outcome=outcome,
                    error=error,
                    attempts=attempts,
                    elapsed_s=elapsed_s,
                )
            )

    def reject(self, index: int, lead_id: LeadId) -> Outcome[L]:
        """Make the outcome of an id that is not a UUID."""
        error = InvalidLeadIdError("The id is not a UUID, so no request was sent")
        return self.make(index, lead_id, error, 0, 0.0)
