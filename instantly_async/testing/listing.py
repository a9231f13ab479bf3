"""*List leads*: a query in, a page out, with the quirks that users report.

Source: https://developer.instantly.ai (API v2, POST /api/v2/leads/list).
"""

from itertools import islice
from typing import Any

import msgspec

from .answers import Answer, error
from .behaviour import Behaviour
from .leads import LeadRenderer
from .matching import Matching
from .query import FILTERS, Query

MAX_LIMIT = 100
"""Largest ``limit`` (documented)."""


def list_leads(query: Query, behaviour: Behaviour, renderer: LeadRenderer) -> Answer:
    """Return one page."""
    if query.limit > MAX_LIMIT:
        if behaviour.list_limit_is_silent:
            return Answer(body=_encode_page([], None))
        return error(400, f"body/limit must be <= {MAX_LIMIT}")
    for name, most in (("ids", behaviour.max_list_ids), ("contacts", behaviour.max_contacts)):
        if most is not None and len(getattr(query, name) or ()) > most:
            return error(400, f"body/{name} must NOT have more than {most} items")
    page, more = _find_page(query, behaviour)
    cursor = page[-1] if page and (more or behaviour.list_last_cursor) else None
    if behaviour.list_injects is not None:
        page = sorted({*page, behaviour.list_injects})
    own, without = behaviour.fields, behaviour.list_omits_fields
    items = [renderer.render(lead_id, own.get(lead_id), without) for lead_id in page]
    return Answer(body=_encode_page(items, cursor))


def _find_page(query: Query, behaviour: Behaviour) -> tuple[list[str], bool]:
    """Return the ids of a page, and whether more follow."""
    if behaviour.list_ignores_filter:
        query = msgspec.structs.replace(query, **dict.fromkeys(FILTERS))
    matching, cursor = Matching(query, behaviour), (query.starting_after or "").lower()
    shift = behaviour.list_shift if cursor else 0
    skipped = max(-shift, 0)
    found = list(islice(matching.after(cursor), skipped, skipped + query.limit + 1))
    if found and shift > 0:
        found = [*reversed([*islice(matching.back_from(cursor), shift)]), *found]
    return found[: query.limit], len(found) > query.limit


def _encode_page(items: list[bytes], cursor: str | None) -> bytes:
    page: dict[str, Any] = {"items": [msgspec.Raw(item) for item in items]}
    if cursor is not None:
        page["next_starting_after"] = cursor
    return msgspec.json.encode(page)
