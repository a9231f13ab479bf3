"""How a run ends: never early without an error, and at once when something is closed.

Closing ends whatever waits, wherever it waits. What an input raises when it is closed is not lost.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from instantly_async import (
    ClosedError,
    InstantlyClient,
    Lead,
    LeadStream,
    RetryPolicy,
    Strategy,
)
from instantly_async.testing import FakeInstantly, Fault, lead_ids

A, *MANY = lead_ids(150)
KEY = "canary-7f3a-key"
Client = InstantlyClient[Lead]


@pytest.fixture
async def fake() -> AsyncIterator[FakeInstantly]:
    async with FakeInstantly(api_key=KEY, rate_limit=None) as fake:
        yield fake


# --- closing ends what waits ---------------------------------------------------------------

CALLS: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "get_lead": lambda client: client.get_lead(A),
    "check": lambda client: client.check(),
    "load": lambda client: client.loader().load(A),
    "load_many": lambda client: client.loader().load_many([A, *MANY]),
    "get": lambda client: client.get_leads(MANY),
    "list": lambda client: client.get_leads(MANY, strategy="list"),
    "ordered": lambda client: client.get_leads(MANY, ordered=True),
}


def pausing(client: Client, fake: FakeInstantly) -> None:
    client._workspace.limiter.pause(asyncio.get_running_loop().time(), 60)


def answering_late(client: Client, fake: FakeInstantly) -> None:
    fake.latency_s = 60


def failing(client: Client, fake: FakeInstantly) -> None:
    """All wait for the backoff, which is long."""
    fake.script_all(*[Fault.status(500)] * 1000)


def full(client: Client, fake: FakeInstantly) -> None:
    assert client._slots.try_enter()


def broken(client: Client, fake: FakeInstantly) -> None:
    """Streams wait for the breaker; single calls would fail at once, so they wait as above."""
    pausing(client, fake)
    for breaker in client._workspace.breakers.values():
        breaker.on_failure("HTTP 503", is_down=True)


@pytest.mark.parametrize("hold", [pausing, answering_late, failing, full, broken])
async def test_closing_ends_whatever_waits(
    hold: Callable[[Client, FakeInstantly], None], fake: FakeInstantly
) -> None:
    retry = RetryPolicy(backoff_base_s=60, backoff_cap_s=60)
    client = InstantlyClient(KEY, base_url=fake.url, retry=retry, concurrency=1)
    hold(client, fake)
    calls = [asyncio.ensure_future(call(client)) for call in CALLS.values()]
    await asyncio.sleep(0.05)
    assert not any(call.done() for call in calls) or hold is broken
    await client.aclose()
    await asyncio.wait(calls, timeout=5)
    kinds = {name: type(call.exception()) for name, call in zip(CALLS, calls, strict=True)}
    if hold is broken:
        kinds = {name: kinds[name] for name in ("get", "list", "ordered")}
    assert set(kinds.values()) == {ClosedError}, kinds
    assert client.stats.in_flight == 0


async def test_closing_a_stream_tells_its_other_consumers(fake: FakeInstantly) -> None:
    """Those who wait, and those who come later; outcomes that nobody has taken are lost."""
    fake.latency_s = 60
    async with InstantlyClient(KEY, base_url=fake.url) as client:
        stream = client.stream_leads(MANY)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await stream.aclose()
        for _ in range(2):
            with pytest.raises(ClosedError, match="stream was closed"):
                await anext(stream)
        with pytest.raises(ClosedError, match="stream was closed"):
            await waiting


async def test_a_stream_that_is_complete_has_ended_for_all(fake: FakeInstantly) -> None:
    async with InstantlyClient(KEY, base_url=fake.url, rate_limit=None) as client:
        stream = client.stream_leads(MANY[:9])
        assert len([outcome async for outcome in stream]) == 9
        await stream.aclose()
        assert [outcome async for outcome in stream] == []


# --- cancellations from outside ------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["get", "list"])
@pytest.mark.parametrize("is_async", [True, False])
async def test_who_cancels_all_other_tasks_cancels_the_consumer(
    strategy: Strategy, *, is_async: bool
) -> None:
    """At any moment: the stream raises, or all outcomes came; it never ends short."""

    async def arriving() -> AsyncIterator[str]:
        for lead_id in MANY:
            await asyncio.sleep(0)
            yield lead_id

    async def consume(stream: LeadStream[Lead]) -> int:
        async with stream:
            return len([outcome async for outcome in stream])

    ends: list[int | None] = []
    with FakeInstantly(api_key=KEY, rate_limit=None) as fake:  # in a thread: its tasks live on
        for turns in (0, 1, 2, 3, 4, 5, 7, 10, 20, 40, 80):
            mine = asyncio.all_tasks()
            async with InstantlyClient(KEY, base_url=fake.url, rate_limit=None) as client:
                ids = arriving() if is_async else MANY
                consumer = asyncio.create_task(consume(client.stream_leads(ids, strategy=strategy)))
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in asyncio.all_tasks() - mine - {consumer}:
                    task.cancel()
                await asyncio.wait([consumer], timeout=10)
                ends.append(None if consumer.cancelled() else consumer.result())
    assert set(ends) <= {None, len(MANY)}
    assert None in ends


async def test_who_cancels_a_batch_of_a_loader_cancels_its_callers(fake: FakeInstantly) -> None:
    fake.latency_s = 60
    async with InstantlyClient(KEY, base_url=fake.url, rate_limit=None) as client:
        loader = client.loader()
        caller = asyncio.create_task(loader.load(A))
        await asyncio.sleep(0.05)
        for task in loader._tasks:
            task.cancel()
        await asyncio.wait([caller], timeout=5)
        assert caller.cancelled()
        fake.latency_s = 0.0
        assert (await loader.load(A)).id == A


async def test_an_input_with_a_timeout_around_its_yields(fake: FakeInstantly) -> None:
    """It ends with that timeout, in whichever place it was, and all of it ran in one task."""
    tasks = set()
    given = 0

    async def arriving(timeout_s: float) -> AsyncIterator[str]:
        nonlocal given
        try:
            async with asyncio.timeout(timeout_s):
                for lead_id in MANY:
                    tasks.add(asyncio.current_task())
                    await asyncio.sleep(0.001)
                    given += 1
                    yield lead_id
        finally:
            tasks.add(asyncio.current_task())

    async with InstantlyClient(KEY, base_url=fake.url, rate_limit=None, concurrency=3) as client:
        fake.latency_s = 0.01
        for strategy in Strategy.__args__:  # type: ignore[attr-defined]  # a Literal
            for timeout_s in (0.005, 0.02, 0.04):
                stream = client.stream_leads(arriving(timeout_s), strategy=strategy)
                with pytest.raises(TimeoutError):
                    async for _ in stream:
                        pass
                assert len(tasks) == 1
                tasks.clear()


# --- inputs that are hard to close ---------------------------------------------------------


def failing_to_close() -> Iterator[str]:
    try:
        yield from lead_ids(1000)
    finally:
        raise OSError("cannot be released")


async def failing_to_close_async() -> AsyncIterator[str]:
    try:
        for lead_id in lead_ids(1000):
            yield lead_id
    finally:
        await asyncio.sleep(0)
        raise OSError("cannot be released")


INPUTS = pytest.mark.parametrize("source", [failing_to_close, failing_to_close_async])


@pytest.fixture
async def told(fake: FakeInstantly) -> AsyncIterator[list[str]]:
    """Collect what the loop tells its exception handler."""
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(repr(context["exception"])))
    yield told
    loop.set_exception_handler(None)


@INPUTS
async def test_what_closing_the_input_raises_reaches_the_caller(
    source: Callable[[], Any], fake: FakeInstantly, told: list[str]
) -> None:
    async with InstantlyClient(KEY, base_url=fake.url) as client:
        with pytest.raises(OSError, match="cannot be released"):
            async with client.stream_leads(source()) as stream:
                await anext(stream)
        await stream.aclose()  # it was told once
    client = InstantlyClient(KEY, base_url=fake.url)
    stream = client.stream_leads(source())
    await anext(stream)
    with pytest.raises(OSError, match="cannot be released"):
        await client.aclose()
    assert client._connections._pool is None
    assert told == []


@INPUTS
async def test_what_closing_the_input_raises_hides_no_other_error(
    source: Callable[[], Any], fake: FakeInstantly, told: list[str]
) -> None:
    async with InstantlyClient(KEY, base_url=fake.url) as client:
        with pytest.raises(LookupError):
            async with client.stream_leads(source()) as stream:
                await anext(stream)
                raise LookupError
        assert told == ["OSError('cannot be released')"]
        stream = client.stream_leads(source())
        await anext(stream)
        del stream  # collected: nobody can be told but the loop
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert len(told) == 2
    with pytest.raises(LookupError):
        async with InstantlyClient(KEY, base_url=fake.url) as client:
            stream = client.stream_leads(source())
            await anext(stream)
            raise LookupError
    assert len(told) == 3
