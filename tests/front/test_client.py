"""The public face over real HTTP, against the fake API in this process."""

import asyncio
import gc
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from wire import KEEP, answer, leads_by_id

from instantly_async import (
    AdaptiveLimiter,
    AuthenticationError,
    ClosedError,
    ConfigurationError,
    DecodeError,
    EdgeBlockedError,
    Failed,
    Found,
    InstantlyClient,
    InvalidLeadIdError,
    Lead,
    NotFound,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimit,
    RunError,
    ServerError,
)
from instantly_async.limiters import BaseLimiter
from instantly_async.testing import FakeInstantly, Fault, lead_ids, lead_json

CANARY = "canary-7f3a-key"


@pytest.fixture
async def fake() -> AsyncIterator[FakeInstantly]:
    async with FakeInstantly(api_key=CANARY, rate_limit=None) as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeInstantly) -> AsyncIterator[InstantlyClient[Lead]]:
    async with InstantlyClient(CANARY, base_url=fake.url, rate_limit=None) as client:
        yield client
    await asyncio.sleep(0)


async def test_get_lead(client: InstantlyClient[Lead]) -> None:
    """As text in any case with white space, or as a UUID."""
    (lead_id,) = lead_ids(1)
    for given in (lead_id, f"  {lead_id.upper()}\n", UUID(lead_id)):
        lead = await client.get_lead(given)
        assert isinstance(lead, Lead)
        assert lead.id == lead_id
    assert client.stats.found == 3


async def test_get_lead_raises(fake: FakeInstantly, client: InstantlyClient[Lead]) -> None:
    missing, broken = lead_ids(2)
    fake.unknown = {missing}
    fake.script(broken, *[Fault.status(400)])
    with pytest.raises(NotFoundError) as caught:
        await client.get_lead(missing)
    assert (caught.value.lead_id, caught.value.attempts) == (missing, 1)
    with pytest.raises(InvalidLeadIdError):
        await client.get_lead("no-uuid")
    with pytest.raises(Exception, match="HTTP 400"):
        await client.get_lead(broken)
    assert client.stats.not_found == 1
    assert client.stats.failed == {"InvalidLeadIdError": 1, "RequestRejectedError": 1}


async def test_stream_gives_every_outcome_once(
    fake: FakeInstantly, client: InstantlyClient[Lead]
) -> None:
    ids: list[Any] = [*lead_ids(50), "no-uuid", *lead_ids(2), UUID(next(lead_ids(1)))]
    fake.unknown = {ids[3]}
    fake.script(ids[5], *[Fault.status(500)] * 5)
    fake.latency_s = 0.005  # so that others are sent after the bad one
    async with client.stream_leads(ids) as stream:
        outcomes = [outcome async for outcome in stream]
    assert sorted(outcome.index for outcome in outcomes) == list(range(len(ids)))
    assert all(outcome.lead_id is ids[outcome.index] for outcome in outcomes)
    kinds = Counter(type(outcome).__name__ for outcome in outcomes)
    assert kinds == {"Found": 51, "NotFound": 1, "Failed": 2}
    by_index = {outcome.index: outcome for outcome in outcomes}
    assert isinstance(by_index[3], NotFound)
    failed = by_index[5]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ServerError)
    stats = stream.stats
    assert (stats.requested, stats.done, stats.in_flight) == (54, 54, 0)
    assert stats.requests == fake.counts.total() == 53 + 4 + 1  # a probe
    assert stats.retries == 4
    assert stats.latency_p50_s is not None
    assert stats.bytes_received > 100_000
    assert stats.elapsed_s == stream.stats.elapsed_s > 0  # the clock has stopped
    assert client.stats.found == 51


async def test_ordered_stream(fake: FakeInstantly, client: InstantlyClient[Lead]) -> None:
    fake.latency_s, fake.jitter_s = 0.004, 0.004
    ids = list(lead_ids(150))
    async with client.stream_leads(iter(ids), ordered=True, concurrency=20) as stream:
        assert [outcome.lead_id async for outcome in stream] == ids


async def test_async_input_and_bare_loop(client: InstantlyClient[Lead]) -> None:
    async def slowly() -> AsyncIterator[str]:
        for lead_id in lead_ids(10):
            await asyncio.sleep(0)
            yield lead_id

    found = [outcome.index async for outcome in client.stream_leads(slowly())]
    assert sorted(found) == list(range(10))


