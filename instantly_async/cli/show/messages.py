"""Lines about single ids, and the plan of a dry run."""

import re
from collections.abc import Callable
from math import ceil

from instantly_async._api import MAX_IDS_PER_PAGE
from instantly_async._fetch import MAX_EMAILS
from instantly_async.cli.amounts import amount, duration
from instantly_async.cli.input import Survey
from instantly_async.cli.records import LineId, Noun
from instantly_async.cli.terminal import visible
from instantly_async.outcomes import Failed, NotFound
from instantly_async.settings import RateLimit

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
    place = f"in {lead_id.unit} {lead_id.line}"
    if lead_id.noun == "email":
        return f"invalid: {place} (not an email)"
    shown = f"{lead_id} " if _LOOKS_LIKE_AN_ID.fullmatch(lead_id) else ""
    return f"invalid: {shown}{place} (a lead id is a UUID)"


def plan(found: Survey, limit: RateLimit) -> str:
    """Return how the input was read and what a run would do, one fact per line."""
    read = found.to_fetch + found.later + found.invalid + found.duplicates + found.done
    noun = found.understood.noun
    facts = {name: visible(fact) for name, fact in found.understood.facts().items()} | {
        f"{noun}s read": amount(read),
        "invalid": amount(found.invalid),
        "duplicates": amount(found.duplicates),
        "already done": amount(found.done),
        "to fetch": amount(found.to_fetch),
    }
    if found.later:
        facts["later"] = f"{amount(found.later)}, because of --limit"
    facts |= _COSTS[noun](found.to_fetch, limit)
    return "\n".join(f"{name:<13} {value}" for name, value in facts.items())


def _cost_of_ids(count: int, limit: RateLimit) -> dict[str, str]:
    pages = ceil(count / MAX_IDS_PER_PAGE)
    return {
        "with get": f"{_requests(count, limit)} at {limit.rate:.0f} requests/s",
        "with list": f"{_requests(pages, limit)}, and one for each lead not found",
    }


def _cost_of_emails(count: int, limit: RateLimit) -> dict[str, str]:
    """Each search takes a page and an empty one; two requests prove the filter."""
    requests = 2 * ceil(count / MAX_EMAILS) + 2 * bool(count)
    return {"requests": f"{_requests(requests, limit)} at {limit.rate:.0f} requests/s"}


_COSTS: dict[Noun, Callable[[int, RateLimit], dict[str, str]]] = {
    "id": _cost_of_ids,
    "email": _cost_of_emails,
}


def _requests(count: int, limit: RateLimit) -> str:
    return f"{amount(count, 'request')}, {duration(ceil(count / limit.rate))}"
