"""What is converted keeps what was sent, digit for digit and moment for moment."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepping import at_once

from instantly_async import Lead
from instantly_async._api import LeadDecoder

LEAD_ID = "019e18e2-6487-73d2-a3b2-643e2207f444"
AT = datetime(2026, 5, 11, 21, 12, 30, 601_000, tzinfo=UTC)
NAME = '"first_name":"Bo"'


def decode(lead_type: type[Any], fields: str, by: str = "get") -> tuple[Any, tuple[str, ...]]:
    """Decode a lead whose fields are written like this, as an answer or as an item of a page."""
    body = f'{{"id":"{LEAD_ID}",{fields}}}'.encode()
    decoder = LeadDecoder(lead_type)
    if by == "get":
        lead, problems = at_once(decoder.decode(body, LEAD_ID))
        return lead, problems
    _, item = decoder.decode_item(body)
    assert item is not None
    assert item.raw == body
    return item.lead, item.problems


NUMBERS = [
    "4915112345678",
    "1.50",
    "1e5",
    "1E+5",
    "0.1",
    "-0",
    "1e999",
    "123456789" * 4,
    "7" * 9000,
]


@pytest.mark.parametrize("by", ["get", "list"])
@pytest.mark.parametrize("written", [*NUMBERS, "true", "false"])
def test_a_number_or_boolean_in_place_of_a_text_is_kept_as_it_was_written(
    written: str, by: str
) -> None:
    lead, problems = decode(Lead, f'"phone": {written} ,{NAME}', by)
    assert (lead.phone, lead.first_name, problems) == (written, "Bo", ("phone",))


@pytest.mark.parametrize("written", [*NUMBERS, "true"])
def test_so_it_is_in_a_nested_object(written: str) -> None:
    fields = f'"status_summary":{{"lastStep":{{"stepID":{written},"from":"x"}},"new":1e999}}'
    lead, problems = decode(Lead, fields)
    assert lead.status_summary.last_step.step_id == written
    assert lead.status_summary.last_step.from_ == "x"
    assert problems == ("status_summary.lastStep.stepID",)


def test_a_half_pair_in_a_nested_object_is_named_where_it_is() -> None:
    lead, problems = decode(Lead, r'"status_summary":{"lastStep":{"stepID":"\ud83d","from":5}}')
    assert (lead.status_summary.last_step.step_id, lead.status_summary.last_step.from_) == (
        "\ufffd",
        "5",
    )
    assert problems == ("status_summary.lastStep.from", "status_summary.lastStep.stepID")


@pytest.mark.parametrize("written", ["[1]", '{"a":1}', "NaN"])
def test_what_is_no_text_at_all_is_left_out(written: str) -> None:
    lead, problems = decode(Lead, f'"phone":{written}')
    assert (lead.phone, problems) == (None, ("phone",))


def test_numbers_in_the_payload_stay_numbers() -> None:
    lead, problems = decode(Lead, '"payload":{"phone":4915112345678,"on":true},"phone":5')
    assert lead.payload == {"phone": 4915112345678, "on": True}
    assert problems == ("phone",)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        *((word, True) for word in ('"true"', '"TRUE"', '" True "', '"t"', '"yes"', '"on"')),
        *((number, True) for number in ("1", "1.0", '"1"', '"+1"', '"1.0"', "1e0")),
        *((word, False) for word in ('"false"', '"False"', '"f"', '"no"', '"N"', '"off"')),
        *((number, False) for number in ("0", "0.0", "-0", '"0"')),
        *((other, None) for other in ("2", "-1", "0.5", '""', '"2"', '"maybe"', '"01"', "[true]")),
    ],
)
def test_a_boolean_is_what_is_clearly_one(written: str, kept: bool | None) -> None:
    lead, problems = decode(Lead, f'"is_website_visitor":{written}')
    assert lead.is_website_visitor is kept
    assert problems == ("is_website_visitor",)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("3.0", 3),
        ("3e2", 300),
        ("9007199254740993.0", 9007199254740993),  # a float would end in 2
        ('" 3 "', 3),
        ('"+3"', 3),
        ('"3.0"', 3),
        ('"-3e0"', -3),
        ('"9007199254740993.0"', 9007199254740993),
        ('"' + "7" * 30 + '"', int("7" * 30)),
        ('"1,234"', None),
        ('"1.234,5"', None),
        ('"1_000"', None),
        ('"0x10"', None),
        ('"\u0663"', None),
        ('"+-3"', None),
        ('"3 4"', None),
        ('"nan"', None),
        ('"' + "7" * 5000 + '"', None),
        ("1e400", None),
        ("1e-400", None),
        ("1e99999999999999999999", None),
        ('"1e99999999999999999999"', None),
        ("3.5" + "0" * 5000, None),
        ("true", None),
    ],
)
def test_a_number_is_what_is_clearly_one(written: str, kept: int | None) -> None:
    lead, problems = decode(Lead, f'"email_open_count":{written}')
    assert lead.email_open_count == kept
    assert problems == ("email_open_count",)


@pytest.mark.parametrize("by", ["get", "list"])
@pytest.mark.parametrize(
    "text",
    [
        "2026-05-11 21:12:30.601+00",
        "2026-05-11T23:12:30.601+02",
        "2026-05-11T21:12:30,601Z",
        "20260511T211230.601Z",
        " 2026-05-11T21:12:30.601Z ",
        "2026-05-11 21:12:30.601 UTC",
    ],
)
def test_a_timestamp_without_doubt_is_kept(text: str, by: str) -> None:
    sent = json.dumps(text)
    last_step = f'"status_summary":{{"lastStep":{{"timestamp_executed":{sent}}}}}'
    lead, problems = decode(Lead, f'"timestamp_created":{sent},{last_step}', by)
    assert lead.timestamp_created == lead.status_summary.last_step.timestamp_executed == AT
    assert problems == ("timestamp_created", "status_summary.lastStep.timestamp_executed")


class Size(Enum):
    SMALL = "1"


class Kind(IntEnum):
    ONE = 1


class Mine(msgspec.Struct):
    id: str
    text: str = ""
    short: Annotated[str, msgspec.Meta(max_length=3)] = ""
    number: float = 0.5
    flag: bool = False
    moment: datetime | None = None
    either: bool | str = False
    amount: int | datetime = 0
    size: Size | None = None
    kind: Kind | None = None
    word: Literal["1", "2"] | None = None
    inner: "Mine | None" = None


@pytest.mark.parametrize(
    ("field", "written", "kept"),
    [
        ("text", "1.50", "1.50"),
        ("short", "123", "123"),
        ("short", "1234", ""),
        ("number", '"2.5"', 2.5),
        ("number", '" +2.5"', 2.5),
        ("number", '"nan"', 0.5),
        ("number", '"1e999"', 0.5),
        ("flag", '"yes"', True),
        ("flag", "1", True),
        ("moment", '"2026-05-11 21:12:30.601+00"', AT),
        ("moment", "1778533950", None),
        ("either", "1", "1"),  # the only one of the two that loses nothing
        ("amount", '"5"', 0),  # or a timestamp?
        ("amount", '"2026-05-11 21:12:30.601+00"', AT),
        ("size", "1", Size.SMALL),
        ("size", "2", None),
        ("kind", '"1"', Kind.ONE),
        ("kind", "1.0", Kind.ONE),
        ("kind", '"2"', None),
        ("word", "2", "2"),
        ("word", "3", None),
    ],
)
def test_a_type_of_the_caller_s_is_treated_alike(field: str, written: str, kept: Any) -> None:
    for path, fields in ((field, f'"{field}":{written}'), (f"inner.{field}", "")):
        nested = f'"inner":{{"id":"x","{field}":{written}}}'
        lead, problems = decode(Mine, fields or nested)
        found = getattr(lead if fields else lead.inner, field)
        assert (found, type(found), problems) == (kept, type(kept), (path,))


class Call(msgspec.Struct, tag="call"):
    number: str = ""
    minutes: int = 0


class Mail(msgspec.Struct, tag="mail"):
    number: str = ""


class Row(msgspec.Struct, array_like=True):
    number: str = ""


class Special(msgspec.Struct):
    id: str
    either: Call | Mail | None = None
    call: Call | None = None
    row: Row | None = None


@pytest.mark.parametrize(
    "fields",
    [
        '"either":{"type":"mail","number":5}',  # it would become a call
        '"either":{"type":"fax"}',
        '"call":{"type":"mail"}',
        '"row":{"number":"5"}',
    ],
)
def test_no_object_becomes_a_struct_that_it_is_not(fields: str) -> None:
    lead, problems = decode(Special, fields)
    assert lead == Special(LEAD_ID)
    assert problems == (fields.split('"')[1],)


class Described(msgspec.Struct):
    id: str
    text: Annotated[str, msgspec.Meta(title="Text")] | None = None
    flag: Annotated[bool | None, msgspec.Meta(description="A flag")] = None
    moment: Annotated[datetime, msgspec.Meta(tz=True, examples=["now"])] | None = None
    inner: Annotated[Mine, msgspec.Meta(extra={"by": "me"})] | None = None


def test_a_type_with_a_description_is_treated_like_the_type() -> None:
    fields = (
        '"text":1.50,"flag":"yes","moment":"2026-05-11 21:12:30.601+00",'
        '"inner":{"id":"x","number":"2.5"}'
    )
    lead, problems = decode(Described, fields)
    assert lead == Described(LEAD_ID, "1.50", True, AT, Mine("x", number=2.5))
    assert problems == ("text", "flag", "moment", "inner.number")


def test_a_nested_object_that_does_not_fit_is_named_as_a_whole() -> None:
    lead, problems = decode(Mine, '"inner":{"text":5,"inner":{"id":"x","text":6}}')
    assert (lead.inner, problems) == (None, ("inner",))


json_numbers = st.from_regex(
    r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,6})?", fullmatch=True
)


@given(json_numbers)
def test_every_number_of_json_is_kept_digit_for_digit(number: str) -> None:
    lead, problems = decode(
        Lead, f'"phone":{number},"status_summary":{{"lastStep":{{"from":{number}}}}}'
    )
    assert lead.phone == lead.status_summary.last_step.from_ == number
    assert problems == ("phone", "status_summary.lastStep.from")


@given(json_numbers)
def test_a_count_is_exact_or_left_out(number: str) -> None:
    """Whether it was sent as a number or as a text."""
    exact = Decimal(number)
    is_integer = abs(exact.adjusted()) < 300 and exact == exact.to_integral_value()
    for written in (number, f'"{number}"'):
        lead, _ = decode(Lead, f'"email_open_count":{written}')
        if abs(exact.adjusted()) < 300:
            assert lead.email_open_count == (int(exact) if is_integer else None)