async def test_a_bare_loop_left_early_is_cleaned_up(
    fake: FakeInstantly, client: InstantlyClient[Lead]
) -> None:
    """When the stream is collected its work ends, and its generator is closed."""
    closed = []

    def endless() -> Iterator[str]:
        try:
            yield from lead_ids(10_000)
        finally:
            closed.append(True)

    async for outcome in client.stream_leads(endless(), concurrency=4):
        assert isinstance(outcome, Found)
        break
    gc.collect()
    for _ in range(50):
        if closed:
            break
        await asyncio.sleep(0.01)
    assert closed == [True]
    assert client.stats.in_flight == 0
    assert client._activity._streams == {}


async def test_get_leads_in_input_order(fake: FakeInstantly, client: InstantlyClient[Lead]) -> None:
    ids = [*lead_ids(20), "bad"]
    fake.unknown = {ids[4]}
    batch = await client.get_leads(ids)
    assert [outcome.lead_id for outcome in batch.outcomes] == ids
    assert [lead.id for lead in batch.leads] == [i for i in ids[:20] if i != ids[4]]
    assert batch.not_found == [ids[4]]
    assert [failed.lead_id for failed in batch.failed] == ["bad"]
    assert batch.stats.requested == 21
    with pytest.raises(InvalidLeadIdError) as caught:
        batch.raise_for_failures()
    assert caught.value.__notes__ == ["1 of 21 leads failed; this is the first."]
    assert (await client.get_leads([])).outcomes == ()


async def test_a_run_error_carries_the_finished_part(
    fake: FakeInstantly, client: InstantlyClient[Lead]
) -> None:
    ids = list(lead_ids(300))
    fake.script(ids[150], Fault.status(402), Fault.status(402))  # once more, to be sure
    with pytest.raises(PaymentRequiredError) as caught:
        await client.get_leads(ids, concurrency=10)
    partial = caught.value.partial
    assert 100 < len(partial.outcomes) < 200
    assert fake.counts.total() < 200


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"api_key": "another-key"}, AuthenticationError, "the api_key argument"),
        ({"paid_plan": False}, PaymentRequiredError, "paid plan"),
        ({"scopes": {"campaigns:read"}}, PermissionDeniedError, "leads:read"),
        ({"down": Fault.status(403, b"error code: 1010")}, EdgeBlockedError, "CDN"),
    ],
)
async def test_fatal_answers_stop_the_run(
    settings: dict[str, Any], kind: type[RunError], words: str
) -> None:
    async with FakeInstantly(**{"api_key": CANARY, **settings}) as fake:
        async with InstantlyClient(CANARY, base_url=fake.url, concurrency=10) as client:
            with pytest.raises(kind, match=words):
                async for _ in client.stream_leads(lead_ids(1000)):
                    pass
            assert fake.counts.total() <= 10
        await asyncio.sleep(0)


async def test_own_lead_type(fake: FakeInstantly) -> None:
    """Three fields decode just those three; salvage and raw bytes work as for ``Lead``."""

    class Row(msgspec.Struct):
        id: str
        email: str | None = None
        opens: int = msgspec.field(default=0, name="email_open_count")

    (lead_id,) = lead_ids(1)
    fake.script(lead_id, Fault.patch(email_open_count="12"))
    async with InstantlyClient(CANARY, base_url=fake.url, lead_type=Row) as client:
        async with client.stream_leads([lead_id]) as stream:
            (outcome,) = [outcome async for outcome in stream]
        assert isinstance(outcome, Found)
        assert outcome.lead.opens == 12
        assert outcome.problems == ("email_open_count",)
        assert outcome.raw is not None
        assert b'"email_open_count":"12"' in outcome.raw.replace(b" ", b"")
        lead = await client.get_lead(lead_id)
        assert isinstance(lead, Row)
    await asyncio.sleep(0)


async def test_keep_raw(client: InstantlyClient[Lead]) -> None:
    batch = await client.get_leads(lead_ids(3), keep_raw=True)
    for outcome in batch.outcomes:
        assert isinstance(outcome, Found)
        assert type(outcome.raw) is bytes
        assert msgspec.json.decode(outcome.raw)["id"] == outcome.lead_id
    batch = await client.get_leads(lead_ids(3))
    assert [o.raw for o in batch.outcomes if isinstance(o, Found)] == [None] * 3


