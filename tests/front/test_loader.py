"""``LeadLoader``: what its callers see over real HTTP; on a virtual clock, when and how often."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Never
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_api import Answer, Run, VirtualTransport, failing, page
from virtual_loop import VirtualLoop, run_virtual

from instantly_async import Failed, Found, InstantlyClient, Lead, NotFound, Timeouts, errors
from instantly_async._api import Endpoints
from instantly_async._fetch import ListLookup
from instantly_async._http import Connections, Reply, Request
from instantly_async.activity import Activity
from instantly_async.errors import ClosedError, NotFoundError, RequestRejectedError
from instantly_async.loader import FLUSH_S, LeadLoader
from instantly_async.testing import FakeInstantly, Fault, lead_ids

IDS = list(lead_ids(1000))
A, B, C, D = IDS[:4]
Client = InstantlyClient[Lead]


@pytest.fixture
async def fake() -> AsyncIterator[FakeInstantly]:
    async with FakeInstantly(rate_limit=None) as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeInstantly) -> AsyncIterator[Client]:
    async with InstantlyClient(fake.api_key, base_url=fake.url, rate_limit=None) as client:
        yield client
    assert client.stats.in_flight == 0
    assert not [task for task in asyncio.all_tasks() if "instantly_async/loader" in repr(task)]
    await asyncio.sleep(0)


def asked(fake: FakeInstantly) -> list[tuple[str, int]]:
    return [(request.method, len(request.ids) or 1) for request in fake.requests]


async def ends(*calls: Coroutine[Any, Any, Any] | asyncio.Task[Any]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def after(delay_s: float, call: Coroutine[Any, Any, Any]) -> Any:
    await asyncio.sleep(delay_s)
    return await call


async def test_a_hundred_ids_share_a_request(fake: FakeInstantly, client: Client) -> None:
    """They do not wait for others; the rest goes with what comes next."""
    loader = client.loader(flush_s=3600)
    many, *leads = await ends(loader.load_many(IDS[:250]), *map(loader.load, IDS[250:300]))
    assert [*(outcome.lead_id for outcome in many), *(lead.id for lead in leads)] == IDS[:300]
    assert asked(fake) == [("POST", 100)] * 3


async def test_an_id_is_asked_once_for_hundreds(fake: FakeInstantly, client: Client) -> None:
    """However they write it; also for those that come when the request is in flight."""
    fake.latency_s = 0.05
    loader = client.loader()
    spellings: list[Any] = [A, A.upper(), f" {A}\n", UUID(A)] * 100
    early = [asyncio.create_task(loader.load(given)) for given in spellings]
    while not fake.requests:
        await asyncio.sleep(0)
    late = await asyncio.gather(*map(loader.load, spellings))
    assert {lead.id for lead in [*await asyncio.gather(*early), *late]} == {A}
    assert asked(fake) == [("POST", 1)]


async def test_each_caller_gets_its_own_error(fake: FakeInstantly, client: Client) -> None:
    """No instance twice, and ``lead_id`` as it was passed; a refused key is told to all."""
    fake.unknown, fake.list_omits = {A}, {B}
    fake.script(B, Fault.status(400))
    given: list[Any] = [A, A.upper(), UUID(A), A, B, B.upper(), UUID(B), B]
    loader = client.loader()
    *raised, lead = await ends(*map(loader.load, [*given, C]))
    assert [type(error) for error in raised] == [NotFoundError] * 4 + [RequestRejectedError] * 4
    assert all(error.lead_id is lead_id for error, lead_id in zip(raised, given, strict=True))
    assert {error.attempts for error in raised} == {2}  # the page, and one by one
    assert len({id(error) for error in raised}) == 8
    assert lead.id == C
    fake.api_key = "another"
    raised = await ends(*map(loader.load, [A, A, B]), loader.load_many([B, C]))
    assert {type(error) for error in raised} == {errors.AuthenticationError}
    assert len({id(error) for error in raised}) == 4
    assert all(error.__cause__ is error.__context__ is None for error in raised)
    assert asked(fake) == [("POST", 3), ("GET", 1), ("GET", 1), *[("POST", 3)] * 2]  # to be sure


async def test_load_many_gives_outcomes_in_input_order(fake: FakeInstantly, client: Client) -> None:
    """Including duplicates and invalid ids; an invalid id causes no request."""
    loader = client.loader()
    with pytest.raises(errors.InvalidLeadIdError):
        await loader.load("../../v2/api-keys")
    assert await loader.load_many([]) == []
    assert fake.requests == []
    fake.unknown = {B}
    given: list[Any] = [C, "no id", B, UUID(A), C, None, B.upper()]
    outcomes: list[Any] = await loader.load_many(lead_id for lead_id in given)
    kinds = [Found, Failed, NotFound]
    assert [type(outcome) for outcome in outcomes] == [*kinds, Found, *kinds]
    assert [outcome.index for outcome in outcomes] == list(range(7))
    assert all(o.lead_id is lead_id for o, lead_id in zip(outcomes, given, strict=True))
    assert [outcome.error.lead_id for outcome in outcomes[1::4]] == ["no id", None]
    assert asked(fake) == [("POST", 3), ("GET", 1)]


async def test_wrong_use(client: Client) -> None:
    wrong: Any
    for wrong in (A, b"bytes", UUID(A), 7):
        with pytest.raises(TypeError):
            await client.loader().load_many(wrong)
    for wrong in ({"flush_s": 0}, {"cache_ttl_s": -1.0}, {"cache_size": 0}):
        with pytest.raises(errors.ConfigurationError, match=next(iter(wrong))):
            client.loader(**wrong)


async def test_pages_are_not_trusted(fake: FakeInstantly, client: Client) -> None:
    """If a page fails, leaves ids out or has a strange lead, ids are requested one by one."""
    fake.list_omits = {A}
    with pytest.raises(NotFoundError):
        await client.loader(confirm_missing=False).load(A)
    loader = client.loader()
    assert (await loader.load(A)).id == A
    fake.script_list(Fault.status(409))
    assert (await loader.load(B)).id == B
    fake.list_injects = D
    assert [lead.id for lead in await asyncio.gather(loader.load(C), loader.load(B))] == [C, B]
    assert (await loader.load(D)).id == D
    assert [method for method, _ in asked(fake)] == ["POST", *["POST", "GET"] * 3, "GET", "GET"]


async def test_closing_the_client_tells_who_waits(fake: FakeInstantly, client: Client) -> None:
    """A batch that fills, pages under way, and pages that wait for their turn."""
    fake.latency_s = 60
    loader = client.loader(flush_s=3600)
    waiting = [asyncio.create_task(loader.load(lead_id)) for lead_id in lead_ids(1001)]
    while len(fake.requests) < 8:
        await asyncio.sleep(0)
    assert repr(loader) == "<LeadLoader open waiting=1001 batches=11>"
    await asyncio.gather(client.aclose(), client.aclose(), loader.aclose())
    raised = await ends(*waiting, loader.load(A), loader.load_many([]))
    assert {type(error) for error in raised} == {ClosedError}
    assert len({id(error) for error in raised}) == 1003
    assert repr(loader) == "<LeadLoader closed waiting=0 batches=0>"


def test_a_loader_belongs_to_one_loop(fake_instantly: FakeInstantly) -> None:
    """Also while a batch fills in the first one, which afterwards goes on."""
    client = InstantlyClient(fake_instantly.api_key, base_url=fake_instantly.url)
    loader = client.loader(flush_s=0.01)
    with asyncio.Runner() as runner, asyncio.Runner() as other:
        task = runner.get_loop().create_task(loader.load(A))
        runner.run(asyncio.sleep(0))
        with pytest.raises(ClosedError, match="another event loop"):
            other.run(loader.load(A))
        assert runner.run(ends(task))[0].id == A
        runner.run(client.aclose())
        runner.run(asyncio.sleep(0))


async def test_a_loader_that_nobody_holds_is_collected(client: Client) -> None:
    await client.loader(cache_ttl_s=60).load(A)  # meanwhile its caller holds it
    gc.collect()
    assert list(client._activity.loaders) == []


def virtually(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    return lambda: run_virtual(test())


@asynccontextmanager
async def loader_of(run: Run, **options: Any) -> AsyncIterator[LeadLoader[Lead]]:
    """Make a loader as ``InstantlyClient.loader`` does; it must leave nothing behind."""
    endpoints = Endpoints(Lead, Timeouts(), run.retry)
    workspace = run.workspace()
    lookup = ListLookup(endpoints, workspace, run.recorder, concurrency=100, patient=False)
    activity = Activity(Connections("http://127.0.0.1:1", timeouts=Timeouts()), workspace)
    usual: dict[str, Any] = {"flush_s": FLUSH_S, "cache_ttl_s": None, "cache_size": 10}
    loader = LeadLoader(lookup, activity, **{**usual, **options})
    yield loader
    await asyncio.sleep(1e-3)  # what was cancelled ends; ``run_virtual`` looks for tasks
    assert isinstance(loop := asyncio.get_running_loop(), VirtualLoop)
    assert loop.pending_timers == 0
    assert (loader._asked, loader._tasks, loader._filling) == ({}, set(), None)
    run.require_clean()
    assert run.transport.in_flight == 0


@virtually
async def test_calls_within_a_few_milliseconds_share_a_request() -> None:
    async with loader_of(run := Run()) as loader:
        calls = (loader.load(A), after(0.003, loader.load(B)), after(0.006, loader.load(C)))
        await asyncio.gather(*calls)
        assert run.transport.listed == [[A, B], [C]]
        assert run.transport.times == pytest.approx([0.005, 0.011], abs=1e-4)


@virtually
async def test_ids_join_a_page_until_its_turn_comes() -> None:
    """Eight pages at a time; 100 calls a second do not outrun an API of a second a page."""
    async with loader_of(run := Run()) as loader:
        run.transport.latency_s = 1.0
        assert len(await loader.load_many(IDS)) == 1000
        assert [len(ids) for ids in run.transport.listed] == [100] * 10
        async with asyncio.timeout(10 + 2.1):  # the last call, a page under way, and its own
            calls = (after(number / 100, loader.load(wire)) for number, wire in enumerate(IDS))
            assert [lead.id for lead in await asyncio.gather(*calls)] == IDS
        assert run.transport.most_in_flight == 8


@virtually
async def test_ids_that_go_one_by_one_hold_up_no_page() -> None:
    """Eight pages each leave an id out that is retried again and again."""
    bad = set(IDS[:800:100])
    run = Run(lambda *_: failing(429), pages=lambda wires, _: page(set(wires) - bad))
    async with loader_of(run) as loader:
        slow = asyncio.create_task(loader.load_many(IDS[:800]))
        async with asyncio.timeout(1.5):  # a pause for the 429s, and its page
            assert (await after(0.3, loader.load(IDS[900]))).id == IDS[900]
        slow.cancel()


@virtually
async def test_leaving_and_closing_at_any_step_of_the_loop() -> None:
    """A caller that stays gets an answer, or learns that others ended the loader or its task."""
    learned: list[set[type]] = [set(), {ClosedError}, {asyncio.CancelledError}]
    for step in range(120):
        async with loader_of(run := Run(), flush_s=1e-6) as loader:
            run.transport.latency_s = 1e-6
            leaving, *staying = (asyncio.create_task(loader.load(wire)) for wire in (A, A, B))
            for _ in range(step // 3):
                await asyncio.sleep(0)
            if step % 3 == 1:
                await loader.aclose()
                assert not loader._tasks
            elif step % 3 == 2:
                for task in loader._tasks:
                    task.cancel()
            leaving.cancel()
            late = [after(passes * 1e-6, loader.load(A)) for passes in range(9)]
            kinds = {type(end) for end in await ends(*staying, *late)}
            await asyncio.wait([leaving])
            assert kinds <= {Lead} | learned[step % 3]
    assert not leaving.cancelled()  # the last rounds came too late


@virtually
async def test_what_nobody_waits_for_is_not_asked_for() -> None:
    """A batch that still fills is dropped, a page in flight is cancelled; then all starts again."""
    async with loader_of(run := Run()) as loader:
        for wait_s in (0.001, 0.02):
            calls = [asyncio.create_task(loader.load(wire)) for wire in (A, A, B)]
            await asyncio.sleep(wait_s)
            for call in calls:
                call.cancel()
            for call in calls:
                with pytest.raises(asyncio.CancelledError):
                    await call
            assert loader._asked == {}
            third = asyncio.create_task(after(0.001, loader.load(A)))
            assert await loader.load(A) == await third  # the first batch had not even ended
        assert run.transport.listed == [[A], [A, B], [A]]


@virtually
async def test_an_open_breaker_fails_loads_at_once() -> None:
    run = Run(lambda *_: failing(500), pages=lambda *_: failing(500))
    async with loader_of(run) as loader:
        while not (run.breaker.is_open and run.list_breaker.is_open):
            await ends(*map(loader.load, IDS[:30]))
        await ends(*map(loader.load, IDS[:150]))  # sends the first probes
        sent = len(run.transport.sent)
        async with asyncio.timeout(2 * FLUSH_S):
            raised = await ends(*map(loader.load, IDS[:150]))
        assert {type(error) for error in raised} == {errors.ServiceUnavailableError}
        assert len(run.transport.sent) == sent


@virtually
async def test_nothing_is_kept_unless_that_was_asked_for() -> None:
    async with loader_of(run := Run()) as loader:
        await after(1, loader.load(A))
        await after(1, loader.load(A))
        assert run.transport.listed == [[A], [A]]


@virtually
async def test_a_cache_keeps_leads_for_a_while() -> None:
    """Only leads: an id that is not found is requested again. The oldest lead is dropped first."""
    run = Run(lambda wire, _: failing(404), pages=lambda ids, _: page(set(ids) - {C}))
    async with loader_of(run, cache_ttl_s=60, cache_size=2) as loader:
        (first,) = await loader.load_many([A])
        await asyncio.sleep(59)
        (kept,) = await loader.load_many([given := A.upper()])
        assert isinstance(first, Found)
        assert kept == msgspec.structs.replace(first, lead_id=given, attempts=0, elapsed_s=0.0)
        await after(0.5, loader.load(B))
        await asyncio.sleep(0.5)
        for lead_id in (A, C, C, D, A, B):  # the time of A was up
            await ends(loader.load(lead_id))
        assert run.transport.listed == [[A], [B], [A], [C], [C], [D], [B]]


class Row(msgspec.Struct):
    """A type whose fields can be changed."""

    id: str
    email: str | None = None
    payload: dict[str, Any] | None = None


@pytest.mark.parametrize("cache_ttl_s", [None, 60])
async def test_no_caller_sees_what_another_does_with_its_lead(
    fake: FakeInstantly, cache_ttl_s: float | None
) -> None:
    """The first one changes its lead before the second one has seen its own; the cache comes later.

    Also the ids of one call may be the same.
    """
    async with InstantlyClient(fake.api_key, base_url=fake.url, lead_type=Row) as client:
        loader = client.loader(cache_ttl_s=cache_ttl_s)

        async def load_and_change() -> Row:
            row = await loader.load(A)
            assert row.email != "changed"
            assert row.payload is not None
            assert "x" not in row.payload
            row.email = row.payload["x"] = "changed"
            return row

        joined = await asyncio.gather(*(load_and_change() for _ in range(3)))
        later = [await load_and_change() for _ in range(2)]
        many = [o.lead for o in await loader.load_many([A, B, A]) if isinstance(o, Found)]
        assert len({id(row) for row in (*joined, *later, *many)}) == 8
        assert len({id(row.payload) for row in (*joined, *later, *many)}) == 8
        assert "changed" not in {row.email for row in many}


class Uncopied(msgspec.Struct):
    """A type that notices copies."""

    id: str

    def __copy__(self) -> Never:
        raise AssertionError("copied")


async def test_a_lead_with_one_caller_is_not_copied(fake: FakeInstantly) -> None:
    """That would cost more than decoding it."""
    async with InstantlyClient(fake.api_key, base_url=fake.url, lead_type=Uncopied) as client:
        loader = client.loader()
        assert [(await loader.load(wire)).id for wire in (A, A)] == [A, A]
        assert len(await loader.load_many([A, B])) == 2
        with pytest.raises(AssertionError, match="copied"):
            await loader.load_many([A, A])


class Once(VirtualTransport):
    """Fails if an id is requested while a request for it is in flight."""

    asked: frozenset[str] = frozenset()

    async def send(
        self, request: Request, *, on_sent: Callable[[float], None], fresh: bool = False
    ) -> Reply:
        path = request.path.rpartition("/")[2]
        ids = {path} if request.body is None else {*msgspec.json.decode(request.body)["ids"]}
        assert not ids & self.asked
        self.asked |= ids
        try:
            return await super().send(request, on_sent=on_sent, fresh=fresh)
        finally:
            self.asked -= ids


@settings(max_examples=150, deadline=None)
@given(
    # Of each call the number of its id, when it begins, and when it is cancelled after that.
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 60), st.none() | st.integers(0, 60))),
    st.none() | st.integers(0, 100),
)
def test_law(calls: list[tuple[int, int, int | None]], closing_ms: int | None) -> None:
    """A caller that is not cancelled gets its answer; no id is requested twice at a time."""
    answers = dict(zip(IDS, (Lead, NotFoundError, RequestRejectedError) * 4, strict=False))

    def world(wire: str, _: float) -> Answer:
        return failing(404 if answers[wire] is NotFoundError else 400)

    run = Run(world, pages=lambda ids, _: page(i for i in ids if answers[i] is Lead))
    run.transport = Once(run.world, run.pages)

    async def main() -> None:
        async with loader_of(run) as loader:

            async def call(lead_id: str, at_ms: int, stay_ms: int | None) -> Lead:
                await asyncio.sleep(at_ms / 1000)
                async with asyncio.timeout(None if stay_ms is None else stay_ms / 1000):
                    return await loader.load(lead_id)

            given = [IDS[number].upper() for number, _, _ in calls]  # strings of their own
            begun = [call(i, at, stay) for i, (_, at, stay) in zip(given, calls, strict=True)]
            closing = [] if closing_ms is None else [after(closing_ms / 1000, loader.aclose())]
            got = await ends(*begun, *closing)
        for lead_id, end, (number, _, stay_ms) in zip(given, got, calls, strict=False):
            expected = {answers[IDS[number]], closing_ms is not None and ClosedError}
            assert type(end) in expected | {stay_ms is not None and TimeoutError}
            assert getattr(end, "id", IDS[number]) == IDS[number]
            assert getattr(end, "lead_id", lead_id) is lead_id
        raised = [id(end) for end in got if isinstance(end, Exception)]
        assert len(set(raised)) == len(raised)

    run_virtual(main())
