"""List pages: decoded at once or item by item; one odd item costs at most itself."""

import json
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stepping import at_once

from instantly_async._api import LeadDecoder, LeadItem, Steps
from instantly_async._api.pages import PageDecoder
from instantly_async._api.scanning import PageScan
from instantly_async.errors import DecodeError
from instantly_async.models import Lead
from instantly_async.settings import DEFAULT_MAX_LEAD_BYTES
from instantly_async.testing import lead_ids, lead_json

IDS = list(lead_ids(100))
LEADS = [lead_json(lead_id) for lead_id in IDS]
EXPECTED = [msgspec.json.decode(lead, type=Lead) for lead in LEADS]
DECODER = PageDecoder(LeadDecoder(Lead), DEFAULT_MAX_LEAD_BYTES)
FAST = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def page_of(*items: bytes, rest: bytes = b',"next_starting_after":"x"') -> bytes:
    return b'{"items":[' + b",".join(items) + b"]" + rest + b"}"


def decode(body: bytes) -> list[tuple[str | None, LeadItem[Lead] | None]]:
    """Decode with and without raw JSON; nothing else may differ.

    Except for bytes that are not UTF-8 in a field that is not kept: raw JSON must not have them.
    """
    items = at_once(DECODER.decode(body)).items()
    with_raw = list(at_once(DECODER.decode(body, keep_raw=True)).items())
    assert b'"unknown": "\xff"' in body or [
        (i, item and (item.lead, item.problems)) for i, item in items
    ] == [(i, item and (item.lead, item.problems)) for i, item in with_raw]
    assert all(type(item.raw) is bytes for _, item in with_raw if item)
    return with_raw


def refused(body: bytes) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        at_once(DECODER.decode(body))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


def with_field(lead: bytes, name: str, value: bytes) -> bytes:
    """Return the lead with one value, or one more field, as written."""
    fields = {key: json.dumps(kept).encode() for key, kept in json.loads(lead).items()}
    fields[name] = value
    return b"{" + b", ".join(b'"%s": %s' % (k.encode(), v) for k, v in fields.items()) + b"}"


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_an_ordinary_page(count: int) -> None:
    """In its order, with a copy of each item's own bytes."""
    items = decode(page_of(*LEADS[:count]))
    assert items == [(IDS[i], LeadItem(EXPECTED[i], (), LEADS[i])) for i in range(count)]


def test_raw_is_made_only_when_somebody_wants_it() -> None:
    items = DECODER.decode(page_of(*LEADS[:9]))
    assert isinstance(items, dict)  # at once, not in steps
    assert {item and item.raw for item in items.values()} == {None}


def test_raw_is_what_was_written() -> None:
    """White space, escapes and the order of keys included; what surrounds the item is not."""
    odd = rb'{ "status" : 2.0,"id":"%s"  , "first_name":"\u0041da" }' % IDS[0].encode()
    fine = rb'{ "status" : 2,"id":"%s"  , "first_name":"\u0041da" }' % IDS[1].encode()
    also = fine.replace(IDS[1].encode(), IDS[2].encode())
    for items in ([fine, also], [odd, fine]):
        body = b' \r\n{\t"items" : [ ' + b" ,\n ".join(items) + b' ] , "n" : null } \n'
        assert [item and item.raw for _, item in decode(body)] == items


# --- odd items ---

