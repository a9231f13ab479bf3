"""The lines of the errors file: which failures are final, and how one is recorded."""

import msgspec

from instantly_async._api import wire_email, wire_id
from instantly_async.cli.known import storable
from instantly_async.cli.records import LineId
from instantly_async.errors import DecodeError, LeadError, TransientError
from instantly_async.outcomes import Failed, NotFound

from .past import Key


class ListedFailure(Failed, frozen=True, kw_only=True):
    """A lead of a listing that failed. Later runs go on behind it, so it is always recorded."""


def error_line(outcome: NotFound | Failed, key: Key = "id") -> bytes | None:
    """Return the line that records a final failure; ``None``: the failure may be temporary.

    ``key``: what the entry is. It is in the form that is sent, so a valid one is valid input in any
    later run. ``line`` is the number of the input's line, row or element.
    """
    if isinstance(outcome, NotFound):
        error, message = "NotFoundError", "not found"
    elif is_temporary(outcome):
        return None
    else:
        error, message = type(outcome.error).__name__, _message(outcome.error)
    entry = outcome.lead_id
    valid = wire_id(entry) if key == "id" else wire_email(entry)
    line: dict[str, object] = {
        key: valid or storable(str(entry)),
        "error": error,
        "message": message,
        "attempts": outcome.attempts,
    }
    if isinstance(entry, LineId):
        line["line"] = entry.line
    return msgspec.json.encode(line) + b"\n"


def _message(error: LeadError) -> str:
    message = str(error.args[0])
    if isinstance(error, DecodeError) and error.reason == "oversized":
        # A run that only resumes skips the id.
        return f"{message}, and add --retry-errors"
    return message


def is_temporary(outcome: object) -> bool:
    """Whether this failure says nothing about the lead, so that a later run has to try again."""
    if not isinstance(outcome, Failed) or isinstance(outcome, ListedFailure):
        return False
    error = outcome.error
    if isinstance(error, DecodeError):
        return error.reason in {"foreign", "truncated"}
    return isinstance(error, TransientError)
