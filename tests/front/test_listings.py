"""``list_leads`` and ``find_leads`` over real sockets: what users see of listings and searches."""

import asyncio
import gc
from collections.abc import AsyncIterator
from itertools import islice
from uuid import UUID

import msgspec
import pytest

from instantly_async import (
    ClosedError,
    ConfigurationError,
    EmailMatch,
    FilterIgnoredError,
    Found,
    InstantlyClient,
    Lead,
    RetryPolicy,
)
from instantly_async.testing import (
    FakeInstantly,
    Fault,
    campaign_ids,
    email_of,
    lead_ids,
    list_ids,
    make_lead,
)

pytestmark = pytest.mark.fake_instantly(rate_limit=None)

IDS = list(lead_ids(250))  # the workspace of the fake
CAMPAIGN = campaign_ids()[0]
OF_CAMPAIGN = [each for each in IDS if make_lead(each)["campaign"] == CAMPAIGN]
OF_LIST = [each for each in IDS if make_lead(each)["list_id"] == list_ids()[0]]


@pytest.fixture
async def client(fake_instantly: FakeInstantly) -> AsyncIterator[InstantlyClient[Lead]]:
    url, key = fake_instantly.url, fake_instantly.api_key
    async with InstantlyClient(key, base_url=url, rate_limit=None) as client:
        yield client


async def test_a_campaign(client: InstantlyClient[Lead]) -> None:
    async with client.list_leads(campaign=CAMPAIGN) as stream:
        found = [outcome async for outcome in stream if isinstance(outcome, Found)]
    assert [outcome.lead_id for outcome in found] == OF_CAMPAIGN
    assert {outcome.lead.campaign for outcome in found} == {CAMPAIGN}
    assert stream.stats.found == stream.stats.done == len(OF_CAMPAIGN)
    assert client.stats.requests == stream.stats.requests == 4


async def test_a_list_and_the_workspace(client: InstantlyClient[Lead]) -> None:
    listed = [outcome.lead_id async for outcome in client.list_leads(list_id=list_ids()[0])]
    assert listed == OF_LIST
    assert [outcome.lead_id async for outcome in client.list_leads()] == IDS


async def test_it_goes_on_behind_a_lead(client: InstantlyClient[Lead]) -> None:
    """In any spelling of an id."""
    after = UUID(OF_CAMPAIGN[7])
    spelled = f"{{{CAMPAIGN.upper()}}}"
    rest = [o.lead_id async for o in client.list_leads(campaign=spelled, after=after)]
    assert rest == OF_CAMPAIGN[8:]


async def test_emails(client: InstantlyClient[Lead]) -> None:
    emails = [email_of(IDS[3]), email_of(IDS[4]).upper(), "nobody@example.com"]
    async with client.find_leads(emails, ordered=True) as stream:
        matches = [match async for match in stream]
    assert all(isinstance(match, EmailMatch) for match in matches)
    assert [[lead.id for lead in match.leads] for match in matches] == [[IDS[3]], [IDS[4]], []]
    assert [match.email for match in matches] == emails
    assert (stream.stats.found, stream.stats.not_found) == (2, 1)


async def test_two_leads_with_one_email(
    client: InstantlyClient[Lead], fake_instantly: FakeInstantly
) -> None:
    fake_instantly.fields = {IDS[9]: {"email": email_of(IDS[2]).title()}}
    (match,) = [match async for match in client.find_leads([email_of(IDS[2])])]
    assert [lead.id for lead in match.leads] == [IDS[2], IDS[9]]


async def test_ignored_filters(
    client: InstantlyClient[Lead], fake_instantly: FakeInstantly
) -> None:
    fake_instantly.list_ignores_filter = True
    for stream in (client.list_leads(campaign=CAMPAIGN), client.find_leads([email_of(IDS[0])])):
        with pytest.raises(FilterIgnoredError) as caught:
            async for outcome in stream:
                pytest.fail(f"{outcome} is foreign")
        assert caught.value.partial is None


@pytest.mark.parametrize(
    "quirks",
    [
        {"list_last_cursor": False},
        {"list_shift": 3},
        {"list_omits_fields": ("email", "campaign", "list_id")},
        {"reads_contacts": 20},
        {"max_contacts": 30},
        {"list_latency_s": 0.02},
        {"fault_rate": 0.1},
    ],
    ids=str,
)
async def test_quirks(
    client: InstantlyClient[Lead], fake_instantly: FakeInstantly, quirks: dict[str, object]
) -> None:
    """What people report, and what nobody knows: each lead comes once all the same."""
    for name, value in quirks.items():
        setattr(fake_instantly, name, value)
    listed = [outcome.lead_id async for outcome in client.list_leads(campaign=CAMPAIGN)]
    assert listed == OF_CAMPAIGN
    matches = [match async for match in client.find_leads(map(email_of, IDS))]
    assert {match.index: [lead.id for lead in match.leads] for match in matches} == {
        index: [lead_id] for index, lead_id in enumerate(IDS)
    }


