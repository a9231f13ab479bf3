"""Bytes to leads: what is salvaged, what ``problems`` names, and what is lost."""

import json
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Annotated, Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from places import SAMPLES
from stepping import at_once

from instantly_async import _api
from instantly_async.enums import LeadStatus, UploadMethod
from instantly_async.errors import ConfigurationError, DecodeError
from instantly_async.models import Lead, StatusSummary

L = TypeVar("L")


class LeadDecoder(_api.LeadDecoder[L]):
    """Does all steps at once."""

    def decode(self, body: bytes, wire_id: str) -> tuple[L, tuple[str, ...]]:
        return at_once(super().decode(body, wire_id))


LEAD_ID = "019e18e2-6487-73d2-a3b2-643e2207f444"
FULL = (SAMPLES / "get-lead" / "body.json").read_bytes()
FIELDS: dict[str, Any] = json.loads(FULL)
DECODER = LeadDecoder(Lead)
EXPECTED, _ = DECODER.decode(FULL, LEAD_ID)


def body_with(**changes: Any) -> bytes:
    return json.dumps({**FIELDS, **changes}).encode()


def decode_with(**changes: Any) -> tuple[Lead, tuple[str, ...]]:
    return DECODER.decode(body_with(**changes), LEAD_ID)


def refused(decoder: LeadDecoder[Any], body: bytes) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decoder.decode(body, LEAD_ID)
    return caught.value


@pytest.mark.parametrize("case", ["get-lead", "required-only", "unlisted-values"])
def test_a_lead_without_oddities_has_no_problems(case: str) -> None:
    lead, problems = DECODER.decode((SAMPLES / case / "body.json").read_bytes(), LEAD_ID)
    assert (lead.id, problems) == (LEAD_ID, ())


# --- salvage ---

AT = datetime(2026, 5, 11, 21, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "sent", "kept"),
    [
        ("email_open_count", 3.0, 3),
        ("email_open_count", -0.0, 0),
        ("email_open_count", "3", 3),
        ("email_open_count", "20240101", 20240101),  # reads as a date, too
        ("email_open_count", 1e300, 10**300),
        ("email_open_count", 2.5, None),
        ("email_open_count", "three", None),
        ("email_open_count", "", None),
        ("email_open_count", True, None),
        ("email_open_count", [3], None),
        ("email_open_count", {"n": 3}, None),
        ("status", "-1", LeadStatus.BOUNCED),
        ("status", 2.0, LeadStatus.PAUSED),
        ("status", "active", None),
        ("lt_interest_status", "4711", 4711),
        ("upload_method", 5, UploadMethod("5")),
        ("upload_method", {"a": 1}, None),
        ("is_website_visitor", "true", True),
        ("is_website_visitor", "maybe", None),
        ("first_name", 5, "5"),
        ("first_name", ["Ada"], None),
        ("payload", [], None),
        ("payload", "{}", None),
        ("payload", 1, None),
        ("timestamp_created", "2026-05-11T21:12:30", AT),
        ("timestamp_created", "2026-05-11 21:12:30", AT),
        ("timestamp_created", "2026-05-11", None),
        ("timestamp_created", "yesterday", None),
        ("timestamp_created", "", None),
        ("timestamp_created", "1778533950", None),
        ("timestamp_created", 1778533950, None),  # seconds or milliseconds? unknown
        ("timestamp_created", 1778533950123.0, None),
        ("status_summary", "done", None),
        ("status_summary", [1], None),
    ],
)
def test_an_odd_field_is_converted_or_left_out_and_named(field: str, sent: Any, kept: Any) -> None:
    lead, problems = decode_with(**{field: sent})
    assert problems == (field,)
    assert getattr(lead, field) == kept
    assert type(getattr(lead, field)) is not float


def test_an_offset_is_no_oddity() -> None:
    lead, problems = decode_with(timestamp_created="2026-05-11T23:12:30.5+02:00")
    there = timezone(timedelta(hours=2))
    assert lead.timestamp_created == datetime(2026, 5, 11, 23, 12, 30, 500_000, there)
    assert problems == ()