DEEP = b'{"a":' * 20_000 + b"1" + b"}" * 20_000


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize(
    ("name", "written", "kept", "is_named"),
    [
        ("first_name", rb'"\ud83d"', "\ufffd", True),
        ("unknown", rb'"\ud83d"', None, False),
        ("email_open_count", b'"3"', 3, True),
        ("email_open_count", b"3.0", 3, True),
        ("email_open_count", b"NaN", None, True),
        ("email_open_count", b"-Infinity", None, True),
        ("email_open_count", b"7" * 5000, None, True),
        ("email_open_count", b"7" * 30, int("7" * 30), False),
        ("email_open_count", b"1e400", None, True),
        ("email_open_count", b"[]", None, True),
        ("unknown", b"NaN", None, False),
        ("status_summary", b"[1]", None, True),
        ("payload", b'"{}"', None, True),
        ("payload", rb'{"a":[NaN,"\udc4b"]}', {"a": [None, "\ufffd"]}, True),
        ("timestamp_created", b'"yesterday"', None, True),
    ],
    ids=range(15),
)
def test_an_odd_field_costs_itself(
    at: int, name: str, written: bytes, kept: Any, is_named: bool
) -> None:
    """Its lead is salvaged and the field is named; the others are as if nothing were odd."""
    items = LEADS[:3]
    items[at] = with_field(items[at], name, written)
    expected = list(zip(IDS, map(LeadItem, EXPECTED, [()] * 3, items), strict=False))
    lead = EXPECTED[at]
    if hasattr(lead, name):
        lead = msgspec.structs.replace(lead, **{name: kept})
    expected[at] = (IDS[at], LeadItem(lead, (name,) if is_named else (), items[at]))
    assert decode(page_of(*items)) == expected


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize(
    ("item", "found_id"),
    [
        *[(item, None) for item in (b"null", b"[]", b'"x"', b"5", b"NaN", b"{}")],
        *[(b'{"id":%s}' % written, None) for written in (b"null", b"5", b"[]")],
        (b'{"email":"a@example.com"}', None),
        (with_field(LEADS[9], "first_name", b'"\xff"'), IDS[9]),
        (with_field(LEADS[9], "unknown", b'"\xff"'), IDS[9]),
        (with_field(LEADS[9], "id", b'"\xff"'), "\ufffd"),
        (with_field(LEADS[9], "first_name", b'"a\nb"'), None),
        (with_field(LEADS[9], "first_name", b'"\xed\xa0\xbd"'), IDS[9]),
    ],
    ids=range(15),
)
def test_an_item_that_is_lost_loses_no_other(at: int, item: bytes, found_id: str | None) -> None:
    items = [*LEADS[:2]]
    items.insert(at, item)
    decoded = decode(page_of(*items))
    assert decoded.pop(at) == (found_id, None)
    assert decoded == [(IDS[i], LeadItem(EXPECTED[i], (), LEADS[i])) for i in range(2)]


def test_ids_are_in_lower_case_and_the_lead_keeps_its_own() -> None:
    """Whichever way it is decoded."""
    upper = [lead.replace(i.encode(), i.upper().encode()) for i, lead in zip(IDS, LEADS[:2])]  # noqa: B905 - the first two
    for items in (upper, [upper[0], with_field(upper[1], "status", b'"2"')]):
        decoded = decode(page_of(*items))
        assert [found_id for found_id, _ in decoded] == IDS[:2]
        assert [item and item.lead.id for _, item in decoded] == [i.upper() for i in IDS[:2]]


def test_of_two_equal_keys_the_last_one_counts() -> None:
    item = with_field(LEADS[0], "status", b'"2"')
    for first in (LEADS[1], item):
        body = b'{"items":[%s],"items":[%s]}' % (first, item)
        assert [found_id for found_id, _ in decode(body)] == [IDS[0]]
    assert refused(b'{"items":[%s],"items":null}' % LEADS[0]).reason == "malformed"
    ((found_id, _),) = decode(page_of(b'{"id":"%s",' % IDS[1].encode() + item[1:]))
    assert found_id == IDS[0]


# --- odd pages ---


@pytest.mark.parametrize("cursor", [b"null", b"5", b"{}", b"NaN", rb'"\ud83d"', b'"\xff"', DEEP])
def test_what_surrounds_the_items_does_not_matter(cursor: bytes) -> None:
    body = page_of(*LEADS[:2], rest=b',"next_starting_after":' + cursor)
    if cursor is DEEP:  # nothing can skip it
        assert refused(body).reason == "malformed"
    else:
        assert [(i, item and item.raw) for i, item in decode(body)] == [
            *zip(IDS[:2], LEADS, strict=False)
        ]


