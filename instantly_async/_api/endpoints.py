"""The endpoints: what a request for one lead, a page or a check looks like, and its answer.

Makes exchanges and reads bodies; sends nothing and repeats nothing. ``requester.py`` says
what an endpoint is.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from instantly_async._http.exchange import Exchange, Pacer, Response
from instantly_async.errors import DecodeError
from instantly_async.outcomes import KeyCheck
from instantly_async.settings import MAX_LEAD_BYTES, MAX_PAGE_BYTES, RetryPolicy, Timeouts

from .answers import CHECK_BODY, LEADS_PATH, LIST_PATH, list_body, wire_id
from .decoding import LeadDecoder, LeadItem, PageDecoder

L = TypeVar("L")


class GetEndpoint(Generic[L]):
    """``GET /api/v2/leads/{id}``. A query is an id in lower case."""

    divisible = False

    def __init__(self, decoder: LeadDecoder[L], timeouts: Timeouts, retry: RetryPolicy) -> None:
        self._decoder = decoder
        self._read_s = timeouts.read_s
        self.total_s = timeouts.total_s
        self.max_elapsed_s = retry.max_elapsed_s

    def exchange(
        self, query: str, headers: Mapping[str, str], pacer: Pacer | None, total_s: float
    ) -> Exchange:
        """Make the request."""
        return Exchange(
            "GET",
            LEADS_PATH + query,
            pacer=pacer,
            read_s=self._read_s,
            total_s=total_s,
            max_bytes=MAX_LEAD_BYTES,
            headers=headers,
        )

    def read(self, query: str, response: Response, exchange: Exchange) -> LeadItem[L]:
        """Read the lead.

        Raises:
            DecodeError: it is none, or another one.
        """
        try:
            lead, problems = self._decoder.decode(response.body, query)
        except DecodeError as error:
            if error.reason == "other lead":
                exchange.drop_connection()
            raise
        return LeadItem(lead, problems, response.body)

    def describe(self, query: str) -> str:
        """Say what is asked for."""
        return f"Lead {query}"


class Page(msgspec.Struct, Generic[L], gc=False):
    """What a list request has brought.

    ``found`` by id; ``garbled`` are the ids of items that do not decode. ``has_nameless`` says
    that an item has no usable id, ``has_stranger`` that a lead was not asked for.
    """

    found: dict[str, LeadItem[L]]
    garbled: set[str]
    has_nameless: bool = False
    has_stranger: bool = False


class ListEndpoint(Generic[L]):
    """``POST /api/v2/leads/list``. A query is a sequence of ids in lower case.

    With ``ids`` given one page is the whole answer, so a cursor on it means nothing.
    """

    divisible = True

    def __init__(
        self, decoder: PageDecoder[L], timeouts: Timeouts, retry: RetryPolicy, *, keep_raw: bool
    ) -> None:
        self._decoder = decoder
        self._keep_raw = keep_raw
        self._read_s = timeouts.list_read_s
        self.total_s = timeouts.list_total_s
        self.max_elapsed_s = retry.list_max_elapsed_s

    def exchange(
        self, query: Sequence[str], headers: Mapping[str, str], pacer: Pacer | None, total_s: float
    ) -> Exchange:
        """Make the request."""
        return Exchange(
            "POST",
            LIST_PATH,
            pacer=pacer,
            read_s=self._read_s,
            total_s=total_s,
            max_bytes=MAX_PAGE_BYTES,
            headers=headers,
            body=list_body(query),
        )

    def read(self, query: Sequence[str], response: Response, exchange: Exchange) -> Page[L]:
        """Read the page and compare it with what was asked for.

        Raises:
            DecodeError: it is none.
        """
        items = self._decoder.decode(response.body, keep_raw=self._keep_raw)
        others = items.keys() - set(query)
        has_stranger = any(wire_id(other) for other in others)
        has_nameless = bool(others)  # not even an id, or one that a bad byte has spoilt
        for other in others:
            del items[other]
        if has_stranger:
            exchange.drop_connection()  # as if it were another request's answer
        garbled = {lead_id for lead_id, item in items.items() if item is None}
        for lead_id in garbled:
            del items[lead_id]
        return Page(items, garbled, has_nameless, has_stranger)  # type: ignore[arg-type]  # no None is left

    def describe(self, query: Sequence[str]) -> str:
        """Say what is asked for."""
        return f"Page of {len(query)} leads"


class CheckEndpoint:
    """``POST /api/v2/leads/list`` for any one lead. Nobody waits longer than for an outage."""

    divisible = False

    def __init__(self, decoder: PageDecoder[Any], timeouts: Timeouts, retry: RetryPolicy) -> None:
        self._decoder = decoder
        self._read_s = timeouts.list_read_s
        self.max_elapsed_s = min(retry.max_elapsed_s, retry.breaker_patience_s)
        self.total_s = min(timeouts.list_total_s, self.max_elapsed_s)

    def exchange(
        self, _: None, headers: Mapping[str, str], pacer: Pacer | None, total_s: float
    ) -> Exchange:
        """Make the request."""
        return Exchange(
            "POST",
            LIST_PATH,
            pacer=pacer,
            read_s=self._read_s,
            total_s=total_s,
            max_bytes=MAX_PAGE_BYTES,
            headers=headers,
            body=CHECK_BODY,
        )

    def read(self, _: None, response: Response, exchange: Exchange) -> KeyCheck:
        """See whether there is a lead.

        Raises:
            DecodeError: it is no page.
        """
        has_leads = bool(self._decoder.decode(response.body))
        assert exchange.sent_at is not None
        round_trip_s = asyncio.get_running_loop().time() - exchange.sent_at
        return KeyCheck(has_leads=has_leads, round_trip_s=round_trip_s)

    def describe(self, _: None) -> str:
        """Say what is asked for."""
        return "Check of the key"


class Endpoints(Generic[L]):
    """All of them, for one type of lead.

    Raises:
        ConfigurationError: the API's leads would not fit the type.
    """

    def __init__(self, lead_type: type[L], timeouts: Timeouts, retry: RetryPolicy) -> None:
        decoder = LeadDecoder(lead_type)
        pages = PageDecoder(decoder)
        self.get = GetEndpoint(decoder, timeouts, retry)
        self.check = CheckEndpoint(pages, timeouts, retry)
        self._lists = {
            keep_raw: ListEndpoint(pages, timeouts, retry, keep_raw=keep_raw)
            for keep_raw in (False, True)
        }

    def list(self, *, keep_raw: bool) -> ListEndpoint[L]:
        """Give the one for pages; ``keep_raw``: with the JSON of each item."""
        return self._lists[keep_raw]
