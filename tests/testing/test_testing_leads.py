"""Invented leads: the same from the same id, like real ones in size and shape."""

import re
from collections import Counter
from enum import Enum
from itertools import islice
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instantly_async import models
from instantly_async.models import Lead
from instantly_async.testing import (
    campaign_ids,
    email_of,
    lead_ids,
    lead_json,
    list_ids,
    make_lead,
)
from instantly_async.testing.leads import TEMPLATES, LeadRenderer, lead_id_at, lead_index

SAMPLE = list(lead_ids(10 * TEMPLATES))
OTHER_RENDERER = LeadRenderer()


def test_ids_are_distinct_ascending_canonical_version_7() -> None:
    assert len(set(SAMPLE)) == len(SAMPLE)
    assert sorted(SAMPLE) == SAMPLE
    for lead_id in SAMPLE:
        assert str(UUID(lead_id)) == lead_id
        assert UUID(lead_id).version == 7


def test_ids_are_lazy_and_any_number() -> None:
    assert list(islice(lead_ids(10_000_000), 3)) == SAMPLE[:3]
    assert list(lead_ids(0)) == []


@given(index=st.integers(0, 10_000_000), step=st.integers(1, 10_000_000), seed=st.integers(0))
def test_ids_ascend_over_the_whole_range(index: int, step: int, seed: int) -> None:
    assert lead_id_at(index, seed) < lead_id_at(index + step, seed)


@given(index=st.integers(0, 10**12), seed=st.integers(0, 99))
def test_an_id_tells_its_index(index: int, seed: int) -> None:
    """But only with its own seed, and only if the whole id is right."""
    lead_id = lead_id_at(index, seed)
    assert lead_index(lead_id, seed) == index
    assert lead_index(lead_id, seed + 1) is None
    assert lead_index(lead_id[:-1] + "0f"[lead_id[-1] == "0"], seed) is None


@pytest.mark.parametrize("other", ["", "-" * 36, lead_id_at(-1)])
def test_other_ids_have_no_index(other: str) -> None:
    assert lead_index(other) is None


def test_seeds_give_different_ids() -> None:
    assert set(lead_ids(1000, seed=1)).isdisjoint(lead_ids(1000, seed=2))
    assert list(lead_ids(10, seed=1)) == list(lead_ids(10, seed=1))


@given(lead_id=st.uuids())
def test_any_id_gives_the_same_lead_again(lead_id: UUID) -> None:
    """Even from another renderer, or if its id is in capitals."""
    body = lead_json(str(lead_id))
    assert body == lead_json(str(lead_id).upper())
    assert body == OTHER_RENDERER.render(str(lead_id))
    assert make_lead(str(lead_id))["id"] == str(lead_id)


def test_leads_are_about_3_kb_and_decode() -> None:
    for lead_id in SAMPLE:
        body = lead_json(lead_id)
        assert 2_700 <= len(body) <= 3_300
        assert msgspec.json.decode(body, type=Lead).id == lead_id


def test_leads_show_every_field_and_only_those() -> None:
    filled: Counter[str] = Counter()
    for lead_id in SAMPLE:
        lead = make_lead(lead_id)
        assert lead.keys() <= set(Lead.__struct_fields__)
        filled.update(name for name, value in lead.items() if value is not None)
    assert filled.keys() == set(Lead.__struct_fields__)
    assert filled["payload"] < len(SAMPLE)


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("status", models.LeadStatus),
        ("lt_interest_status", models.InterestStatus),
        ("verification_status", models.VerificationStatus),
        ("enrichment_status", models.EnrichmentStatus),
        ("upload_method", models.UploadMethod),
        ("esp_code", models.EspCode),
        ("esg_code", models.EsgCode),
    ],
)
def test_every_documented_code_turns_up(name: str, codes: type[Enum]) -> None:
    leads = (msgspec.json.decode(lead_json(lead_id), type=Lead) for lead_id in SAMPLE)
    assert {getattr(lead, name) for lead in leads} - {None} == set(codes)


def test_nobody_real_is_meant() -> None:
    """Domains are those that RFC 2606 reserves."""
    hosts = re.compile(r"(?:@|https?://)([\w.-]+)")
    for lead_id in SAMPLE:
        for host in hosts.findall(lead_json(lead_id).decode()):
            assert host.endswith((".test", "example.com")), host
    assert len({make_lead(lead_id)["email"] for lead_id in SAMPLE}) == len(SAMPLE)


def test_leads_are_in_campaigns_and_lists() -> None:
    """Each is in a campaign, most are in a list; each list has leads of each campaign."""
    leads = [make_lead(lead_id) for lead_id in SAMPLE]
    groups = Counter((lead["campaign"], lead["list_id"]) for lead in leads)
    assert groups.keys() == {(c, each) for c in campaign_ids() for each in (*list_ids(), None)}
    for group in (*campaign_ids(), *list_ids()):
        assert str(UUID(group)) == group


def test_the_email_of_an_id_is_that_of_its_lead() -> None:
    for lead_id in SAMPLE:
        assert email_of(lead_id.upper()) == make_lead(lead_id)["email"]


def test_a_lead_is_rendered_with_fields_of_its_own_and_without_others() -> None:
    lead_id = SAMPLE[0]
    body = OTHER_RENDERER.render(lead_id, {"email": "x", "odd": [1]}, {"phone", "campaign"})
    expected = make_lead(lead_id) | {"email": "x", "odd": [1]}
    del expected["phone"], expected["campaign"]
    assert msgspec.json.decode(body) == expected


def test_payload_keys_are_renamed_in_the_payload_only() -> None:
    lead_id = next(lead_id for lead_id in SAMPLE if make_lead(lead_id)["payload"])
    lead = make_lead(lead_id)
    renamed = msgspec.json.decode(LeadRenderer({"website": "Site"}).render(lead_id))
    assert renamed["website"] == lead["website"]
    assert renamed["payload"]["Site"] == lead["payload"]["website"]
    assert "website" not in renamed["payload"]
