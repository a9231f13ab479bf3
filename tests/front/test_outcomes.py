"""Outcomes and batches of them."""

import copy
import pickle
from typing import Any
from uuid import UUID

import msgspec
import pytest

from instantly_async._recorder import Recorder
from instantly_async.errors import DecodeError, NotFoundError, RunError, ServerError
from instantly_async.models import Lead
from instantly_async.outcomes import Failed, Found, LeadBatch, NotFound, Outcome, lead_or_raise

SECRET = b'{"email":"ada@example.com"}'


def found(index: int, **more: Any) -> Found[Lead]:
    lead = Lead(id=str(index))
    return Found(lead_id=str(index), index=index, lead=lead, attempts=1, elapsed_s=0.05, **more)


def missing(index: int) -> NotFound:
    return NotFound(lead_id=UUID(int=index), index=index, attempts=1, elapsed_s=0.05)


def failed(index: int, text: str = "HTTP 502") -> Failed:
    error = ServerError(text, status=502)
    return Failed(lead_id=str(index), index=index, error=error, attempts=5, elapsed_s=4.0)


def batch_of(*outcomes: Outcome[Lead]) -> LeadBatch[Lead]:
    stats = Recorder().snapshot(0.0, allowed_rate=95.0)
    return LeadBatch(outcomes=outcomes, stats=stats)


MIXED = batch_of(found(0), missing(1), failed(2, "first"), found(3), failed(4, "second"))


def test_a_batch_sorts_its_outcomes_and_keeps_their_order() -> None:
    assert [lead.id for lead in MIXED.leads] == ["0", "3"]
    assert MIXED.not_found == [UUID(int=1)]
    assert [outcome.index for outcome in MIXED.failed] == [2, 4]
    assert len(MIXED.outcomes) == 5


def test_an_empty_batch_is_empty() -> None:
    batch = batch_of()
    assert (batch.leads, batch.not_found, batch.failed) == ([], [], [])
    batch.raise_for_failures()


def test_not_found_is_no_failure() -> None:
    batch_of(found(0), missing(1)).raise_for_failures()


def test_the_first_failure_is_raised_with_one_note() -> None:
    """However often it is asked: the error is the same object each time."""
    batch = batch_of(found(0), failed(2, "first"), failed(4, "second"))
    for _ in range(3):
        with pytest.raises(ServerError) as caught:
            batch.raise_for_failures()
        assert caught.value is batch.failed[0].error
        assert caught.value.__notes__ == ["2 of 3 leads failed; this is the first."]


def test_one_outcome_is_a_lead_or_its_error() -> None:
    """What ``get_lead`` gives: every error names the id as it was passed."""
    assert lead_or_raise(found(3)) == Lead(id="3")
    with pytest.raises(NotFoundError) as caught:
        lead_or_raise(missing(1))
    assert (caught.value.lead_id, caught.value.attempts) == (UUID(int=1), 1)
    outcome = failed(2)
    with pytest.raises(ServerError) as failure:
        lead_or_raise(outcome)
    assert failure.value is outcome.error


def test_outcomes_match_by_keyword() -> None:
    seen = []
    for outcome in MIXED.outcomes:
        match outcome:
            case Found(lead=lead, index=index):
                seen.append((index, lead.id))
            case NotFound(lead_id=lead_id):
                seen.append((1, str(lead_id.int) if isinstance(lead_id, UUID) else ""))
            case Failed(error=error, index=index):
                seen.append((index, error.last if isinstance(error, ServerError) else ""))
    assert seen == [(0, "0"), (1, "1"), (2, "first"), (3, "3"), (4, "second")]


def test_outcomes_are_frozen() -> None:
    for outcome in MIXED.outcomes:
        with pytest.raises(AttributeError):
            outcome.index = 9  # type: ignore[misc]  # that is the point


def test_a_repr_shows_no_raw_bytes() -> None:
    """A body in a log is personal data, and long."""
    raw = found(0, raw=SECRET, problems=("status",))
    assert repr(raw).endswith(" problems=('status',) raw=<27 bytes>>")
    assert "raw" not in repr(found(0))
    broken = Failed(
        lead_id="1", index=1, error=DecodeError("Odd", raw=SECRET), attempts=1, elapsed_s=1.0
    )
    for shown in (repr(raw), repr(broken), repr(batch_of(raw, broken)), str(broken)):
        assert "ada@" not in shown


def test_a_batch_pickles_with_its_failures() -> None:
    """Also as the partial result of a run that stopped."""
    error = RunError("stopped")
    error.partial = MIXED
    again = pickle.loads(pickle.dumps(error)).partial  # noqa: S301 - our own bytes
    assert again.outcomes[:2] == MIXED.outcomes[:2]
    assert str(again.failed[0].error) == str(MIXED.failed[0].error)
    assert again.stats == MIXED.stats
    assert copy.deepcopy(MIXED).leads == MIXED.leads


def test_a_found_lead_keeps_what_was_passed_as_its_id() -> None:
    outcome = Found(lead_id=UUID(int=5), index=0, lead={"any": "type"}, attempts=2, elapsed_s=0.1)
    assert outcome.lead_id == UUID(int=5)
    assert (outcome.problems, outcome.raw) == ((), None)


def test_equal_outcomes_are_equal() -> None:
    assert found(1) == found(1) != found(2)
    assert missing(1) == missing(1) != missing(2)
    assert msgspec.structs.asdict(missing(1))["attempts"] == 1
    assert NotFoundError("x") != NotFoundError("x")