def test_a_wrongly_typed_nested_field_leaves_its_neighbours() -> None:
    """The path leads into the nested object."""
    summary = {
        "lastStep": {"from": 7, "stepID": "s", "timestamp_executed": "2026-05-11T21:12:30"},
        "domain_complete": "perhaps",
    }
    lead, problems = decode_with(status_summary=summary)
    assert problems == (
        "status_summary.lastStep.from",
        "status_summary.lastStep.timestamp_executed",
        "status_summary.domain_complete",
    )
    assert lead.status_summary is not None
    assert lead.status_summary.last_step is not None
    assert lead.status_summary.last_step.step_id == "s"
    assert lead.status_summary.last_step.timestamp_executed == AT
    assert lead.status_summary.last_step.from_ == "7"
    assert lead.status_summary.domain_complete is None


def test_a_nested_object_of_another_type_is_left_out() -> None:
    lead, problems = decode_with(status_summary={"lastStep": "first", "domain_complete": True})
    assert problems == ("status_summary.lastStep",)
    assert lead.status_summary == StatusSummary(domain_complete=True)


def test_several_odd_fields_are_named_in_the_model_s_order() -> None:
    lead, problems = decode_with(esg_code="4", status="2", phone=1)
    assert problems == ("status", "phone", "esg_code")
    assert (lead.status, lead.esg_code, lead.phone) == (2, 4, "1")


def test_half_an_emoji_is_replaced_and_named() -> None:
    """JavaScript writes a lone surrogate escape for a cut emoji; msgspec refuses the whole body."""
    body = (SAMPLES / "cut-emoji" / "body.json").read_bytes()
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body, type=Lead)
    lead, problems = DECODER.decode(body, LEAD_ID)
    assert lead.first_name == "Bo \ufffd"
    assert lead.email_open_count == 2
    assert lead.payload == {"wave \ufffd": "hi \ufffd!", "ok": "\U0001f44b"}
    assert problems == ("first_name", "payload")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"\ud83d", "\ufffd"),
        (r"\udc4b", "\ufffd"),
        (r"\udc4b\ud83d", "\ufffd\ufffd"),
        (r"a\ud83db", "a\ufffdb"),
        (r"\ud83d\ud83d\udc4b", "\ufffd\U0001f44b"),
        (r"\ud83d\\udc4b", "\ufffd\\udc4b"),
    ],
)
def test_surrogates_are_replaced_one_by_one(written: str, read: str) -> None:
    """In values, in keys at any depth, and in fields the model does not know."""
    body = (
        f'{{"id":"{LEAD_ID}","first_name":"{written}","new {written}":"{written}",'
        f'"payload":{{"k{written}":[{{"{written}":"{written}"}}]}}}}'
    ).encode()
    lead, problems = DECODER.decode(body, LEAD_ID)
    assert lead.first_name == read
    assert lead.payload == {f"k{read}": [{read: read}]}
    assert problems == ("first_name", "payload")
    json.dumps(msgspec.to_builtins(lead), ensure_ascii=False).encode()


def test_an_emoji_cut_in_an_unknown_field_is_no_problem_of_the_lead() -> None:
    body = rf'{{"id":"{LEAD_ID}","first_name":"Bo","salutation":"\ud83d"}}'.encode()
    assert DECODER.decode(body, LEAD_ID) == (Lead(id=LEAD_ID, first_name="Bo"), ())


def test_a_field_with_two_oddities_is_named_once() -> None:
    """Half an emoji where a number belongs."""
    lead, problems = decode_with(email_open_count="\ud83d", status="2")
    assert problems == ("status", "email_open_count")
    assert (lead.email_open_count, lead.status) == (None, LeadStatus.PAUSED)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
def test_a_number_that_is_none_becomes_null(number: str) -> None:
    """Some JSON writers emit ``NaN``, which is not valid JSON."""
    body = (
        f'{{"id":"{LEAD_ID}","email_open_count":{number},"first_name":"Bo",'
        f'"payload":{{"score":{number},"n":[1,{number}]}}}}'
    ).encode()
    lead, problems = DECODER.decode(body, LEAD_ID)
    assert (lead.email_open_count, lead.first_name) == (None, "Bo")
    assert lead.payload == {"score": None, "n": [1, None]}
    assert problems == ("email_open_count", "payload")


@pytest.mark.parametrize("digits", [19, 40, 1000, 3999])
def test_integers_of_any_sensible_length_are_kept(digits: int) -> None:
    number = 10 ** (digits - 1)
    lead, _ = decode_with(email_open_count=number, payload={"n": -number}, status=2.0)
    assert (lead.email_open_count, lead.payload) == (number, {"n": -number})