async def test_the_wrong_lead_is_never_passed_on(
    fake: FakeInstantly, client: InstantlyClient[Lead]
) -> None:
    (lead_id,) = lead_ids(1)
    fake.script(lead_id, Fault.wrong_id(), Fault.wrong_id())
    with pytest.raises(DecodeError) as caught:
        await client.get_lead(lead_id)
    assert caught.value.path == "$.id"


async def test_an_answer_to_another_request_costs_the_connection() -> None:
    """The next answer on it could be another one's too, so the retry takes a new connection."""
    asked, other = lead_ids(2)
    async with leads_by_id({asked: [[answer(lead_json(other)), KEEP]]}) as wire:
        async with InstantlyClient(CANARY, base_url=wire.url) as client:
            assert (await client.get_lead(asked)).id == asked
            assert wire.connections == 2
            await client.get_lead(other)
            assert wire.connections == 2


async def test_for_workspace(fake: FakeInstantly, client: InstantlyClient[Lead]) -> None:
    """Same connections, own limiter and header; the same id returns the same sibling.

    A closed sibling stays closed; its successor keeps the limiter, as the limit is the workspace's.
    """
    sibling = client.for_workspace("ws-1")
    assert client.for_workspace("ws-1") is sibling
    assert sibling.for_workspace("ws-2") is client.for_workspace("ws-2")
    assert sibling._workspace.limiter is not client._workspace.limiter
    assert sibling._connections is client._connections
    await client.get_lead(next(lead_ids(1)))
    await sibling.get_lead(next(lead_ids(1)))
    assert [request.workspace for request in fake.requests] == [None, "ws-1"]
    await sibling.aclose()
    with pytest.raises(ClosedError):
        await sibling.get_lead(next(lead_ids(1)))
    await client.get_lead(next(lead_ids(1)))  # the connections are the parent's
    async with client.for_workspace("ws-1") as again:
        assert again is not sibling
        assert again._workspace.limiter is sibling._workspace.limiter
        await again.get_lead(next(lead_ids(1)))
        with pytest.raises(ClosedError):
            await sibling.get_lead(next(lead_ids(1)))


@pytest.mark.parametrize("workspace", ["no header\r\n", "", 5, ["ws"]])
async def test_a_workspace_that_was_refused_is_refused_again(
    client: InstantlyClient[Lead], workspace: Any
) -> None:
    """Nothing is left of the first call, which could act on the parent's workspace."""
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="workspace must be an id"):
            client.for_workspace(workspace)
    with pytest.raises(ConfigurationError, match="workspace must be an id"):
        InstantlyClient(CANARY, workspace=workspace)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"rate_limit": 5}, "rate_limit must be RateLimit or None; int is not."),
        ({"limiter": "x"}, "limiter must be Limiter or None; str is not."),
        ({"retry": None}, "retry must be RetryPolicy; NoneType is not."),
        ({"timeouts": 5.0}, "timeouts must be Timeouts; float is not."),
        ({"ssl_context": False}, "ssl_context must be SSLContext or None; bool is not."),
        (
            {"ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)},
            "ssl_context is one for servers; make one for clients.",
        ),
        ({"concurrency": "5"}, "concurrency must be a whole number of at least 1; '5' is not."),
        ({"concurrency": -(10**5000)}, "at least 1; an object of type int is not."),
        ({"base_url": 5}, "base_url is not a URL"),
        ({"proxy": 5}, "proxy must be a URL"),
        ({"lead_type": dict}, "lead_type must be a msgspec.Struct class."),
        ({"api_key": b"k"}, "The API key must be a string."),
    ],
)
def test_a_setting_of_another_type_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        InstantlyClient(**{"api_key": CANARY, **setting})
    assert message in str(caught.value)
    assert CANARY not in str(caught.value)


async def test_the_parent_closes_former_siblings_too(client: InstantlyClient[Lead]) -> None:
    """A sibling that could not finish closing is closed with the parent, though it was replaced."""
    former = client.for_workspace("ws-1")
    former._workspace.limiter.pause(asyncio.get_running_loop().time(), 1000)
    stream = former.stream_leads(lead_ids(5))
    waiting = asyncio.ensure_future(anext(stream))
    while not stream.stats.in_flight:
        await asyncio.sleep(0)
    former._activity.closed = True  # as if its aclose() had been cancelled
    assert client.for_workspace("ws-1") is not former
    await client.aclose()
    assert stream._pipeline._ended.is_set()
    with pytest.raises(ClosedError):
        await waiting


