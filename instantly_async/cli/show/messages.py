"""Lines about single ids, and the plan of a dry run."""

import re
from math import ceil

from instantly_async._api import MAX_IDS_PER_PAGE
from instantly_async.cli.input import Survey
from instantly_async.cli.records import LineId
from instantly_async.cli.terminal import visible
from instantly_async.outcomes import Failed, NotFound
from instantly_async.settings import RateLimit

from .amounts import amount, duration
from .naming import is_invalid

_LOOKS_LIKE_AN_ID = re.compile(r"(?=.*[0-9])(?=.*[a-fA-F])[0-9a-fA-F{}-]{1,64}")
"""With digits and letters, because *Ada* is hexadecimal, too, and a number may be a phone's."""


def trouble(outcome: NotFound | Failed) -> str:
    """Return the line that names an id without a lead, and why."""
    lead_id = outcome.lead_id
    if isinstance(outcome, NotFound):
        return f"not found: {lead_id}"
    if is_invalid(outcome):
        assert isinstance(lead_id, LineId)
        return invalid(lead_id)
    reason = outcome.error.args[0]
    return f"failed: {lead_id}: {reason} (attempts: {outcome.attempts})"


def invalid(lead_id: LineId) -> str:
    """Return the line that reports an invalid id.

    Its text is shown only if it looks like a part of an id: it could be an email or a key.
    """
    shown = f"{lead_id} " if _LOOKS_LIKE_AN_ID.fullmatch(lead_id) else ""
    return f"invalid: {shown}in {lead_id.unit} {lead_id.line} (a lead id is a UUID)"


def plan(found: Survey, limit: RateLimit) -> str:
    """Return how the input was read and what a run would do, one fact per line."""
    read = found.to_fetch + found.later + found.invalid + found.duplicates + found.done
    pages = ceil(found.to_fetch / MAX_IDS_PER_PAGE)
    facts = {name: visible(fact) for name, fact in found.understood.facts().items()} | {
        "ids read": amount(read),
        "invalid": amount(found.invalid),
        "duplicates": amount(found.duplicates),
        "already done": amount(found.done),
        "to fetch": amount(found.to_fetch),
    }
    if found.later:
        facts["later"] = f"{amount(found.later)}, because of --limit"
    facts |= {
        "with get": f"{_requests(found.to_fetch, limit)} at {limit.rate:.0f} requests/s",
        "with list": f"{_requests(pages, limit)}, and one for each lead not found",
    }
    return "\n".join(f"{name:<13} {value}" for name, value in facts.items())


def _requests(count: int, limit: RateLimit) -> str:
    return f"{amount(count, 'request')}, {duration(ceil(count / limit.rate))}"