def test_an_absurd_integer_costs_its_field_only() -> None:
    """CPython refuses to parse more than 4,300 digits (CVE-2020-10735)."""
    body = FULL.replace(b'"email_open_count": 3', b'"email_open_count": ' + b"7" * 100_000)
    lead, problems = DECODER.decode(body, LEAD_ID)
    assert problems == ("email_open_count",)
    assert lead == msgspec.structs.replace(EXPECTED, email_open_count=None)


def test_a_byte_order_mark_does_no_harm() -> None:
    assert DECODER.decode(b"\xef\xbb\xbf" + FULL, LEAD_ID) == (EXPECTED, ())


def test_the_id_is_compared_without_regard_to_case() -> None:
    """In the fast decode and in the salvage; the lead keeps what was sent."""
    for status in (2, "2"):
        lead, _ = decode_with(id=LEAD_ID.upper(), status=status)
        assert (lead.id, lead.status) == (LEAD_ID.upper(), LeadStatus.PAUSED)


@given(st.integers())
def test_an_integer_in_quotes_is_that_integer(number: int) -> None:
    assert decode_with(email_open_count=str(number))[0].email_open_count == number


# --- what is lost ---

DEEP = b'{"id":"%s","%%b":' % LEAD_ID.encode() + b'{"a":' * 50_000 + b"1" + b"}" * 50_001


DEEP_HALF = b'{"a":' * 700 + rb'"\ud83d"' + b"}" * 700


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "foreign"),
        (b"  \n", "foreign"),
        (FULL[:-3], "truncated"),
        (FULL[: len(FULL) // 2], "truncated"),
        (f'{{"id":"{LEAD_ID}","status":"2","first_name":"B'.encode(), "truncated"),
        (f'{{"id":"{LEAD_ID}","first_name":"Bj\u00f6'.encode()[:-1], "truncated"),
        (b'{"id"', "foreign"),
        (b'"cut', "foreign"),
        (b'\xef\xbb\xbf{"id":', "foreign"),
        (b"nul", "foreign"),
        (b'{"id": undefined', "foreign"),
        (b"{'id': 1", "foreign"),
        (b'{"id":"x","a":[1,2}', "foreign"),
        (b'{"id":01', "foreign"),
        (b'{"id":"\\x', "foreign"),
        (b"null", "foreign"),
        (b"[]", "foreign"),
        (b"true", "foreign"),
        (b'"x"', "foreign"),
        (b"5", "foreign"),
        (b"<!doctype html><p>hello</p>", "foreign"),
        (FULL + b"}", "malformed"),
        (FULL + FULL, "malformed"),
        (FULL.replace(b'"Ada"', b"'Ada'", 1), "malformed"),
        (FULL.replace(b'"Ada"', b'"\xff"', 1), "malformed"),
        (f'{{"id":"{LEAD_ID}","unknown":"\u00e9"}}'.encode("latin-1"), "malformed"),
        (FULL.decode().encode("utf-16"), "foreign"),
        (b"[" * 100_000, "foreign"),
        (b'{"a":' * 100_000, "foreign"),
        (DEEP % b"payload", "malformed"),
        (DEEP % b"unknown", "malformed"),
    ],
    ids=range(31),
)
def test_what_is_no_json_object_in_utf8_is_a_decode_error(body: bytes, reason: str) -> None:
    """Rows 12 and 13. A cut body has its own reason, because it is retried once more (row 4)."""
    error = refused(DECODER, body)
    assert (error.reason, error.path) == (reason, "$")
    assert error.raw == body[:65536]


def test_half_a_pair_so_deep_that_not_every_python_reads_it() -> None:
    body = b'{"id":"%s","payload":%s}' % (LEAD_ID.encode(), DEEP_HALF)
    try:
        _, problems = at_once(DECODER.decode(body, LEAD_ID))
    except DecodeError as error:
        assert error.reason == "malformed"  # noqa: PT017 - either end is right
    else:
        assert problems == ("payload",)


def test_a_body_cut_anywhere_is_truncated() -> None:
    """Even in the middle of a word, a number, an escape or a character."""
    named = FULL.index(b'"', FULL.index(LEAD_ID.encode())) + 1
    for cut in range(len(FULL.rstrip())):
        assert refused(DECODER, FULL[:cut]).reason == ("foreign" if cut < named else "truncated")


