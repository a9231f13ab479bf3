"""The endpoints: what a request for a lead, a page or a check looks like, and how it is read."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

import msgspec

from instantly_async.errors import DecodeError
from instantly_async.settings import (
    DEFAULT_MAX_LEAD_BYTES,
    RetryPolicy,
    Timeouts,
    check_max_lead_bytes,
    check_type,
)

from .decoding import LeadDecoder, LeadItem
from .endpoint import LEAD_ROUTE, LEADS_PATH, LIST_PATH, MAX_LIMIT, Endpoint
from .ids import wire_id
from .listing import ListedPage, listing_endpoint
from .pages import PageDecoder, PageItems
from .steps import Steps

L = TypeVar("L")

MAX_IDS_PER_PAGE = MAX_LIMIT
"""Ids per list request. *Reported:* 100 ``ids`` are accepted. *Unknown:* how many are allowed."""

CHECK_BODY = msgspec.json.encode({"limit": 1})
"""Requests any one lead from *List leads*: the cheapest request that needs a scope for leads."""


class Page(msgspec.Struct, Generic[L], gc=False):
    """The leads of a list request, compared with the ids that were requested.

    ``found`` by id. ``garbled``: ids whose items do not decode. ``has_nameless``: an item has no
    usable id. ``has_stranger``: a lead was not requested.
    """

    found: dict[str, LeadItem[L]]
    garbled: set[str]
    has_nameless: bool = False
    has_stranger: bool = False


class Endpoints(Generic[L]):
    """All endpoints, for one type of lead.

    ``get``: a query is an id, as it goes over the wire. ``check``: the answer says whether there
    is any lead. ``listing`` and ``contacts``: a query is a ``ListQuery``, the latter by emails.
    ``max_lead_bytes`` is the cap on the JSON of one lead.

    Raises:
        ConfigurationError: leads of the API do not fit the type, the cap is out of range, or a
            setting has another type.
    """

    def __init__(
        self,
        lead_type: type[L],
        timeouts: Timeouts,
        retry: RetryPolicy,
        max_lead_bytes: int = DEFAULT_MAX_LEAD_BYTES,
    ) -> None:
        check_type("timeouts", timeouts, Timeouts)
        check_type("retry", retry, RetryPolicy)
        check_max_lead_bytes(max_lead_bytes)
        decoder = LeadDecoder(lead_type)
        pages = PageDecoder(decoder, max_lead_bytes)
        self.get = _get_endpoint(decoder, timeouts, retry, max_lead_bytes)
        self.check = _check_endpoint(pages, timeouts, retry)
        self.listing, self.contacts = (
            listing_endpoint(pages, timeouts, retry, takes_many=many) for many in (False, True)
        )
        self._lists = {
            keep_raw: _list_endpoint(pages, timeouts, retry, keep_raw=keep_raw)
            for keep_raw in (False, True)
        }

    def list(self, *, keep_raw: bool) -> Endpoint[Sequence[str], Page[L]]:
        """Return the endpoint for pages. A query is a sequence of ids, as they go over the wire.

        ``keep_raw``: with the JSON of each item.
        """
        return self._lists[keep_raw]


def _get_endpoint(
    decoder: LeadDecoder[L], timeouts: Timeouts, retry: RetryPolicy, max_lead_bytes: int
) -> Endpoint[str, LeadItem[L]]:
    def read(lead_id: str, body: bytes) -> LeadItem[L] | Steps[LeadItem[L]]:
        decoded = decoder.decode(body, lead_id)
        if isinstance(decoded, Steps):
            return decoded.then(lambda done: LeadItem(*done, body))
        lead, problems = decoded
        return LeadItem(lead, problems, body)

    return Endpoint(
        method="GET",
        route=LEAD_ROUTE,
        path=lambda lead_id: LEADS_PATH + lead_id,
        body=lambda _: None,
        read=read,
        describe=lambda lead_id: f"Lead {lead_id}",
        max_bytes=max_lead_bytes,
        read_s=timeouts.read_s,
        total_s=timeouts.total_s,
        max_elapsed_s=retry.max_elapsed_s,
    )


def _list_endpoint(
    decoder: PageDecoder[L], timeouts: Timeouts, retry: RetryPolicy, *, keep_raw: bool
) -> Endpoint[Sequence[str], Page[L]]:
    # With ``ids`` given, one page is the whole answer, so a cursor on it is ignored.
    def read(wire_ids: Sequence[str], body: bytes) -> Page[L] | Steps[Page[L]]:
        items = decoder.decode(body, keep_raw=keep_raw)
        if isinstance(items, Steps):
            return items.then(lambda items: _compare(items, wire_ids))
        return _compare(items, wire_ids)

    return Endpoint(
        method="POST",
        route=LIST_PATH,
        path=lambda _: LIST_PATH,
        body=lambda wire_ids: msgspec.json.encode({"ids": wire_ids, "limit": MAX_LIMIT}),
        read=read,
        describe=lambda wire_ids: f"Page of {len(wire_ids)} leads",
        max_bytes=decoder.max_bytes,
        read_s=timeouts.list_read_s,
        total_s=timeouts.list_total_s,
        max_elapsed_s=retry.list_max_elapsed_s,
        takes_many=True,
    )


def _check_endpoint(
    decoder: PageDecoder[Any], timeouts: Timeouts, retry: RetryPolicy
) -> Endpoint[None, bool]:
    # A check waits no longer than for an outage.
    max_elapsed_s = min(retry.max_elapsed_s, retry.breaker_patience_s)

    def read(_: None, body: bytes) -> bool | Steps[bool]:
        items = decoder.decode(body)
        return items.then(bool) if isinstance(items, Steps) else bool(items)

    return Endpoint(
        method="POST",
        route=LIST_PATH,
        path=lambda _: LIST_PATH,
        body=lambda _: CHECK_BODY,
        read=read,
        describe=lambda _: "Check of the key",
        max_bytes=decoder.max_bytes,
        read_s=timeouts.list_read_s,
        total_s=min(timeouts.list_total_s, max_elapsed_s),
        max_elapsed_s=max_elapsed_s,
    )


def _compare(items: PageItems[L], wire_ids: Sequence[str]) -> Page[L]:
    others = items.keys() - set(wire_ids)
    # An id that is not even a UUID may be a requested one with a bad byte in it.
    strangers = {other for other in others if wire_id(other)}
    for other in others:
        del items[other]
    has_nameless, has_stranger = items.is_cut or strangers != others, bool(strangers)
    requested = cast("dict[str, LeadItem[L] | None]", items)  # ``None`` is no requested id
    garbled = {lead_id for lead_id, item in requested.items() if item is None}
    for lead_id in garbled:
        del requested[lead_id]
    found = cast("dict[str, LeadItem[L]]", requested)
    return Page(found, garbled, has_nameless=has_nameless, has_stranger=has_stranger)


def is_misdelivered(result: object) -> bool:
    """Whether an answer holds a lead that was not requested: it may belong to another request."""
    if isinstance(result, DecodeError):
        return result.reason == "other lead"
    return isinstance(result, Page | ListedPage) and result.has_stranger
