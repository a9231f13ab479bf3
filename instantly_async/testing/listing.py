"""*List leads*: body in, page out, with the quirks that users report.

Source: https://developer.instantly.ai (API v2, POST /api/v2/leads/list). Documented filters
other than ``ids`` are not modelled. They are rejected, so that no test passes because a filter
was dropped. Keys that are not documented are ignored, as the API does.
"""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import islice
from typing import Annotated, Any

import msgspec

from .answers import Answer, error
from .behaviour import Behaviour, contains
from .call import UUID_PATTERN, Call
from .leads import LeadRenderer, lead_id_at

NOT_MODELLED = frozenset(
    {
        "campaign",
        "contacts",
        "distinct_contacts",
        "enrichment_status",
        "esg_code",
        "excluded_ids",
        "filter",
        "in_campaign",
        "in_list",
        "is_website_visitor",
        "list_id",
        "organization_user_ids",
        "queries",
        "search",
        "smart_view_id",
    }
)
"""Documented filters that this fake does not model."""


class Query(msgspec.Struct, frozen=True):
    """The body of a list request. The default of ``limit`` is unknown; 10 is a small one."""

    ids: list[Annotated[str, msgspec.Meta(pattern=UUID_PATTERN)]] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    starting_after: str | None = None


def parse_query(call: Call) -> Query | Answer:
    """Return the query, or the error that rejects it."""
    if call.body is None:
        return error(413, "Request body is too large")
    if not call.content_type.startswith("application/json"):
        # As Fastify does; the vendor does not document it.
        return error(415, f"Unsupported Media Type: {call.content_type}")
    try:
        decoded = msgspec.json.decode(call.body)
        query = msgspec.convert(decoded, Query)
    except msgspec.MsgspecError as reason:
        return error(400, f"body: {reason}")
    if unknown := sorted(NOT_MODELLED & decoded.keys()):
        return error(400, f"instantly_async.testing does not model: {', '.join(unknown)}")
    return query


def list_leads(query: Query, behaviour: Behaviour, renderer: LeadRenderer) -> Answer:
    """Return one page."""
    limit = behaviour.max_list_ids
    if query.ids and limit is not None and len(query.ids) > limit:
        return error(400, f"body/ids must NOT have more than {limit} items")
    found = list(islice(_matching(query, behaviour), query.limit + 1))
    page, more = found[: query.limit], len(found) > query.limit
    cursor = page[-1] if page and (more or behaviour.list_last_cursor) else None
    if behaviour.list_injects is not None:
        page = sorted({*page, behaviour.list_injects})
    return Answer(body=_encode_page([renderer.render(lead_id) for lead_id in page], cursor))


def _matching(query: Query, behaviour: Behaviour) -> Iterable[str]:
    """Return the ids of the requested leads, ascending, after the cursor."""
    # Whether an empty ``ids`` means no lead or all leads is unknown; all is the worse case.
    ignored = behaviour.list_ignores_filter or not query.ids
    ids = _workspace(query, behaviour) if ignored else _requested(query)
    return (
        lead_id
        for lead_id in ids
        if behaviour.has_lead(lead_id) and not contains(behaviour.list_omits, lead_id)
    )


def _workspace(query: Query, behaviour: Behaviour) -> Iterable[str]:
    seed = behaviour.workspace_seed
    indexes = range(behaviour.workspace_size)
    after = (query.starting_after or "").lower()
    first = bisect_right(indexes, after, key=lambda index: lead_id_at(index, seed))
    return (lead_id_at(index, seed) for index in indexes[first:])


def _requested(query: Query) -> Iterable[str]:
    after = (query.starting_after or "").lower()
    return sorted(lead_id for lead_id in {i.lower() for i in query.ids or ()} if lead_id > after)


def _encode_page(items: list[bytes], cursor: str | None) -> bytes:
    page: dict[str, Any] = {"items": [msgspec.Raw(item) for item in items]}
    if cursor is not None:
        page["next_starting_after"] = cursor
    return msgspec.json.encode(page)