@pytest.mark.parametrize(
    "sent",
    [
        "00000000-0000-0000-0000-000000000000",
        " 00000000-0000-0000-0000-00000000000A",
    ],
)
@pytest.mark.parametrize("status", [2, "2"])
def test_another_lead_is_never_taken_for_the_one_asked_for(sent: Any, status: Any) -> None:
    """Row 14, in the fast decode and in the salvage."""
    error = refused(DECODER, body_with(id=sent, status=status))
    assert (error.reason, error.path) == ("other lead", "$.id")


@pytest.mark.parametrize("sent", ["", None, 5, "req-1", [LEAD_ID], {"id": LEAD_ID}])
@pytest.mark.parametrize("status", [2, "2"])
def test_what_has_no_id_of_a_lead_is_no_lead(sent: Any, status: Any) -> None:
    """Such as an error that came with status 200."""
    error = refused(DECODER, body_with(id=sent, status=status))
    assert (error.reason, error.path) == ("foreign", "$")
    assert refused(DECODER, b'{"status":"maintenance"}').reason == "foreign"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b" " * 2000, "blank"),
        (b"\xef\xbb\xbf<!DOCTYPE html>", "an HTML page"),
        (b"<!-- x --><HTML>", "an HTML page"),
        (b"<?xml version='1.0'?>", "markup"),
        (b'{"a":1}', "JSON of another kind"),
        (b"[]", "JSON of another kind"),
        (b"OK", "text of another kind"),
        (b"<html>Wartungsarbeiten l\xe4uft", "an HTML page"),
        (b'<html><script>{"id":"%s"}</script>' % LEAD_ID.encode(), "an HTML page"),
    ],
)
def test_the_message_says_what_was_answered(body: bytes, kind: str) -> None:
    assert str(refused(DECODER, body)) == f"The answer is {kind}, not the lead"


def test_the_message_does_not_quote_the_lead() -> None:
    for body in (FULL[:-3], body_with(id="x"), body_with(email="ada") + b"\xff"):
        error = refused(DECODER, body)
        assert "ada" not in f"{error} {error!r} {error.args}".lower()
        assert error.__cause__ is None


# --- laws ---

KEYS = st.sampled_from([*FIELDS, "new", "payload", "status"]) | st.text(max_size=5)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(st.characters(), max_size=20)  # lone surrogates included
    | st.sampled_from(["", "7", "-7.0", "2026-05-11T21:12:30", "20240101", "true", "null", "api"])
    | st.datetimes().map(str)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.fixed_dictionaries({}, optional={"lastStep": inner, "domain_complete": inner})
        | st.fixed_dictionaries(
            {}, optional={"from": inner, "stepID": inner, "timestamp_executed": inner}
        )
    ),
    max_leaves=12,
)
FAST = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@FAST
@given(fields=st.dictionaries(KEYS, JSON, max_size=8), ascii_only=st.booleans())
def test_any_object_with_the_right_id_is_a_lead(
    fields: dict[str, Any], *, ascii_only: bool
) -> None:
    """Whatever else it holds, UTF-8 JSON of modest depth with the right id never raises."""
    text = json.dumps({**fields, "id": LEAD_ID}, ensure_ascii=ascii_only)
    body = text.encode("utf-8", "replace")
    lead, problems = DECODER.decode(body, LEAD_ID)
    assert lead.id == LEAD_ID
    assert len(set(problems)) == len(problems)
    assert {path.partition(".")[0] for path in problems} <= FIELDS.keys()
    again = msgspec.json.encode(lead)
    assert DECODER.decode(again, LEAD_ID) == (lead, ())


@FAST
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 9999)
def test_any_bytes_are_a_lead_or_a_decode_error(body: bytes) -> None:
    try:
        lead, _ = DECODER.decode(body, LEAD_ID)
    except DecodeError as error:
        assert error.raw == body  # noqa: PT017 - either end is right
    else:
        assert lead.id == LEAD_ID


@settings(FAST, max_examples=200)
@given(field=st.sampled_from([name for name in FIELDS if name != "id"]), value=JSON)
@example("email_open_count", "20240101")
@example("status_summary", {"lastStep": {"from": float("nan")}})
def test_one_odd_field_never_loses_the_lead(field: str, value: Any) -> None:
    """Whatever JSON value replaces a field, at most that field is lost."""
    body = body_with(**{field: value})
    lead, problems = DECODER.decode(body, LEAD_ID)
    assert {path.partition(".")[0] for path in problems} <= {field}
    changed = {field: getattr(lead, field)}
    assert lead == msgspec.structs.replace(EXPECTED, **changed)
    if not problems and value is not None and not isinstance(value, dict):
        assert getattr(lead, field) is not None


