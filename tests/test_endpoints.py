"""The two endpoints: what is asked, and what an answer is taken for. Nothing is sent."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instantly_async._api.decoding import LeadItem
from instantly_async._api.endpoints import Endpoints, GetEndpoint, ListEndpoint, Page
from instantly_async._http.exchange import Exchange, Response
from instantly_async.errors import ConfigurationError, DecodeError
from instantly_async.models import Lead
from instantly_async.settings import MAX_LEAD_BYTES, MAX_PAGE_BYTES, RetryPolicy, Timeouts
from instantly_async.testing import lead_ids, lead_json

IDS = list(lead_ids(100))
LEADS = {lead_id: lead_json(lead_id) for lead_id in IDS}
TIMEOUTS = Timeouts(read_s=1.0, total_s=2.0, list_read_s=3.0, list_total_s=4.0)
RETRY = RetryPolicy(max_elapsed_s=5.0, list_max_elapsed_s=6.0)
ENDPOINTS = Endpoints(Lead, TIMEOUTS, RETRY)
HEADERS = {"Authorization": "Bearer a-key"}


class Connection:
    """The part of aiohttp's connection handler that an exchange may close."""

    closed = False

    def close(self) -> None:
        self.closed = True


def sent(endpoint: GetEndpoint[Lead] | ListEndpoint[Lead], query: Any) -> tuple[Exchange, Any]:
    """Give an exchange that is under way, and its connection."""
    exchange, connection = endpoint.exchange(query, HEADERS, None, 1.5), Connection()
    exchange.sending(0.0, connection)
    return exchange, connection


def read_page(
    query: list[str], items: Iterable[bytes], *, keep_raw: bool = False
) -> tuple[Page[Lead], bool]:
    """Give the page, and whether the connection was closed."""
    endpoint = ENDPOINTS.list(keep_raw=keep_raw)
    exchange, connection = sent(endpoint, query)
    body = b'{"items":[' + b",".join(items) + b'],"next_starting_after":"x"}'
    page = endpoint.read(query, Response(200, {}, body), exchange)
    return page, connection.closed


def lead_of(lead_id: str) -> Lead:
    return msgspec.json.decode(LEADS[lead_id], type=Lead)


# --- one lead ---


def test_the_request_for_a_lead() -> None:
    exchange = ENDPOINTS.get.exchange(IDS[0], HEADERS, None, 1.5)
    assert (exchange.method, exchange.path) == ("GET", f"/api/v2/leads/{IDS[0]}")
    assert (exchange.headers, exchange.body) == (HEADERS, None)
    assert (exchange.read_s, exchange.total_s, exchange.max_bytes) == (1.0, 1.5, MAX_LEAD_BYTES)
    assert (ENDPOINTS.get.total_s, ENDPOINTS.get.max_elapsed_s) == (2.0, 5.0)
    assert not ENDPOINTS.get.divisible
    assert ENDPOINTS.get.describe(IDS[0]) == f"Lead {IDS[0]}"


def test_a_lead() -> None:
    exchange, connection = sent(ENDPOINTS.get, IDS[0])
    item = ENDPOINTS.get.read(IDS[0], Response(200, {}, LEADS[IDS[0]]), exchange)
    assert item == LeadItem(lead_of(IDS[0]), (), LEADS[IDS[0]])
    assert not connection.closed


@pytest.mark.parametrize(
    ("body", "closes"), [(LEADS[IDS[1]], True), (b"{}", True), (b"[]", False), (b"{", False)]
)
def test_only_another_lead_closes_the_connection(body: bytes, closes: bool) -> None:
    """It may be the answer to another request, and so would be the next one."""
    exchange, connection = sent(ENDPOINTS.get, IDS[0])
    with pytest.raises(DecodeError):
        ENDPOINTS.get.read(IDS[0], Response(200, {}, body), exchange)
    assert connection.closed == closes


# --- a page of leads ---


@pytest.mark.parametrize("keep_raw", [False, True])
@pytest.mark.parametrize("count", [1, 100])
def test_the_request_for_a_page(keep_raw: bool, count: int) -> None:
    """The ids and the limit, and nothing else: the API ignores what it does not know."""
    endpoint = ENDPOINTS.list(keep_raw=keep_raw)
    exchange = endpoint.exchange(IDS[:count], HEADERS, None, 1.5)
    assert (exchange.method, exchange.path) == ("POST", "/api/v2/leads/list")
    assert exchange.body is not None
    assert json.loads(exchange.body) == {"ids": IDS[:count], "limit": 100}
    assert exchange.headers == HEADERS
    assert (exchange.read_s, exchange.total_s, exchange.max_bytes) == (3.0, 1.5, MAX_PAGE_BYTES)
    assert (endpoint.total_s, endpoint.max_elapsed_s) == (4.0, 6.0)
    assert endpoint.divisible
    assert endpoint.describe(IDS[:count]) == f"Page of {count} leads"


