"""One id in many spellings is one lead, on the wire and in pages; callers keep their spelling."""

from uuid import UUID

import pytest

from instantly_async import Found, InstantlyClient, Lead
from instantly_async.settings import Strategy
from instantly_async.testing import FakeInstantly, lead_ids

(LEAD_ID,) = lead_ids(1)
DIGITS = LEAD_ID.replace("-", "")
SPELLINGS = (
    LEAD_ID,
    LEAD_ID.upper(),
    DIGITS,
    f"{{{LEAD_ID}}}",
    f"urn:uuid:{LEAD_ID}",
    f"\ufeff\u00a0{DIGITS.upper()}\u200b",
    UUID(LEAD_ID),
)


def client_of(fake: FakeInstantly) -> InstantlyClient[Lead]:
    return InstantlyClient(fake.api_key, base_url=fake.url, rate_limit=None)


@pytest.mark.fake_instantly(rate_limit=None)
async def test_get_lead_sends_the_canonical_form(fake_instantly: FakeInstantly) -> None:
    async with client_of(fake_instantly) as client:
        leads = [await client.get_lead(each) for each in SPELLINGS]
    assert {lead.id for lead in leads} == {LEAD_ID}
    assert {request.path for request in fake_instantly.requests} == {f"/api/v2/leads/{LEAD_ID}"}


@pytest.mark.fake_instantly(rate_limit=None)
@pytest.mark.parametrize("strategy", ["get", "list"])
async def test_outcomes_keep_what_the_caller_passed(
    fake_instantly: FakeInstantly, strategy: Strategy
) -> None:
    async with client_of(fake_instantly) as client:
        batch = await client.get_leads(SPELLINGS, strategy=strategy)
    assert [outcome.lead_id for outcome in batch.outcomes] == list(SPELLINGS)
    assert {outcome.lead.id for outcome in batch.outcomes if isinstance(outcome, Found)} == {
        LEAD_ID
    }
    assert batch.failed == batch.not_found == []
    if strategy == "list":
        assert [request.ids for request in fake_instantly.requests] == [(LEAD_ID,)]


@pytest.mark.fake_instantly(rate_limit=None)
async def test_the_loader_asks_once(fake_instantly: FakeInstantly) -> None:
    async with client_of(fake_instantly) as client:
        outcomes = await client.loader().load_many(SPELLINGS)
    assert [outcome.lead_id for outcome in outcomes] == list(SPELLINGS)
    assert len(fake_instantly.requests) == 1
