"""The two endpoints: what a request for one lead or for a page looks like, and its answer.

Makes exchanges and reads bodies; sends nothing and repeats nothing. ``requester.py`` says
what an endpoint is.
"""

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from .decoding import LeadDecoder, LeadItem, PageDecoder
from .errors import DecodeError
from .exchange import Exchange, Pacer, Response
from .protocol import LEADS_PATH, LIST_PATH, list_body
from .settings import MAX_LEAD_BYTES, MAX_PAGE_BYTES, RetryPolicy, Timeouts

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

    ``found`` by id; ``garbled`` are the ids of items that do not decode, ``has_nameless`` says
    that such an item has not even an id, ``has_stranger`` that a lead was not asked for.
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
        items = dict(self._decoder.decode(response.body, keep_raw=self._keep_raw))
        has_nameless = None in items
        items.pop(None, None)
        has_stranger = not items.keys() <= set(query)
        if has_stranger:
            exchange.drop_connection()  # as if it were another request's answer
        return Page(
            found={lead_id: item for lead_id, item in items.items() if lead_id and item},
            garbled={lead_id for lead_id, item in items.items() if lead_id and not item},
            has_nameless=has_nameless,
            has_stranger=has_stranger,
        )

    def describe(self, query: Sequence[str]) -> str:
        """Say what is asked for."""
        return f"Page of {len(query)} leads"


class Endpoints(Generic[L]):
    """Both, for one type of lead.

    Raises:
        ConfigurationError: the API's leads would not fit the type.
    """

    def __init__(self, lead_type: type[L], timeouts: Timeouts, retry: RetryPolicy) -> None:
        decoder = LeadDecoder(lead_type)
        pages = PageDecoder(decoder)
        self.get = GetEndpoint(decoder, timeouts, retry)
        self._lists = {
            keep_raw: ListEndpoint(pages, timeouts, retry, keep_raw=keep_raw)
            for keep_raw in (False, True)
        }

    def list(self, *, keep_raw: bool) -> ListEndpoint[L]:
        """Give the one for pages; ``keep_raw``: with the JSON of each item."""
        return self._lists[keep_raw]