class Narrow(msgspec.Struct):
    website: str | None = None


async def test_a_narrow_type(fake_instantly: FakeInstantly) -> None:
    async with InstantlyClient(
        fake_instantly.api_key, base_url=fake_instantly.url, rate_limit=None, lead_type=Narrow
    ) as client:
        found = [o async for o in client.list_leads(campaign=CAMPAIGN) if isinstance(o, Found)]
        assert len(found) == len(OF_CAMPAIGN)
        assert {type(outcome.lead) for outcome in found} == {Narrow}


async def test_wrong_arguments(client: InstantlyClient[Lead]) -> None:
    with pytest.raises(ConfigurationError, match=r"^campaign must be a UUID"):
        client.list_leads(campaign="spring")
    with pytest.raises(ConfigurationError, match=r"^after must be a UUID"):
        client.list_leads(after="")
    with pytest.raises(ConfigurationError, match="campaign or list_id, not both"):
        client.list_leads(campaign=CAMPAIGN, list_id=list_ids()[0])
    with pytest.raises(TypeError, match="emails is a string"):
        client.find_leads("ada@example.com")
    with pytest.raises(ConfigurationError, match="concurrency"):
        client.find_leads([], concurrency=0)
    await client.aclose()
    for call in (client.list_leads, lambda: client.find_leads([])):
        with pytest.raises(ClosedError):
            call()


async def test_leaving_early_sends_no_more(
    client: InstantlyClient[Lead], fake_instantly: FakeInstantly
) -> None:
    fake_instantly.workspace_size = 5000
    async with client.list_leads() as stream:
        async for _ in stream:
            break
    seen = len(fake_instantly.requests)
    assert seen <= 3
    async with client.find_leads(map(email_of, lead_ids(5000)), concurrency=1) as matches:
        async for _ in matches:
            break
    await asyncio.sleep(0)
    assert len(fake_instantly.requests) <= seen + 6


async def test_it_reads_ahead_by_a_page_and_no_more(
    client: InstantlyClient[Lead], fake_instantly: FakeInstantly
) -> None:
    """Law: a consumer that stops holds up the listing; memory is bounded."""
    fake_instantly.workspace_size = 5000
    async with client.list_leads() as stream:
        await anext(stream)
        for _ in range(50):
            await client.check()  # so the listing had time for more
        listed = [each for each in fake_instantly.requests if each.limit == 100]
        assert len(listed) == 2  # one is read, one is ready


async def test_a_listing_ends_with_its_client(
    client: InstantlyClient[Lead], fake_instantly: FakeInstantly
) -> None:
    fake_instantly.list_latency_s = 60
    pending = asyncio.ensure_future(anext(client.list_leads()))
    while not fake_instantly.requests:
        await asyncio.sleep(0.001)
    await client.aclose()
    with pytest.raises(ClosedError):
        await pending


async def test_an_abandoned_listing_is_collected(client: InstantlyClient[Lead]) -> None:
    stream = client.list_leads()
    await anext(stream)
    assert client._activity._streams
    del stream
    gc.collect()
    while client._activity._streams:
        await asyncio.sleep(0.001)


async def test_retries(client: InstantlyClient[Lead], fake_instantly: FakeInstantly) -> None:
    fake_instantly.script_list(Fault.reset(), Fault.status(503), Fault.truncate())
    listed = [outcome.lead_id async for outcome in client.list_leads(campaign=CAMPAIGN)]
    assert listed == OF_CAMPAIGN
    assert client.stats.retries == 3


async def test_the_next_page_waits_for_nothing(fake_instantly: FakeInstantly) -> None:
    """While the consumer works on a page, the next one is on its way."""
    async with InstantlyClient(
        fake_instantly.api_key,
        base_url=fake_instantly.url,
        rate_limit=None,
        retry=RetryPolicy(attempts=1),
    ) as client:
        stream = client.list_leads()
        first = [await anext(stream) for _ in range(100)]
        assert [outcome.lead_id for outcome in first] == IDS[:100]
        while sum(each.limit == 100 for each in fake_instantly.requests) < 3:
            await asyncio.sleep(0.001)
        rest = [outcome.lead_id async for outcome in stream]
        assert rest == IDS[100:]
        assert list(islice(lead_ids(250), 100, None)) == rest
