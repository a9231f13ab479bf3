"""The model against the vendor's *Get lead* page, of which the names below are a copy."""

import ast
import asyncio
import copy
import itertools
import json
import pickle
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import SAMPLES

from instantly_async import InstantlyClient, models
from instantly_async.decoding import LeadDecoder
from instantly_async.enums import LeadStatus, UploadMethod
from instantly_async.models import Lead
from instantly_async.testing import FakeInstantly, lead_ids, lead_json

FIELDS = [
    "id",
    "timestamp_created",
    "timestamp_updated",
    "organization",
    "campaign",
    "status",
    "email",
    "personalization",
    "website",
    "last_name",
    "first_name",
    "company_name",
    "job_title",
    "phone",
    "email_open_count",
    "email_reply_count",
    "email_click_count",
    "company_domain",
    "status_summary",
    "payload",
    "status_summary_subseq",
    "last_step_from",
    "last_step_id",
    "last_step_timestamp_executed",
    "email_opened_step",
    "email_opened_variant",
    "email_replied_step",
    "email_replied_variant",
    "email_clicked_step",
    "email_clicked_variant",
    "lt_interest_status",
    "subsequence_id",
    "verification_status",
    "pl_value_lead",
    "timestamp_added_subsequence",
    "timestamp_last_contact",
    "timestamp_last_open",
    "timestamp_last_reply",
    "timestamp_last_interest_change",
    "timestamp_last_click",
    "enrichment_status",
    "list_id",
    "last_contacted_from",
    "uploaded_by_user",
    "upload_method",
    "assigned_to",
    "is_website_visitor",
    "timestamp_last_touch",
    "esp_code",
    "esg_code",
]

REQUIRED = [
    "id",
    "timestamp_created",
    "timestamp_updated",
    "organization",
    "status",
    "email_open_count",
    "email_reply_count",
    "email_click_count",
    "company_domain",
    "status_summary",
]

LABELS: dict[str, dict[int | str, str]] = {
    "status": {
        1: "Active",
        2: "Paused",
        3: "Completed",
        -1: "Bounced",
        -2: "Unsubscribed",
        -3: "Skipped",
    },
    "lt_interest_status": {
        0: "Out of Office",
        1: "Interested",
        2: "Meeting Booked",
        3: "Meeting Completed",
        4: "Won",
        -1: "Not Interested",
        -2: "Wrong Person",
        -3: "Lost",
        -4: "No Show",
    },
    "verification_status": {
        1: "Verified",
        11: "Pending",
        12: "Pending Verification Job",
        -1: "Invalid",
        -2: "Risky",
        -3: "Catch All",
        -4: "Job Change",
    },
    "enrichment_status": {
        1: "Enriched",
        11: "Pending",
        -1: "Enrichment data not available",
        -2: "Error",
    },
    "upload_method": {"manual": "Manual", "api": "API", "website-visitor": "Website Visitor"},
    "esp_code": {
        0: "In Queue",
        1: "Google",
        2: "Microsoft",
        3: "Zoho",
        8: "AirMail",
        9: "Yahoo",
        10: "Yandex",
        12: "Web.de",
        13: "Libero.it",
        999: "Other",
        1000: "Not Found",
    },
    "esg_code": {0: "In Queue", 1: "Barracuda", 2: "Mimecast", 3: "Proofpoint", 4: "Cisco"},
}

ENUMS: dict[str, Any] = {
    "status": models.LeadStatus,
    "lt_interest_status": models.InterestStatus,
    "verification_status": models.VerificationStatus,
    "enrichment_status": models.EnrichmentStatus,
    "upload_method": models.UploadMethod,
    "esp_code": models.EspCode,
    "esg_code": models.EsgCode,
}


def sample(case: str) -> bytes:
    return (SAMPLES / case / "body.json").read_bytes()


def milliseconds(value: int) -> datetime:
    return datetime(2026, 5, 11, 21, 12, 30, value * 1000, tzinfo=UTC)


def test_every_field_of_the_schema_exists_under_its_own_name() -> None:
    assert len(FIELDS) == 50
    assert [field.encode_name for field in msgspec.structs.fields(Lead)] == FIELDS
    assert list(Lead.__struct_fields__) == FIELDS


