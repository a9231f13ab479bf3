"""*List leads* page by page: a filter and a cursor in, leads that were compared with it out."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from instantly_async.settings import RetryPolicy, Timeouts

from .decoding import LeadItem
from .endpoint import LIST_PATH, MAX_LIMIT, Endpoint
from .filters import LeadFilter
from .ids import wire_id
from .pages import PageDecoder, PageItems
from .steps import Steps

L = TypeVar("L")


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A page of a listing: of the leads that pass ``filter``, the first ``limit`` behind a cursor.

    ``after`` is the id of the last lead of the page before (documented); ``None``: from the first.
    """

    filter: LeadFilter
    after: str | None = None
    limit: int = MAX_LIMIT

    def body(self) -> dict[str, Any]:
        """Return the body. *Reported:* with a ``limit`` over 100, a page is empty, no error."""
        cursor = {} if self.after is None else {"starting_after": self.after}
        return {**self.filter.body, "limit": self.limit, **cursor}


class ListedPage(msgspec.Struct, Generic[L], gc=False):
    """The items of a page by id, in its order, with their JSON; ``None``: one does not decode.

    ``nameless`` counts the items without an id, and ``length`` all. ``unproven``: ids of items that
    do not decode, or do not show whether they were asked for. ``has_stranger``: a lead was not
    asked for. ``cursor``: the page is empty, but names a lead behind which there may be more.
    """

    items: dict[str, LeadItem[L] | None]
    nameless: int
    unproven: list[str]
    has_stranger: bool = False
    cursor: str | None = None

    @property
    def length(self) -> int:
        return len(self.items) + self.nameless


def listing_endpoint(
    decoder: PageDecoder[L], timeouts: Timeouts, retry: RetryPolicy, *, takes_many: bool
) -> Endpoint[ListQuery, ListedPage[L]]:
    """Return the endpoint for listings; ``takes_many``: by many emails."""

    def read(query: ListQuery, body: bytes) -> ListedPage[L] | Steps[ListedPage[L]]:
        items = decoder.decode(body, keep_raw=True)
        if isinstance(items, Steps):
            return items.then(lambda items: _compare(items, query.filter))
        page = _compare(items, query.filter)
        if not items:
            page.cursor = _cursor_in(body)
        return page

    return Endpoint(
        method="POST",
        route=LIST_PATH,
        path=lambda _: LIST_PATH,
        body=lambda query: msgspec.json.encode(query.body()),
        read=read,
        describe=lambda query: f"Page of leads by {query.filter.name or 'no filter'}",
        max_bytes=decoder.max_bytes,
        read_s=timeouts.list_read_s,
        total_s=timeouts.list_total_s,
        max_elapsed_s=retry.list_max_elapsed_s,
        takes_many=takes_many,
    )


def _compare(items: PageItems[L], wanted: LeadFilter) -> ListedPage[L]:
    page: ListedPage[L] = ListedPage({}, items.nameless, [])
    for lead_id, item in items.items():
        passes = wanted.passes(item.raw) if item else None
        if passes is False:
            page.has_stranger = True
        # Text that is not a UUID could address another endpoint, so it counts as no id.
        wire = wire_id(lead_id)
        if wire is None:
            page.nameless += lead_id is not None
            continue
        page.items[wire] = item
        if passes is None or item is None:
            page.unproven.append(wire)
    return page


class _CursorOnly(msgspec.Struct, gc=False):
    next_starting_after: Any = None


def _cursor_in(body: bytes) -> str | None:
    try:
        return wire_id(msgspec.json.decode(body, type=_CursorOnly).next_starting_after)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
