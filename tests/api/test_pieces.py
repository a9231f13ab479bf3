"""JSON that is read in pieces gives the same values, leads and pages as at once."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import SAMPLES
from stepping import at_once

from instantly_async._api import LeadDecoder, Steps, decoding
from instantly_async._api.pages import PageDecoder
from instantly_async._api.pieces import PIECE, PieceReader
from instantly_async._api.salvage import Cleaner
from instantly_async.errors import DecodeError
from instantly_async.models import Lead
from instantly_async.testing import lead_ids, lead_json

IDS = list(lead_ids(30))
FAST = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(), max_size=30)  # half pairs included
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=14), inner),
    max_leaves=30,
)


def read(text: str, piece: int) -> Any:
    cleaner = Cleaner()
    value, end = Steps(PieceReader(text, cleaner.decoder, cleaner, piece).value(0)).at_once()
    assert end == len(text)
    return value, cleaner.has_changed


@FAST
@given(JSON, st.sampled_from([None, 0, "\t", " \r\n "]), st.sampled_from([12, 21, 50]))
def test_a_value(value: Any, indent: Any, piece: int) -> None:
    text = json.dumps(value, indent=indent)
    assert read(text, piece) == read(text, PIECE)


def test_a_value_that_ends_before_a_comma_of_its_parent() -> None:
    """The comma at which a piece is cut may belong to an outer array."""
    value = {"a": [[1, 2], [3]], "b": [{"c": [{}, {"d": 5}]}, {}], "e": "x" * 99, "a2": [[]] * 50}
    for piece in range(12, 200):
        assert read(json.dumps([value] * 3), piece) == ([value] * 3, False)


def test_too_deep_a_lead_is_malformed() -> None:
    """Of arrays that are longer than a piece each. At once, Python's own limit would be met."""
    deep = b"[" * 150 + b"1," * PIECE + b"1" + b"]" * 150
    body = b'{"id":"%s","first_name":5,"payload":{"a":%s}}' % (IDS[0].encode(), deep)
    with pytest.raises(DecodeError) as caught:
        at_once(LeadDecoder(Lead).decode(body, IDS[0]))
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize(
    "sample", sorted((SAMPLES).glob("*/body.json")), ids=lambda path: path.parent.name
)
def test_a_lead(sample: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Field by field, as larger leads are decoded."""
    body = sample.read_bytes()
    lead_id = json.loads(body).get("id", "")
    whole = decode(body, lead_id)
    monkeypatch.setattr(decoding, "MAX_BYTES_AT_ONCE", 0)
    assert decode(body, lead_id) == whole


def decode(body: bytes, lead_id: str) -> Any:
    try:
        return at_once(LeadDecoder(Lead).decode(body, lead_id))
    except DecodeError as error:
        return error.reason, error.args


def test_a_payload_that_is_longer_than_a_piece_is_the_same() -> None:
    payload: dict[str, Any] = {
        f"key {i}": {"n": [i, 0.5, None, "é"], "t": "x, y" * (i % 50)} for i in range(999)
    }
    fields = {"id": IDS[0], "first_name": "Bo", "status": "2", "payload": payload}
    for first_name, problems in [("Bo", ("status",)), ("\ud83d", ("status", "first_name"))]:
        body = json.dumps(fields | {"first_name": first_name}).encode()
        lead, named = at_once(LeadDecoder(Lead).decode(body, IDS[0]))
        assert (lead.payload, named) == (payload, problems)
    payload["cut"] = ["\ud83d", "\ud83d" * PIECE]
    lead, named = at_once(LeadDecoder(Lead).decode(json.dumps(fields).encode(), IDS[0]))
    assert lead.payload == payload | {"cut": ["\ufffd", "\ufffd" * PIECE]}
    assert named == ("status", "payload")


# --- pages ---

CAP = 8192  # so pages are cut after 4 kB


def page(*items: bytes, glue: bytes = b",") -> bytes:
    return b'{"items":[' + glue.join(items) + b'],"next":"x"}'


def ids_of(body: bytes, *, keep_raw: bool = False) -> list[str | None]:
    work = PageDecoder(LeadDecoder(Lead), CAP).decode(body, keep_raw=keep_raw)
    assert isinstance(work, Steps)
    items = work.at_once()
    assert all(item is None or item.lead.id == lead_id for lead_id, item in items.items())
    return list(items)


@pytest.mark.parametrize("glue", [b",", b", ", b"\r\n , \n"])
@pytest.mark.parametrize("keep_raw", [False, True])
def test_a_page_that_is_cut(glue: bytes, keep_raw: bool) -> None:
    leads = [lead_json(lead_id) for lead_id in IDS]
    assert ids_of(page(*leads, glue=glue), keep_raw=keep_raw) == IDS
    leads[7] = leads[7].replace(b'"first_name":"', rb'"first_name":"\ud83d')
    assert ids_of(page(*leads, glue=glue), keep_raw=keep_raw) == IDS


def test_a_page_that_is_cut_within_an_item() -> None:
    """Something in it looks like the beginning of an item, so the whole page is scanned."""
    inner = [{"id": str(number)} for number in range(99)]
    leads = [json.dumps({"id": i, "payload": {"all": inner}}).encode() for i in IDS]
    assert ids_of(page(*leads)) == IDS


@pytest.mark.parametrize("item", [b"5", b"[]", b'"x"'])
def test_a_page_with_far_too_many_items_is_not_read_on(item: bytes) -> None:
    """It is no answer to the request. The item without an id says that leads may be missing."""
    body = page(lead_json(IDS[0]), *[item] * 5000, lead_json(IDS[1]))
    assert ids_of(body) == [IDS[0], None]


def test_many_strangers() -> None:
    many = (b'{"id":"%d"}' % number for number in range(5000))
    assert 1000 < len(ids_of(page(*many))) < 3000


def test_a_type_of_the_caller_s_reads_the_server_s_bytes() -> None:
    class Own(msgspec.Struct):
        id: str
        payload: msgspec.Raw
        status: int

    raw = b'{"a": [%s]}' % b",".join([b"1.50"] * 20_000)
    body = b'{"id":"%s","status":"2","payload":%s}' % (IDS[0].encode(), raw)
    lead, problems = at_once(LeadDecoder(Own).decode(body, IDS[0]))
    assert (bytes(lead.payload), lead.status, problems) == (raw, 2, ("status",))