def test_only_the_id_is_required() -> None:
    """The schema calls ten fields required; in practice they can be missing."""
    assert [f.name for f in msgspec.structs.fields(Lead) if f.required] == ["id"]
    lead = msgspec.json.decode(b'{"id":"x"}', type=Lead)
    assert [name for name in FIELDS if getattr(lead, name) is not None] == ["id"]


def test_a_full_answer_fills_every_field() -> None:
    lead = msgspec.json.decode(sample("get-lead"), type=Lead)
    assert [name for name in FIELDS if getattr(lead, name) is None] == []
    assert lead.status is LeadStatus.BOUNCED
    assert lead.timestamp_created == milliseconds(601)
    assert lead.payload == {
        "firstName": "Ada",
        "Größe": 42,
        "score": 0.5,
        "vip": True,
        "gone": None,
        "nested": {"a": 1},
    }
    assert lead.upload_method is UploadMethod.WEBSITE_VISITOR
    assert lead.esp_code is models.EspCode.OTHER


def test_nested_fields_carry_the_names_of_the_page() -> None:
    """``lastStep``, ``stepID``, ``from``; the executed time is named differently in each."""
    lead = msgspec.json.decode(sample("get-lead"), type=Lead)
    assert lead.status_summary == models.StatusSummary(
        last_step=models.LastStep(
            from_="campaign",
            step_id="019e18e2-648a-71b0-899a-91e3e16b18a4",
            timestamp_executed=milliseconds(603),
        ),
        domain_complete=True,
    )
    assert lead.status_summary_subseq == models.SubsequenceStatusSummary(
        from_="subsequence",
        step_id="019e18e2-648a-71b0-899a-91e4eb5ee45a",
        timestamp_executed=milliseconds(604),
    )


def test_a_lead_encodes_to_what_was_sent() -> None:
    """Names and values survive the way there and back."""
    encoded = msgspec.json.encode(msgspec.json.decode(sample("get-lead"), type=Lead))
    # Milliseconds come back as microseconds.
    assert json.loads(encoded.replace(b'000Z"', b'Z"')) == json.loads(sample("get-lead"))


def test_the_ten_required_fields_alone_are_a_lead() -> None:
    lead = msgspec.json.decode(sample("required-only"), type=Lead)
    assert [name for name in FIELDS if getattr(lead, name) is not None] == REQUIRED
    assert lead.status_summary == models.StatusSummary()


def test_a_lead_is_frozen_and_equal_by_value() -> None:
    lead = msgspec.json.decode(sample("get-lead"), type=Lead)
    with pytest.raises(AttributeError):
        lead.email = "other@example.com"  # type: ignore[misc]  # that is the point
    assert lead == msgspec.json.decode(sample("get-lead"), type=Lead)
    assert pickle.loads(pickle.dumps(lead)) == lead  # noqa: S301 - our own bytes
    assert copy.deepcopy(lead) == lead


@pytest.mark.parametrize("field", ENUMS)
def test_documented_values_have_the_documented_labels(field: str) -> None:
    """All of them, and no member besides."""
    assert {member.value: member.label for member in ENUMS[field]} == LABELS[field]


@pytest.mark.parametrize("field", ENUMS)
def test_each_coded_field_has_its_own_enum(field: str) -> None:
    for value, label in LABELS[field].items():
        body = msgspec.json.encode({"id": "x", field: value})
        member = getattr(msgspec.json.decode(body, type=Lead), field)
        assert type(member) is ENUMS[field]
        assert (member, member.label) == (value, label)


def test_unlisted_values_and_fields_do_no_harm() -> None:
    lead = msgspec.json.decode(sample("unlisted-values"), type=Lead)
    assert repr(lead.status) == "<LeadStatus.UNKNOWN_7: 7>"
    assert lead.lt_interest_status == 4711
    assert lead.upload_method == "carrier-pigeon"
    assert lead.first_name == "Bo"


def listed(enum: Any) -> set[int | str]:
    return {member.value for member in enum}


@st.composite
def unlisted(draw: st.DrawFn) -> tuple[Any, int | str]:
    enum = draw(st.sampled_from(list(ENUMS.values())))
    values: st.SearchStrategy[int | str] = (
        st.text() if enum is UploadMethod else st.integers(-(10**20), 10**20)
    )
    return enum, draw(values.filter(lambda value: value not in listed(enum)))