# --- the caller's own types ---


class Contact(msgspec.Struct):
    id: str
    email: str | None
    status: LeadStatus


class NoId(msgspec.Struct):
    email: str
    status: int


class Renamed(msgspec.Struct, rename="camel"):
    key: uuid.UUID = msgspec.field(name="id")
    first: str = msgspec.field(name="first_name")


class Defaults(msgspec.Struct, kw_only=True, frozen=True):
    count: int = msgspec.field(default=-1, name="email_open_count")
    tags: list[str] = msgspec.field(default_factory=lambda: ["none"], name="payload")
    id: str = ""


class Inner(msgspec.Struct):
    domain_complete: bool
    lastStep: dict[str, str] = {}  # noqa: N815 - the API's own name


class Nested(msgspec.Struct):
    id: str
    status_summary: Inner


class Picky(msgspec.Struct):
    id: str
    email_open_count: int = 0

    def __post_init__(self) -> None:
        if self.email_open_count > 2:
            raise ValueError(f"{self.email_open_count} opens by {self.id} are too many")


class Typed(msgspec.Struct):
    id: str
    status: int
    payload: dict[int, float]
    unread: msgspec.Raw = msgspec.Raw(b"null")
    day: date | None = None
    share: Annotated[float, msgspec.Meta(le=1)] = 0.5


def test_three_fields_decode_just_those_three() -> None:
    lead, problems = LeadDecoder(Contact).decode(FULL, LEAD_ID)
    assert lead == Contact(LEAD_ID, FIELDS["email"], LeadStatus.BOUNCED)
    assert problems == ()


def test_a_type_without_id_is_still_checked() -> None:
    """By a second decoder that looks at the id alone."""
    decoder = LeadDecoder(NoId)
    assert decoder.decode(FULL, LEAD_ID) == (NoId(FIELDS["email"], -1), ())
    assert decoder.decode(body_with(status="-1"), LEAD_ID) == (
        NoId(FIELDS["email"], -1),
        ("status",),
    )
    assert refused(decoder, body_with(id=str(uuid.UUID(int=5)))).reason == "other lead"
    for body in (body_with(id="x"), body_with(id=5), b'{"email":"a@example.com","status":1}'):
        assert refused(decoder, body).reason == "foreign"


@pytest.mark.parametrize("lead_type", [Lead, NoId])
def test_a_uuid_of_something_else_is_not_another_lead(lead_type: type[Any]) -> None:
    """A gateway numbers its requests."""
    for status in ("busy", 1):
        body = json.dumps({"id": str(uuid.UUID(int=5)), "status": status}).encode()
        assert refused(LeadDecoder(lead_type), body).reason == "foreign"


def test_the_id_may_have_another_name_and_type() -> None:
    decoder = LeadDecoder(Renamed)
    lead, problems = decoder.decode(FULL, LEAD_ID)
    assert (lead.key, lead.first, problems) == (uuid.UUID(LEAD_ID), "Ada", ())
    assert refused(decoder, body_with(id=str(uuid.UUID(int=5)))).reason == "other lead"


def test_defaults_stand_in_for_what_does_not_fit() -> None:
    """Also for ``null`` where the type requires a value; each lead gets its own default."""
    decoder = LeadDecoder(Defaults)
    first, problems = decoder.decode(body_with(email_open_count=None), LEAD_ID)
    assert first == Defaults(id=LEAD_ID)
    assert problems == ("email_open_count", "payload")
    second, _ = decoder.decode(body_with(email_open_count="7", payload=["a"]), LEAD_ID)
    assert second == Defaults(id=LEAD_ID, count=7, tags=["a"])
    third, _ = decoder.decode(FULL, LEAD_ID)
    assert third.tags == ["none"]
    assert third.tags is not first.tags


