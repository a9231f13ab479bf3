"""The list strategy over real HTTP, against the fake API and its quirks."""

import asyncio
import zlib
from collections.abc import AsyncIterator

import msgspec
import pytest
from wire import HANG, READ, Script, answer, scripted

from instantly_async import (
    ConfigurationError,
    Found,
    InstantlyClient,
    Lead,
    NotFound,
    RetryPolicy,
    Strategy,
    Timeouts,
)
from instantly_async.testing import FakeInstantly, Fault, lead_ids, lead_json

IDS = list(lead_ids(250))


@pytest.fixture
async def fake() -> AsyncIterator[FakeInstantly]:
    async with FakeInstantly(rate_limit=None, list_payload_keys={}) as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeInstantly) -> AsyncIterator[InstantlyClient[Lead]]:
    async with InstantlyClient(fake.api_key, base_url=fake.url, rate_limit=None) as client:
        yield client
    await asyncio.sleep(0)


def methods(fake: FakeInstantly) -> tuple[int, int]:
    """How many list requests, and how many for one lead."""
    seen = [request.method for request in fake.requests]
    return seen.count("POST"), seen.count("GET")


@pytest.mark.parametrize("ordered", [True, False])
async def test_both_strategies_give_the_same(
    client: InstantlyClient[Lead], fake: FakeInstantly, ordered: bool
) -> None:
    """But for the keys of ``payload``, which users report to differ between the endpoints."""
    fake.unknown = set(IDS[10:20])
    by_get = await client.get_leads(IDS)
    by_list = await client.get_leads(IDS, strategy="list", ordered=ordered)
    assert by_list.leads == by_get.leads
    assert by_list.not_found == by_get.not_found
    assert by_list.stats.requests == 3 + 10
    assert by_list.stats.fallbacks == 10
    assert client.stats.requests == by_get.stats.requests + by_list.stats.requests


async def test_payload_keys_can_differ() -> None:
    """Reported by users, not documented: nothing is renamed."""
    async with FakeInstantly() as fake, InstantlyClient(fake.api_key, base_url=fake.url) as client:
        by_list = await client.get_leads(IDS[:20], strategy="list")
    keys = {key for lead in by_list.leads for key in lead.payload or {}}
    assert "LinkedIn_personURL" in keys
    assert "person_linkedIn" not in keys


@pytest.mark.parametrize("strategy", ["get", "list"])
async def test_raw_is_the_servers_own_json(
    client: InstantlyClient[Lead], fake: FakeInstantly, strategy: Strategy
) -> None:
    async with client.stream_leads(IDS, strategy=strategy, keep_raw=True) as stream:
        async for outcome in stream:
            assert isinstance(outcome, Found)
            assert type(outcome.raw) is bytes
            assert outcome.raw == lead_json(outcome.lead.id)


async def test_a_type_of_ones_own(fake: FakeInstantly) -> None:
    """Also one without a field for the id, which is checked all the same."""

    class Mail(msgspec.Struct):
        email: str

    async with InstantlyClient(fake.api_key, base_url=fake.url, lead_type=Mail) as client:
        batch = await client.get_leads(IDS[:100], strategy="list")
        assert len({mail.email for mail in batch.leads}) == 100
        fake.list_injects = next(lead_ids(1, seed=7))
        batch = await client.get_leads(IDS[:10], strategy="list")
        assert batch.stats.list_distrusted
        assert len(batch.leads) == 10


async def test_the_filter_is_ignored(client: InstantlyClient[Lead], fake: FakeInstantly) -> None:
    """The whole workspace comes back: not one of its leads gets through."""
    fake.list_ignores_filter = True
    fake.workspace_seed = 3
    batch = await client.get_leads(IDS, strategy="list")
    assert [lead.id for lead in batch.leads] == IDS
    assert methods(fake)[0] == 3
    assert {r.lead_id for r in fake.requests if r.method == "GET"} == set(IDS)
    assert batch.stats.list_distrusted


async def test_a_subset_is_missing(client: InstantlyClient[Lead], fake: FakeInstantly) -> None:
    fake.list_omits = set(IDS[::25])
    batch = await client.get_leads(IDS, strategy="list")
    assert [lead.id for lead in batch.leads] == IDS
    assert methods(fake) == (3, 10)
    trusting = await client.get_leads(IDS, strategy="list", confirm_missing=False)
    assert trusting.not_found == IDS[::25]
    assert methods(fake) == (6, 10)


