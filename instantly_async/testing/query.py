"""The body of a list request: which filters it has, and which bodies are rejected.

Source: https://developer.instantly.ai (API v2, POST /api/v2/leads/list). Documented filters
that are not modelled are rejected, so that no test passes because a filter was dropped. Keys
that are not documented are ignored, as the API does.
"""

from typing import Annotated

import msgspec

from .answers import Answer, error
from .call import UUID_PATTERN, Call, is_uuid

FILTERS = ("campaign", "contacts", "ids", "list_id")
"""Documented filters that this fake models."""

NOT_MODELLED = frozenset(
    {
        "distinct_contacts",
        "enrichment_status",
        "esg_code",
        "excluded_ids",
        "filter",
        "in_campaign",
        "in_list",
        "is_website_visitor",
        "organization_user_ids",
        "queries",
        "search",
        "smart_view_id",
    }
)
"""Documented filters that it does not model."""

Uuid = Annotated[str, msgspec.Meta(pattern=UUID_PATTERN)]


class Query(msgspec.Struct, frozen=True):
    """The body of a list request. The default of ``limit`` is unknown; 10 is reported."""

    ids: list[Uuid] | None = None
    campaign: Uuid | None = None
    list_id: Uuid | None = None
    contacts: list[str] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1)] = 10
    starting_after: str | None = None

    @property
    def filters(self) -> tuple[str, ...]:
        """The names of its filters."""
        return tuple(name for name in FILTERS if getattr(self, name) is not None)

    @property
    def cursor(self) -> str | None:
        """What may be recorded of ``starting_after``, which could hold any text."""
        given = self.starting_after
        return given if given is None or is_uuid(given) else "<not an id>"


def _number(text: str) -> float:
    # 10.0 is an integer, in JSON Schema and in JavaScript.
    number = float(text)
    return int(number) if number.is_integer() else number


_decoder = msgspec.json.Decoder(float_hook=_number)


def parse_query(call: Call) -> Query | Answer:
    """Return the query, or the error that rejects it."""
    if call.body is None:
        return error(413, "Request body is too large")
    if not call.content_type.startswith("application/json"):
        # As Fastify does; the vendor does not document it.
        return error(415, f"Unsupported Media Type: {call.content_type}")
    try:
        decoded = _decoder.decode(call.body)
        query = msgspec.convert(decoded, Query)
    except msgspec.MsgspecError as reason:
        return error(400, f"body: {reason}")
    if unknown := sorted(NOT_MODELLED & decoded.keys()):
        return error(400, f"instantly_async.testing does not model: {', '.join(unknown)}")
    return query