@pytest.mark.parametrize(
    ("lead_type", "changes", "path"),
    [
        (Contact, {"status": None}, "status"),
        (Contact, {"status": "active"}, "status"),
        (Contact, {"status": 1.5}, "status"),
        (NoId, {"email": None}, "email"),
        (Nested, {"status_summary": None}, "status_summary"),
        (Nested, {"status_summary": {}}, "status_summary"),
        (Nested, {"status_summary": {"domain_complete": "?"}}, "status_summary"),
    ],
)
def test_a_required_field_that_does_not_fit_loses_the_lead(
    lead_type: type[Any], changes: dict[str, Any], path: str
) -> None:
    error = refused(LeadDecoder(lead_type), body_with(**changes))
    assert (error.path, error.reason) == (path, "malformed")
    assert str(error) == f"The lead does not match its type at {path}"


def test_a_required_field_that_is_absent_loses_the_lead() -> None:
    body = json.dumps({"id": LEAD_ID, "email": None}).encode()
    assert refused(LeadDecoder(Contact), body).path == "status"


def test_a_nested_type_of_the_caller_s_is_salvaged_too() -> None:
    summary = {"domain_complete": "true", "lastStep": {"from": 5}}
    lead, problems = LeadDecoder(Nested).decode(body_with(status_summary=summary), LEAD_ID)
    assert lead.status_summary == Inner(domain_complete=True)
    assert problems == ("status_summary.domain_complete", "status_summary.lastStep")


def test_a_type_that_refuses_a_lead_loses_it_unquoted() -> None:
    """``__post_init__`` raising ValueError or TypeError is msgspec's way to validate."""
    decoder = LeadDecoder(Picky)
    assert decoder.decode(body_with(email_open_count=2), LEAD_ID)[0].email_open_count == 2
    assert decoder.decode(body_with(email_open_count="2"), LEAD_ID)[1] == ("email_open_count",)
    for count in (3, "3"):
        error = refused(decoder, body_with(email_open_count=count))
        assert error.path == "$"
        assert "too many" not in str(error)


def test_salvage_takes_every_type_the_fast_decode_takes() -> None:
    """Integer keys, ``Raw``, dates, constraints: they survive an odd neighbour."""
    decoder = LeadDecoder(Typed)
    fine = {"payload": {"5": 1, "6": 2.5}, "unread": {"a": [1]}, "day": "2026-05-11", "share": 1}
    expected, problems = decoder.decode(body_with(**fine), LEAD_ID)
    assert problems == ()
    lead, problems = decoder.decode(body_with(**fine, status="-1"), LEAD_ID)
    assert problems == ("status",)
    assert json.loads(bytes(lead.unread)) == json.loads(bytes(expected.unread)) == {"a": [1]}
    lead.unread = expected.unread
    assert lead == expected
    lead, problems = decoder.decode(body_with(**{**fine, "day": 5, "share": 1.5}), LEAD_ID)
    assert (lead.day, lead.share, problems) == (None, 0.5, ("day", "share"))


@settings(FAST, max_examples=25)
@given(fields=st.dictionaries(KEYS, JSON, max_size=8))
@pytest.mark.parametrize("lead_type", [Contact, NoId, Renamed, Defaults, Nested, Picky, Typed])
def test_any_object_is_the_caller_s_lead_or_a_decode_error(
    lead_type: type[Any], fields: dict[str, Any]
) -> None:
    decoder = LeadDecoder(lead_type)
    body = json.dumps({**FIELDS, **fields, "id": LEAD_ID}).encode()
    try:
        lead, _ = decoder.decode(body, LEAD_ID)
    except DecodeError as error:
        assert error.reason == "malformed"  # noqa: PT017 - either end is right
    else:
        assert isinstance(lead, lead_type)


class Tagged(msgspec.Struct, tag=True):
    id: str


class TaggedByField(msgspec.Struct, tag_field="kind"):
    id: str


class ArrayLike(msgspec.Struct, array_like=True):
    id: str


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    id: str


class Ambiguous(msgspec.Struct):
    id: str
    status: Contact | NoId


@pytest.mark.parametrize(
    "lead_type",
    [Tagged, TaggedByField, ArrayLike, Closed, Ambiguous, dict, object, "Lead", NoId("", 1), None],
    ids=str,
)
def test_a_type_that_no_lead_fits_is_a_configuration_error(lead_type: Any) -> None:
    with pytest.raises(ConfigurationError, match="lead_type"):
        LeadDecoder(lead_type)


def test_open_enums_stay_open_in_salvage() -> None:
    lead, problems = decode_with(status="99", upload_method="fax")
    assert (lead.status, lead.upload_method) == (LeadStatus(99), UploadMethod("fax"))
    assert problems == ("status",)