@pytest.mark.parametrize("keep_raw", [False, True])
def test_leads_are_found_by_id(keep_raw: bool) -> None:
    """In any order, in any letter case, and some may be missing."""
    items = [LEADS[i].replace(i.encode(), i.upper().encode()) for i in reversed(IDS[:5])]
    page, closed = read_page(IDS[:9], items, keep_raw=keep_raw)
    assert page.found.keys() == set(IDS[:5])
    for lead_id, item in page.found.items():
        assert item.lead.id == lead_id.upper()
        assert item.raw == (items[4 - IDS.index(lead_id)] if keep_raw else None)
    assert not page.garbled
    assert not any([page.has_nameless, page.has_stranger, closed])


def test_an_empty_page() -> None:
    assert read_page(IDS[:2], []) == (Page(found={}, garbled=set()), False)


GARBLED = {lead_id: b'{"id":"%s","email":"\xff"}' % lead_id.encode() for lead_id in IDS}


@pytest.mark.parametrize("nameless", [b"{}", b"null", b"[]", b'{"id":null}', b'{"id":""}'])
def test_items_that_do_not_decode(nameless: bytes) -> None:
    """With an id they are garbled, without one they could be anybody's."""
    page, closed = read_page(IDS[:4], [GARBLED[IDS[0]], LEADS[IDS[1]]])
    assert (set(page.found), page.garbled, closed) == ({IDS[1]}, {IDS[0]}, False)
    assert not page.has_nameless
    page, closed = read_page(IDS[:4], [nameless, LEADS[IDS[1]], nameless])
    assert (set(page.found), page.garbled, closed) == ({IDS[1]}, set(), False)
    assert page.has_nameless
    assert not page.has_stranger


@pytest.mark.parametrize(
    "stranger",
    [LEADS[IDS[9]], GARBLED[IDS[9]], LEADS[IDS[9]].replace(b'"id":"0', b'"id":" 0')],
    ids=["a lead", "garbled", "no id of ours"],
)
def test_a_stranger_is_told_and_closes_the_connection(stranger: bytes) -> None:
    """Wherever it stands, and whether or not it decodes."""
    for items in ([stranger], [LEADS[IDS[0]], stranger], [stranger, LEADS[IDS[0]]]):
        page, closed = read_page(IDS[:2], items)
        assert page.has_stranger
        assert closed


def test_a_lead_that_stands_twice_is_one() -> None:
    """If only one of the two decodes, either answer is safe: garbled ones are asked for again."""
    lead, bad = LEADS[IDS[0]], GARBLED[IDS[0]]
    page, _ = read_page(IDS[:2], [lead, lead])
    assert (set(page.found), page.garbled, page.has_stranger) == ({IDS[0]}, set(), False)
    for items in ([lead, bad], [bad, lead]):
        page, _ = read_page(IDS[:2], items)
        assert page.found.keys() | page.garbled == {IDS[0]}
        assert not page.found.keys() & page.garbled


@pytest.mark.parametrize("body", [b"", b"null", b'{"items":null}', b'{"items":[]', b"<html>"])
def test_what_is_no_page_is_a_decode_error(body: bytes) -> None:
    endpoint = ENDPOINTS.list(keep_raw=False)
    exchange, connection = sent(endpoint, IDS[:2])
    with pytest.raises(DecodeError):
        endpoint.read(IDS[:2], Response(200, {}, body), exchange)
    assert not connection.closed


@given(
    asked=st.sets(st.integers(0, 9), min_size=1),
    listed=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([LEADS, GARBLED])) | st.none(), max_size=9
    ),
)
@settings(deadline=None)
def test_every_item_is_found_garbled_nameless_or_a_stranger(
    asked: set[int], listed: list[tuple[int, dict[str, bytes]] | None]
) -> None:
    query = [IDS[i] for i in sorted(asked)]
    items = [entry[1][IDS[entry[0]]] if entry else b"{}" for entry in listed]
    page, closed = read_page(query, items)
    ids = {IDS[entry[0]] for entry in listed if entry}
    last_kind = {IDS[entry[0]]: entry[1] for entry in listed if entry}
    strangers = ids - set(query)
    assert page.found.keys() == {i for i in ids - strangers if last_kind[i] is LEADS}
    assert page.garbled == ids - strangers - page.found.keys()
    assert page.has_stranger == closed == bool(strangers)
    assert strangers or page.has_nameless == (None in listed)
    assert all(item.lead == lead_of(lead_id) for lead_id, item in page.found.items())


class Tagged(msgspec.Struct, tag=True):
    id: str


def test_a_type_that_no_lead_fits_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="lead_type"):
        Endpoints(Tagged, TIMEOUTS, RETRY)