async def test_the_parent_closes_its_siblings(fake: FakeInstantly) -> None:
    client = InstantlyClient(CANARY, base_url=fake.url, workspace="ws-0")
    assert client.for_workspace("ws-0") is client
    sibling = client.for_workspace("ws-1")
    await client.aclose()
    await client.aclose()
    with pytest.raises(ClosedError):
        sibling.stream_leads([])
    with pytest.raises(ClosedError):
        client.for_workspace("ws-2")


async def test_a_shared_limiter_paces_both(fake: FakeInstantly) -> None:
    limiter = AdaptiveLimiter(RateLimit(per_second=1000, per_minute=60_000))
    async with (
        InstantlyClient(CANARY, base_url=fake.url, limiter=limiter) as a,
        InstantlyClient(CANARY, base_url=fake.url, limiter=limiter) as b,
    ):
        await asyncio.gather(a.get_leads(lead_ids(30)), b.get_leads(lead_ids(30)))
        assert a.stats.allowed_rate == b.stats.allowed_rate == limiter.rate
    await asyncio.sleep(0)


async def test_closing_ends_open_streams_with_an_error(fake: FakeInstantly) -> None:
    """A consumer that waits is told; ids are not silently left out."""
    fake.latency_s = 5.0
    client = InstantlyClient(CANARY, base_url=fake.url)
    stream = client.stream_leads(lead_ids(10))
    never_used = client.stream_leads(lead_ids(10))
    consumer = asyncio.ensure_future(anext(stream))
    single = asyncio.create_task(client.get_lead(next(lead_ids(1))))
    while fake.counts.total() < 1 and not client.stats.in_flight:
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    await client.aclose()
    with pytest.raises(ClosedError):
        await consumer
    with pytest.raises(ClosedError):
        await single
    with pytest.raises(ClosedError):
        await anext(never_used)
    assert client.stats.in_flight == 0
    assert "closed" in repr(client)
    await asyncio.sleep(0)


async def test_a_stream_nobody_holds_gives_its_outcome(client: InstantlyClient[Lead]) -> None:
    assert isinstance(await anext(client.stream_leads(lead_ids(3))), Found)
    client.stream_leads(lead_ids(3))  # never iterated: nothing keeps it
    gc.collect()
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert client._activity._streams == {}


async def test_siblings_share_the_rate_of_a_given_limiter(fake: FakeInstantly) -> None:
    limiter = AdaptiveLimiter(RateLimit(share=0.5))
    client = InstantlyClient(CANARY, base_url=fake.url, limiter=limiter)
    assert client.for_workspace("ws-1").stats.allowed_rate == limiter.rate
    await client.aclose()


async def test_a_sibling_may_have_a_limiter_of_its_own_choice(fake: FakeInstantly) -> None:
    """Also after it was closed; but another limiter for the same workspace is refused."""
    limiter = AdaptiveLimiter(RateLimit(share=0.3))
    client = InstantlyClient(CANARY, base_url=fake.url)
    sibling = client.for_workspace("ws-1", limiter=limiter)
    assert sibling._workspace.limiter is limiter
    assert client.for_workspace("ws-1") is client.for_workspace("ws-1", limiter=limiter) is sibling
    with pytest.raises(ConfigurationError, match="has a client with another limiter"):
        client.for_workspace("ws-1", limiter=AdaptiveLimiter())
    await sibling.aclose()
    assert client.for_workspace("ws-1")._workspace.limiter is limiter
    with pytest.raises(ConfigurationError, match="limiter must be Limiter or None; str is not"):
        client.for_workspace("ws-2", limiter="redis://localhost")  # type: ignore[arg-type]
    assert client.for_workspace("ws-2") is not sibling
    await client.aclose()


async def test_a_cancelled_close_still_closes_the_connections(fake: FakeInstantly) -> None:
    client = InstantlyClient(CANARY, base_url=fake.url)
    released = asyncio.Event()

    async def slow_to_close() -> AsyncIterator[str]:
        try:
            for lead_id in lead_ids(1000):
                yield lead_id
        finally:
            await released.wait()

    stream = client.stream_leads(slow_to_close(), concurrency=1)
    await anext(stream)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.aclose(), 0.05)
    assert client._connections._pool is None
    released.set()
    await stream.aclose()
    await asyncio.sleep(0)