@given(unlisted())
def test_any_other_value_becomes_a_pseudo_member(case: tuple[Any, int | str]) -> None:
    """Named after its value, equal to its like and to the value, hashable, picklable, not kept."""
    enum, value = case
    before = len(enum._value2member_map_)
    member = enum(value)
    assert isinstance(member, enum)
    assert (member.name, member.value) == (f"UNKNOWN_{value}", value)
    assert member.label == f"Unknown ({value})"
    assert member == enum(value) == value
    assert len({member, enum(value), value}) == 1
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(member, protocol))  # noqa: S301 - our own bytes
        assert type(again) is enum
        assert (again, again.name, again.label) == (member, member.name, member.label)
    assert copy.deepcopy(member) == copy.copy(member) == member
    assert len(enum._value2member_map_) == before
    assert member not in list(enum)


@pytest.mark.parametrize("enum", ENUMS.values())
def test_documented_members_pickle_to_themselves(enum: type[Enum]) -> None:
    for member in enum:
        assert pickle.loads(pickle.dumps(member)) is member  # noqa: S301 - our own bytes


@pytest.mark.parametrize("value", [None, 1.5, "1", True, [], b"api"])
def test_a_code_of_another_type_is_no_code(value: object) -> None:
    """Open for values, not for types: ``True`` is not a status, although it equals 1."""
    assert LeadStatus._missing_(value) is None
    if not isinstance(value, str):
        assert UploadMethod._missing_(value) is None


def test_pseudo_members_encode_as_their_value() -> None:
    lead = Lead(id="x", status=LeadStatus(-77), upload_method=UploadMethod("fax"))
    decoded = msgspec.json.decode(msgspec.json.encode(lead))
    assert (decoded["status"], decoded["upload_method"]) == (-77, "fax")


def test_a_naive_timestamp_does_not_pass_the_model() -> None:
    """Every timestamp is aware; ``_api/salvage.py`` converts the naive ones."""
    with pytest.raises(msgspec.ValidationError, match="timezone component"):
        msgspec.json.decode(b'{"id":"x","timestamp_created":"2026-05-11T21:12:30"}', type=Lead)


@pytest.mark.parametrize("name", ["Lead", "LastStep", "StatusSummary", "SubsequenceStatusSummary"])
def test_every_field_has_a_docstring(name: str) -> None:
    """The string below a field, which editors and documentation tools show."""
    tree = ast.parse(Path(models.__file__).read_text())
    (body,) = [
        node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name
    ]
    described = [
        field.target.id
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and str(text.value.value).endswith(".")
    ]
    assert described == list(getattr(models, name).__struct_fields__)


def test_a_lead_as_a_dict() -> None:
    """Plain data under the API's names: codes, dicts, aware timestamps."""
    raws = map(lead_json, lead_ids(20))
    raw = next(each for each in raws if (json.loads(each)["status_summary"] or {}).get("lastStep"))
    lead, _ = LeadDecoder(Lead).decode(raw)
    plain = lead.to_dict()
    assert list(plain) == list(Lead.__struct_fields__)
    assert type(plain["status"]) is int
    assert type(plain["upload_method"]) is str
    assert isinstance(plain["timestamp_created"], datetime)
    assert plain["timestamp_created"].tzinfo is not None
    assert "lastStep" in plain["status_summary"]
    assert plain["payload"] == json.loads(raw)["payload"]


def test_a_batch_as_dicts() -> None:
    """In input order, without the ids that have no lead; also for a type of one's own."""

    class Row(msgspec.Struct):
        id: str
        created: datetime = msgspec.field(name="timestamp_created")

    first, second, third = lead_ids(3)

    async def main() -> list[dict[str, Any]]:
        async with FakeInstantly(rate_limit=None, unknown={second}) as fake:
            async with InstantlyClient(fake.api_key, base_url=fake.url, lead_type=Row) as client:
                batch = await client.get_leads([third, second, first])
        return batch.to_dicts()

    rows = asyncio.run(main())
    assert [row["id"] for row in rows] == [third, first]
    assert isinstance(rows[0]["timestamp_created"], datetime)