def test_an_escaped_key_and_a_byte_order_mark() -> None:
    for odd in (LEADS[0], with_field(LEADS[0], "status", b'"2"')):
        escaped = page_of(odd, LEADS[1]).replace(b"items", rb"\u0069tems")
        for body in (escaped, b"\xef\xbb\xbf" + escaped):
            assert [found_id for found_id, _ in decode(body)] == IDS[:2]


@pytest.mark.parametrize(
    "body",
    [
        *[b"null", b"[]", b'""', b"5", b"{}"],
        b"<!doctype html><p>hello</p>",
        b'{"items":null}',
        b'{"items":{}}',
        b'{"items":"[]"}',
        b'{"Items":[]}',
        b'[{"items":[]}]',
        b'{"data":{"items":[]}}',
        b'{"statusCode":500,"error":"Internal Server Error","message":"items"}',
        page_of(*LEADS[:2]) + b"}",
        page_of(*LEADS[:2]) * 2,
        page_of(*LEADS[:2]).replace(b"},{", b"}{"),
        page_of(LEADS[0], b"'x'"),
        page_of(LEADS[0], b"[}"),
        page_of(with_field(LEADS[0], "payload", DEEP)),
        page_of(*LEADS[:2]).decode().encode("utf-16"),
        b"[" * 100_000,
        b'{"items":' * 50_000,
        b'{"items":[' * 50_000,
    ],
    ids=range(23),
)
def test_what_is_no_page_is_malformed(body: bytes) -> None:
    """Or it is not from this API at all."""
    error = refused(body)
    is_page = body.startswith(b'{"items":')
    assert (error.reason, error.raw) == ("malformed" if is_page else "foreign", body[:65536])
    assert str(error).endswith("not a page of leads")


def test_a_page_that_is_cut_anywhere_is_truncated() -> None:
    """Never a page with fewer leads, whether or not there is an odd one among them."""
    cut_emoji = rb'{"id":"%s","first_name":"\ud83d"}' % IDS[1].encode()
    bad_byte = b'{"id":"%s","first_name":"\xff\xc3\xa9"}' % IDS[1].encode()
    first = b'{"id":"%s","status":-1.5e1}' % IDS[0].encode()
    for odd in (cut_emoji, bad_byte, b"[true, null]"):
        body = page_of(first, odd, b"5")
        for cut in range(len(body)):
            reason = "truncated" if cut >= len('{"items":') else "foreign"
            assert refused(body[:cut]).reason == reason, body[:cut]


def test_a_large_page_is_decoded_in_steps() -> None:
    """Even if nothing in it is odd, because that takes long; the result is the same."""
    leads = [with_field(lead, "payload", b'{"a":"%s"}' % (b"x" * 5_000)) for lead in LEADS]
    work = DECODER.decode(page_of(*leads))
    assert isinstance(work, Steps)
    fitting = DECODER.decode(page_of(*leads[:5]))
    assert isinstance(fitting, dict)
    page = at_once(DECODER.decode(page_of(*leads)))
    assert list(page) == IDS
    for lead_id, item in fitting.items():
        large = page[lead_id]
        assert item is not None
        assert large is not None
        assert (large.lead, large.problems) == (item.lead, item.problems)


# --- the caller's own types ---


class NoId(msgspec.Struct):
    status: int | None = None


class OptionalId(msgspec.Struct):
    id: str | None = None
    status: int | None = None


class DefaultId(msgspec.Struct):
    id: str = ""
    status: int | None = None


class UnsetId(msgspec.Struct):
    id: str | msgspec.UnsetType = msgspec.UNSET
    status: int | None = None


class Renamed(msgspec.Struct, rename="camel"):
    lead_key: uuid.UUID = msgspec.field(name="id")
    status: int | None = None


class Strict(msgspec.Struct):
    id: str
    status: int

    def __post_init__(self) -> None:
        if self.status > 90:
            raise ValueError("too much")


