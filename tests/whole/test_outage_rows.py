"""Faults 36, 37 and 41: what looks like an outage and is none, and an outage that hides."""

import asyncio
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pytest
from wire import CLOSE, RESET, Script, scripted

from instantly_async import (
    InstantlyClient,
    RetryPolicy,
    ServerError,
    ServiceUnavailableError,
    Stats,
    TransientError,
)
from instantly_async.testing import FakeInstantly, Fault, lead_ids

pytestmark = pytest.mark.soak

IDS = list(lead_ids(200))
QUICK = RetryPolicy(backoff_base_s=0.001, budget_refill_per_s=1000, breaker_patience_s=1.5)


@pytest.fixture
def fake() -> Iterator[FakeInstantly]:
    with FakeInstantly(rate_limit=None) as running:
        yield running


def client_of(url: str, **settings: Any) -> InstantlyClient[Any]:
    settings = {"retry": QUICK, "rate_limit": None, **settings}
    return InstantlyClient(FakeInstantly().api_key, base_url=url, **settings)


@pytest.mark.parametrize("concurrency", [1, 100])
@pytest.mark.parametrize("count", [8, 100])
async def test_row_36_the_last_ids_always_answer_500(
    fake: FakeInstantly, count: int, concurrency: int
) -> None:
    """Each fails after its attempts, and the run ends by itself."""
    fake.broken = set(IDS[-count:])
    retry = RetryPolicy(backoff_base_s=0.001, budget_refill_per_s=1000)
    async with client_of(fake.url, retry=retry, concurrency=concurrency) as client:
        batch = await client.get_leads(IDS)
        assert not client.stats.breaker_open
    assert len(batch.leads) == 200 - count
    assert {failed.lead_id for failed in batch.failed} == fake.broken
    assert all(isinstance(failed.error, ServerError) for failed in batch.failed)
    assert {failed.attempts for failed in batch.failed} == {5}


async def test_row_36_by_list_what_pages_leave_out(fake: FakeInstantly) -> None:
    fake.broken = set(IDS[-100:])
    fake.list_omits = fake.broken
    async with client_of(fake.url) as client:
        batch = await client.get_leads(IDS, strategy="list")
    assert len(batch.leads) == 100
    assert {failed.attempts for failed in batch.failed} == {6}  # one of them a page


async def test_row_37_get_lead_is_down(fake: FakeInstantly) -> None:
    """By GET it waits, probes and ends; by list it goes on."""
    fake.broken = lambda _: True
    async with client_of(fake.url) as client:
        with pytest.raises(ServiceUnavailableError, match="HTTP 500") as caught:
            await client.get_leads(IDS)
        assert client.stats.breaker_open
        assert caught.value.partial.outcomes == ()
        assert fake.counts.total() < 300
        batch = await client.get_leads(IDS, strategy="list")
        assert len(batch.leads) == 200
        fake.list_omits = set(IDS[::100])
        batch = await client.get_leads(IDS, strategy="list")
        assert len(batch.leads) == 198
        assert {type(failed.error) for failed in batch.failed} == {TransientError}
    fake.broken = ()
    async with client_of(fake.url) as client:
        batch = await client.get_leads(IDS, strategy="list")
        assert len(batch.leads) == 200


@pytest.mark.parametrize("down", [True, Fault.reset(), Fault.status(404)])
async def test_row_37_list_leads_is_down(fake: FakeInstantly, down: bool | Fault) -> None:
    fake.list_down = down
    async with client_of(fake.url) as client:
        for strategy in ("list", "get"):
            batch = await client.get_leads(IDS, strategy=strategy)
            assert len(batch.leads) == 200


async def test_row_41_an_outage_without_tokens(fake: FakeInstantly) -> None:
    """The breaker's own count is far from enough: a probe opens it, and the statistics say so."""
    retry = RetryPolicy(
        budget_capacity=1, breaker_threshold=10**6, breaker_patience_s=1.0, backoff_base_s=0.001
    )
    seen: list[Stats] = []

    async def watch(client: InstantlyClient[Any]) -> None:
        while not seen or seen[-1].gives_up_s is None:
            await asyncio.sleep(0.001)
            seen.append(client.stats)

    fake.down = True
    async with client_of(fake.url, retry=retry, concurrency=5) as client:
        watching = asyncio.create_task(watch(client))
        with pytest.raises(ServiceUnavailableError):
            await client.get_leads(IDS)
        await watching
    assert any(stats.waiting for stats in seen)
    assert seen[-1].breaker_open


@pytest.mark.parametrize("how", [[CLOSE], [RESET], [0.05, CLOSE]], ids=["fin", "rst", "late"])
async def test_a_front_that_accepts_and_closes_is_an_outage(how: Script) -> None:
    """As a load balancer without backends does: each connection is a failed attempt."""
    async with scripted(repeat(how)) as wire:
        async with client_of(wire.url, retry=RetryPolicy(breaker_patience_s=0.3)) as client:
            with pytest.raises(ServiceUnavailableError):
                await client.get_leads(IDS)
            assert client.stats.breaker_open
            assert client.stats.done == 0
