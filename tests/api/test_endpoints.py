"""The endpoints: how a request looks, and how its answer is read. Nothing is sent."""

import json
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stepping import at_once

from instantly_async._api import Endpoints, LeadItem, Page, is_misdelivered
from instantly_async.errors import ConfigurationError, DecodeError
from instantly_async.models import Lead
from instantly_async.settings import DEFAULT_MAX_LEAD_BYTES, RetryPolicy, Timeouts
from instantly_async.testing import lead_ids, lead_json

IDS = list(lead_ids(100))
LEADS = {lead_id: lead_json(lead_id) for lead_id in IDS}
TIMEOUTS = Timeouts(read_s=1.0, total_s=2.0, list_read_s=3.0, list_total_s=4.0)
RETRY = RetryPolicy(max_elapsed_s=5.0, list_max_elapsed_s=6.0)
ENDPOINTS = Endpoints(Lead, TIMEOUTS, RETRY)


def read_page(query: list[str], items: Iterable[bytes], *, keep_raw: bool = False) -> Page[Lead]:
    body = b'{"items":[' + b",".join(items) + b'],"next_starting_after":"x"}'
    page = at_once(ENDPOINTS.list(keep_raw=keep_raw).read(query, body))
    assert is_misdelivered(page) == page.has_stranger
    return page


def lead_of(lead_id: str) -> Lead:
    return msgspec.json.decode(LEADS[lead_id], type=Lead)


# --- one lead ---


def test_the_request_for_a_lead() -> None:
    endpoint = ENDPOINTS.get
    assert (endpoint.method, endpoint.path(IDS[0])) == ("GET", f"/api/v2/leads/{IDS[0]}")
    assert endpoint.body(IDS[0]) is None
    assert (endpoint.read_s, endpoint.total_s, endpoint.max_elapsed_s) == (1.0, 2.0, 5.0)
    assert endpoint.max_bytes == DEFAULT_MAX_LEAD_BYTES
    assert endpoint.describe(IDS[0]) == f"Lead {IDS[0]}"


def test_a_lead() -> None:
    item = ENDPOINTS.get.read(IDS[0], LEADS[IDS[0]])
    assert item == LeadItem(lead_of(IDS[0]), (), LEADS[IDS[0]])
    assert not is_misdelivered(item)


@pytest.mark.parametrize(
    ("body", "misdelivered"), [(LEADS[IDS[1]], True), (b"{}", False), (b"[]", False), (b"{", False)]
)
def test_only_another_lead_is_misdelivered(body: bytes, misdelivered: bool) -> None:
    """It may be the answer to another request, and so may be the next one."""
    with pytest.raises(DecodeError) as caught:
        at_once(ENDPOINTS.get.read(IDS[0], body))
    assert is_misdelivered(caught.value) == misdelivered


# --- a page of leads ---


@pytest.mark.parametrize("keep_raw", [False, True])
@pytest.mark.parametrize("count", [1, 100])
def test_the_request_for_a_page(keep_raw: bool, count: int) -> None:
    """The ids and the limit, and nothing else: the API ignores what it does not know."""
    endpoint = ENDPOINTS.list(keep_raw=keep_raw)
    assert (endpoint.method, endpoint.path(IDS[:count])) == ("POST", "/api/v2/leads/list")
    body = endpoint.body(IDS[:count])
    assert body is not None
    assert json.loads(body) == {"ids": IDS[:count], "limit": 100}
    assert (endpoint.read_s, endpoint.total_s, endpoint.max_elapsed_s) == (3.0, 4.0, 6.0)
    assert endpoint.max_bytes == 16 * DEFAULT_MAX_LEAD_BYTES
    assert endpoint.describe(IDS[:count]) == f"Page of {count} leads"


@pytest.mark.parametrize("keep_raw", [False, True])
def test_leads_are_found_by_id(keep_raw: bool) -> None:
    """In any order, in any letter case, and some may be missing."""
    items = [LEADS[i].replace(i.encode(), i.upper().encode()) for i in reversed(IDS[:5])]
    page = read_page(IDS[:9], items, keep_raw=keep_raw)
    assert page.found.keys() == set(IDS[:5])
    for lead_id, item in page.found.items():
        assert item.lead.id == lead_id.upper()
        assert item.raw == (items[4 - IDS.index(lead_id)] if keep_raw else None)
    assert not page.garbled
    assert not any([page.has_nameless, page.has_stranger])


def test_an_empty_page() -> None:
    assert read_page(IDS[:2], []) == Page(found={}, garbled=set())


GARBLED = {lead_id: b'{"id":"%s","email":"\xff"}' % lead_id.encode() for lead_id in IDS}


@pytest.mark.parametrize("nameless", [b"{}", b"null", b"[]", b'{"id":null}', b'{"id":""}'])
def test_items_that_do_not_decode(nameless: bytes) -> None:
    """With an id they are garbled; without one they could be any lead."""
    page = read_page(IDS[:4], [GARBLED[IDS[0]], LEADS[IDS[1]]])
    assert (set(page.found), page.garbled) == ({IDS[1]}, {IDS[0]})
    assert not page.has_nameless
    page = read_page(IDS[:4], [nameless, LEADS[IDS[1]], nameless])
    assert (set(page.found), page.garbled) == ({IDS[1]}, set())
    assert page.has_nameless
    assert not page.has_stranger


@pytest.mark.parametrize(
    "stranger",
    [LEADS[IDS[9]], GARBLED[IDS[9]], LEADS[IDS[9]].replace(b'"id":"0', b'"id":" 0')],
    ids=["a lead", "garbled", "no id of ours"],
)
def test_a_stranger_is_told(stranger: bytes) -> None:
    """At any position, and whether or not it decodes."""
    for items in ([stranger], [LEADS[IDS[0]], stranger], [stranger, LEADS[IDS[0]]]):
        page = read_page(IDS[:2], items)
        assert page.has_stranger
        assert not page.has_nameless


def test_a_lead_that_stands_twice_is_one() -> None:
    """If only one of the two decodes, either answer is safe: garbled ones are requested again."""
    lead, bad = LEADS[IDS[0]], GARBLED[IDS[0]]
    page = read_page(IDS[:2], [lead, lead])
    assert (set(page.found), page.garbled, page.has_stranger) == ({IDS[0]}, set(), False)
    for items in ([lead, bad], [bad, lead]):
        page = read_page(IDS[:2], items)
        assert page.found.keys() | page.garbled == {IDS[0]}
        assert not page.found.keys() & page.garbled


@pytest.mark.parametrize("body", [b"", b"null", b'{"items":null}', b'{"items":[]', b"<html>"])
def test_what_is_no_page_is_a_decode_error(body: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        at_once(ENDPOINTS.list(keep_raw=False).read(IDS[:2], body))
    assert not is_misdelivered(caught.value)


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
    page = read_page(query, items)
    ids = {IDS[entry[0]] for entry in listed if entry}
    last_kind = {IDS[entry[0]]: entry[1] for entry in listed if entry}
    strangers = ids - set(query)
    assert page.found.keys() == {i for i in ids - strangers if last_kind[i] is LEADS}
    assert page.garbled == ids - strangers - page.found.keys()
    assert page.has_stranger == bool(strangers)
    assert page.has_nameless == (None in listed)
    assert all(item.lead == lead_of(lead_id) for lead_id, item in page.found.items())


class Tagged(msgspec.Struct, tag=True):
    id: str


def test_a_type_that_no_lead_fits_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="lead_type"):
        Endpoints(Tagged, TIMEOUTS, RETRY)