def test_a_client_belongs_to_one_loop(fake_instantly: FakeInstantly) -> None:
    client = InstantlyClient(fake_instantly.api_key, base_url=fake_instantly.url)

    async def use() -> None:
        await client.get_lead(next(lead_ids(1)))

    async def close() -> None:
        await client.aclose()
        await asyncio.sleep(0)

    with asyncio.Runner() as runner:
        runner.run(use())
        with asyncio.Runner() as other, pytest.raises(ClosedError, match="another event loop"):
            other.run(use())
        runner.run(close())
    assert client.stats.found == 1  # readable without a loop


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"api_key": ""}, "no API key"),
        ({"api_key": "a key"}, "characters"),
        ({"api_key": b"bytes"}, "string"),
        ({"api_key": "key\r\nX-Evil: 1"}, "characters"),
        ({"base_url": "ftp://api.instantly.ai"}, "https"),
        ({"base_url": "http://api.instantly.ai"}, "https"),
        ({"base_url": "https://api.instantly.ai/api/v2"}, "path"),
        ({"base_url": "https://user:pw@api.instantly.ai"}, "password"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 1.5}, "concurrency"),
        ({"workspace": "ws 1"}, "workspace"),
        ({"proxy": "socks5://user:pw@proxy"}, "proxy"),
        ({"proxy": "http://user:pw@host:no-port"}, "proxy"),
        ({"proxy": "http://"}, "proxy"),
        ({"lead_type": dict}, "lead_type"),
    ],
)
def test_bad_settings_are_refused_at_construction(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        InstantlyClient(**{"api_key": CANARY, **arguments})
    assert "pw" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INSTANTLY_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="INSTANTLY_API_KEY"):
        InstantlyClient()
    monkeypatch.setenv("INSTANTLY_API_KEY", f" {CANARY}\n")
    client = InstantlyClient()
    assert client._key.origin == "INSTANTLY_API_KEY"
    assert client._key.header() == f"Bearer {CANARY}"


async def test_wrong_use_is_a_type_error(client: InstantlyClient[Lead]) -> None:
    for wrong in ("one-string", b"bytes", 5):
        with pytest.raises(TypeError):
            client.stream_leads(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="strategy"):
        client.stream_leads([], strategy="fast")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="concurrency"):
        client.stream_leads([], concurrency=-1)


async def test_a_paused_workspace_takes_no_slot_from_another() -> None:
    """Its requests wait for the end of the pause without one, however few there are."""
    ids = list(lead_ids(300))
    async with FakeInstantly(api_key=CANARY, latency_s=0.01) as fake:
        fake.script(ids[40], Fault.throttle(30))
        async with InstantlyClient(CANARY, base_url=fake.url, concurrency=4) as client:
            other = client.for_workspace("another")
            fetching = asyncio.create_task(client.get_leads(ids[:200]))
            while not client.stats.paused_s:
                await asyncio.sleep(0.01)
            batch = await asyncio.wait_for(other.get_leads(ids[200:]), 20)
            assert len(batch.leads) == 100
            assert client.stats.paused_s > 0
            assert client._slots.taken == 0
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching


@pytest.mark.parametrize("seed", range(6))
async def test_cancellation_leaves_nothing_behind(seed: int) -> None:
    """Cancelled at any instant: no task, connection, slot or token waiter is left."""
    async with FakeInstantly(
        api_key=CANARY, latency_s=0.01, jitter_s=0.01, fault_rate=0.3, seed=seed
    ) as fake:
        before = asyncio.all_tasks()
        client = InstantlyClient(CANARY, base_url=fake.url, concurrency=8)
        for round_ in range(12):
            task = asyncio.create_task(client.get_leads(lead_ids(200)))
            await asyncio.sleep((seed * 12 + round_) * 0.0017 % 0.09)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            pool = client._connections._pool
            assert not pool or len(pool._open) == len(pool._idle)
            assert client._slots.taken == 0
            assert not client._connections.in_flight
            limiter = client._workspace.limiter
            assert isinstance(limiter, BaseLimiter)
            assert not limiter._turn.locked()
            assert client._activity._streams == {}
            assert client.stats.in_flight == 0
        await client.aclose()
        left = {
            task
            for task in asyncio.all_tasks() - before
            if "instantly_async/" in repr(task) and "testing" not in repr(task)
        }
        assert left == set()