async def test_fewer_ids_are_allowed(client: InstantlyClient[Lead], fake: FakeInstantly) -> None:
    fake.max_list_ids = 30
    batch = await client.get_leads(IDS, strategy="list")
    assert [lead.id for lead in batch.leads] == IDS
    assert methods(fake)[1] == 0
    assert max(len(request.ids) for request in fake.requests if request.status == 200) == 25


async def test_a_slow_page_has_its_own_timeouts(fake: FakeInstantly) -> None:
    fake.list_latency_s = 0.6
    timeouts = Timeouts(read_s=0.2, total_s=0.3)
    async with InstantlyClient(fake.api_key, base_url=fake.url, timeouts=timeouts) as client:
        batch = await client.get_leads(IDS[:100], strategy="list")
    assert len(batch.leads) == 100
    assert methods(fake) == (1, 0)


async def test_a_page_that_never_comes_goes_one_by_one(fake: FakeInstantly) -> None:
    fake.script_list(*[Fault.stall(30)] * 9)
    timeouts = Timeouts(list_read_s=0.2)
    retry = RetryPolicy(attempts=2, backoff_base_s=0.01)
    async with InstantlyClient(
        fake.api_key, base_url=fake.url, timeouts=timeouts, retry=retry, rate_limit=None
    ) as client:
        batch = await client.get_leads(IDS[:50], strategy="list")
    assert len(batch.leads) == 50
    assert methods(fake) == (2, 50 + 1)  # a probe: is Get lead down, too?


@pytest.mark.parametrize(
    "faults",
    [
        [Fault.status(500), Fault.reset(), Fault.truncate()],
        [Fault.close(), Fault.status(429)],
        [Fault.body(b"<html>"), Fault.status(200)],
    ],
)
async def test_faults_are_retried(
    client: InstantlyClient[Lead], fake: FakeInstantly, faults: list[Fault]
) -> None:
    fake.script_list(*faults)
    batch = await client.get_leads(IDS, strategy="list")
    assert [lead.id for lead in batch.leads] == IDS


async def test_a_page_with_a_stranger_costs_its_connection() -> None:
    """It may be the answer to another request, and so may be the next one on that connection."""
    asked, stranger = lead_ids(2)
    page = b'{"items":[' + lead_json(stranger) + b"]}"
    async with scripted([[READ, answer(page), HANG], [READ, answer(lead_json(asked))]]) as wire:
        async with InstantlyClient("key", base_url=wire.url) as client:
            batch = await client.get_leads([asked], strategy="list")
        assert [lead.id for lead in batch.leads] == [asked]
        assert batch.stats.list_distrusted
        assert wire.connections == 2


async def test_a_page_over_its_cap_goes_one_by_one() -> None:
    """30 kB that unpack to 30 MB: reading stops at 16 MiB."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = squeezer.compress(b'{"items": [' + bytes(30_000_000)) + squeezer.flush()
    (lead_id,) = lead_ids(1)
    scripts: list[Script] = [
        [READ, answer(bomb, "200 OK", "Content-Encoding: gzip")],
        [READ, answer(lead_json(lead_id))],
    ]
    async with scripted(scripts) as wire:
        async with InstantlyClient("a-key", base_url=wire.url) as client:
            batch = await client.get_leads([lead_id], strategy="list")
        assert [lead.id for lead in batch.leads] == [lead_id]
        assert [request[:4] for request in wire.requests] == [b"POST", b"GET "]
        await asyncio.sleep(0)


async def test_leaving_early_and_closing(
    client: InstantlyClient[Lead], fake: FakeInstantly
) -> None:
    fake.unknown = set(IDS[::2])
    fake.latency_s = 0.01
    async with client.stream_leads(lead_ids(100_000), strategy="list") as stream:
        async for outcome in stream:
            if isinstance(outcome, NotFound):
                break
    assert stream.stats.in_flight == 0
    assert stream.stats.requested <= 17 * 100


async def test_the_strategy_is_checked(client: InstantlyClient[Lead]) -> None:
    with pytest.raises(ConfigurationError, match='"get" or "list"'):
        client.stream_leads([], strategy="lists")  # type: ignore[arg-type]