@pytest.mark.parametrize("lead_type", [NoId, OptionalId, DefaultId, UnsetId, Renamed, Strict])
@pytest.mark.parametrize("keep_raw", [False, True])
@pytest.mark.parametrize("odd", [None, b'"2"', rb'"\ud83d"', b"91", b'"\xff"', b"true"])
def test_types_of_the_caller_s(lead_type: type[Any], keep_raw: bool, odd: bytes | None) -> None:
    """Every item has its id, whatever the type makes of it; one without has none."""
    items = [b'{"id":"%s","status":%d}' % (IDS[i].upper().encode(), i) for i in range(3)]
    nameless = [b'{"status":3}', b'{"status":4,"id":null}', b'{"status":5,"id":""}']
    if odd:
        items[1] = with_field(items[1], "status", odd)
    decoder = PageDecoder(LeadDecoder(lead_type), DEFAULT_MAX_LEAD_BYTES)
    page = at_once(decoder.decode(page_of(*items, *nameless), keep_raw=keep_raw))
    decoded = list(page.items())
    assert [found_id for found_id, _ in decoded] == [*IDS[:3], None]
    for at in (0, 2):
        item = decoded[at][1]
        assert item is not None
        assert item.lead.status == at
    is_lost = odd == b'"\xff"' or (lead_type is Strict and odd in {rb'"\ud83d"', b"91", b"true"})
    assert (decoded[1][1] is None) == is_lost


# --- laws ---

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=9,
)


@FAST
@given(
    st.lists(JSON, max_size=6),
    st.dictionaries(st.text(), JSON, max_size=3),
    st.sampled_from([None, 0, "\t", " \r\n "]),
    st.booleans(),
)
def test_items_are_split_where_they_begin_and_end(
    items: list[Any], rest: dict[str, Any], indent: Any, ascii_only: bool
) -> None:
    """Whatever the items are and whatever surrounds them; no byte of theirs is changed."""
    text = json.dumps({**rest, "items": items}, indent=indent, ensure_ascii=ascii_only)
    body = text.encode("utf-8", "surrogatepass")
    scan = PageScan(body)
    parts = [part for part in scan if part]
    assert scan.failure is None
    loaded = [json.loads(part.decode("utf-8", "surrogatepass")) for part in parts]
    assert repr(loaded) == repr(items)  # NaN is not equal to itself
    assert all(part in body for part in parts)


KNOWN = st.sampled_from([b'{"items":[', b'{"id":"', b'"status":', b'"', b"{", b"}", b"[", b"]"])
TOKENS = st.lists(KNOWN | st.sampled_from([b",", b":", b"\xff", rb"\ud8"]) | st.binary(max_size=3))


@FAST
@given(st.binary() | TOKENS.map(b"".join) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_page_or_a_decode_error(body: bytes) -> None:
    for wrapped in (body, page_of(body), page_of(LEADS[0], with_field(LEADS[1], "payload", body))):
        try:
            decode(wrapped)
        except DecodeError as error:
            assert error.raw == wrapped  # noqa: PT017 - either end is right


@FAST
@given(items=st.lists(st.none() | st.tuples(st.sampled_from(list(Lead.__struct_fields__)), JSON)))
def test_odd_fields_lose_no_lead(items: list[tuple[str, Any] | None]) -> None:
    """Any field but the id may hold anything: each item gives the same lead as it does alone."""
    bodies = [
        with_field(lead, odd[0], json.dumps(odd[1]).encode()) if odd and odd[0] != "id" else lead
        for lead, odd in zip(LEADS, items, strict=False)
    ]
    alone = LeadDecoder(Lead)
    for (found_id, item), body, wire in zip(decode(page_of(*bodies)), bodies, IDS, strict=False):
        assert item is not None
        assert (found_id, item.raw) == (wire, body)
        assert (item.lead, item.problems) == at_once(alone.decode(body, wire))
