"""``observer=``: what a client tells, when, and what becomes of an observer that fails."""

import asyncio
import functools
import gc
import logging
import threading
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import msgspec
import pytest
from virtual_api import Run, failing, found
from virtual_loop import run_virtual
from wire import KEEP, READ, answer, scripted

from instantly_async import (
    AdaptiveLimiter,
    AuthenticationError,
    ClosedError,
    ConfigurationError,
    ConnectionFailedError,
    InstantlyClient,
    RateLimit,
    RetryPolicy,
    Stats,
    events,
)
from instantly_async._pace.cubic import CUT_FACTOR
from instantly_async.events import (
    Attempt,
    BreakerChanged,
    Closed,
    Event,
    Observers,
    Opened,
    Paused,
    RateChanged,
    RunEnded,
    RunStarted,
    Settled,
    attach,
)
from instantly_async.stats import Counts
from instantly_async.testing import FakeInstantly, Fault, lead_ids, lead_json

IDS = list(lead_ids(300))
QUICK = RetryPolicy(backoff_base_s=0.001, backoff_cap_s=0.01)
E = TypeVar("E", bound=events.Record)


class Seen(list[Event]):
    """An observer that keeps everything."""

    def __call__(self, event: Event, /) -> None:
        self.append(event)

    def of(self, kind: type[E]) -> list[E]:
        return [each for each in self if isinstance(each, kind)]


def counts_of(stats: Stats) -> dict[str, Any]:
    """Return the counters without times and rates, which go on."""
    return {name: getattr(stats, name) for name in Counts.__struct_fields__}


def assert_same(seen: Seen, stats: Stats) -> None:
    """Compare the records with the counters of the client that has sent them."""
    attempts, settled = seen.of(Attempt), seen.of(Settled)
    assert sum(each.is_sent for each in attempts) == stats.requests
    assert sum(each.bytes_received for each in attempts) == stats.bytes_received
    # Of several 429s, some may be the same cut. All of them are counted.
    assert sum(each.status == 429 for each in attempts) == stats.throttled
    outcomes = Counter(each.outcome for each in settled)
    assert outcomes["found"] == stats.found
    assert outcomes["not_found"] == stats.not_found
    assert Counter(each.error for each in settled if each.outcome == "failed") == stats.failed


async def test_the_records_of_a_run_add_up_to_its_counters() -> None:
    """With 429s, failures that are retried, missing leads and bad ids, one by one and by list."""
    seen = Seen()
    async with FakeInstantly(
        fault_rate=0.2, seed=3, unknown=set(IDS[5:9]), rate_limit=None
    ) as fake:
        async with InstantlyClient(
            fake.api_key, base_url=fake.url, rate_limit=None, retry=QUICK, observer=seen
        ) as client:
            await client.get_leads([*IDS[:60], "no id"])
            await client.get_leads(IDS, strategy="list")
            await client.get_lead(IDS[0])
            await client.check()
            async with client.list_leads() as stream:
                async for _ in stream:
                    break
            async with client.find_leads(["ada@example.com", "odd"]) as matches:
                assert len([match async for match in matches]) == 2
            stats = client.stats
        assert counts_of(seen.of(Opened)[0].read()) == counts_of(stats)
    assert stats.retries > 0
    assert {each.error for each in seen.of(Attempt)} > {None, "ServerError"}
    assert {each.status for each in seen.of(Attempt)} > {200, 404, 503}
    assert_same(seen, client.stats)
    assert [(each.operation, each.strategy) for each in seen.of(RunStarted)] == [
        ("stream_leads", "get"),
        ("stream_leads", "list"),
        ("list_leads", None),
        ("find_leads", None),
    ]
    ends = seen.of(RunEnded)
    assert [each.run for each in ends] == [each.run for each in seen.of(RunStarted)]
    assert [each.error for each in ends] == [None, None, "ClosedError", None]
    assert [each.stats.requested for each in ends[:2]] == [61, 300]
    runs = Counter(each.run for each in seen.of(Attempt) if each.is_sent)
    assert [runs[each.run] for each in ends] == [each.stats.requests for each in ends]
    assert runs[None] >= 2
    assert isinstance(seen[0], Opened)
    assert isinstance(seen[-1], Closed)
    assert counts_of(seen[-1].stats) == counts_of(client.stats)


async def test_the_fields_of_an_attempt() -> None:
    """A request that waits until another one is done."""
    seen, limit = Seen(), RateLimit(per_second=50)
    async with FakeInstantly(latency_s=0.05) as fake:
        async with InstantlyClient(
            fake.api_key, base_url=fake.url, rate_limit=limit, concurrency=1, observer=seen
        ) as client:
            await asyncio.gather(*map(client.get_lead, IDS[:2]))
    opened, last = seen.of(Opened)[0], seen.of(Attempt)[-1]
    assert (opened.server_address, opened.limit) == ("127.0.0.1", limit.rate)
    assert fake.url.endswith(f":{opened.server_port}")
    assert msgspec.structs.asdict(last) == {
        "run": None,
        "method": "GET",
        "route": "/api/v2/leads/{id}",
        "server_address": opened.server_address,
        "server_port": opened.server_port,
        "status": 200,
        "error": None,
        "is_sent": True,
        "duration_s": last.duration_s,
        "wait_s": last.wait_s,
        "bytes_received": last.bytes_received,
        "resend_count": 0,
    }
    assert 0.05 <= last.duration_s < 5
    assert 0.04 <= last.wait_s < 5


async def test_a_request_on_a_dead_connection_is_two_attempts() -> None:
    lead = answer(lead_json(IDS[0]))
    seen = Seen()
    async with scripted([[READ, lead, READ], [READ, lead, KEEP]]) as wire:
        async with InstantlyClient("a-key", base_url=wire.url, observer=seen) as client:
            await client.get_lead(IDS[0])
            await client.get_lead(IDS[0])
            assert client.stats.requests == 3
    attempts = [(each.error, each.status, each.resend_count) for each in seen.of(Attempt)]
    assert attempts == [
        (None, 200, 0),
        ("ConnectionFailedError", None, 0),
        (None, 200, 1),
    ]
    assert [each.attempts for each in seen.of(Settled)] == [1, 1]


async def test_an_attempt_without_a_connection_is_not_sent() -> None:
    seen = Seen()
    async with InstantlyClient(
        "a-key", base_url="http://127.0.0.1:1", retry=QUICK, observer=seen
    ) as client:
        with pytest.raises(ConnectionFailedError) as failed:
            await client.get_lead(IDS[0])
    attempts = seen.of(Attempt)
    assert len(attempts) == failed.value.attempts
    assert {(each.error, each.status, each.is_sent, each.resend_count) for each in attempts} == {
        ("ConnectionFailedError", None, False, 0)
    }
    assert client.stats.requests == 0
    assert all(0 <= each.duration_s < 5 for each in attempts)


async def test_a_request_that_is_ended_by_others_is_told() -> None:
    """By its task's cancellation, or by the end of the client. One that is not sent is not."""
    seen = Seen()
    async with FakeInstantly(latency_s=30) as fake:
        async with InstantlyClient(
            fake.api_key, base_url=fake.url, observer=seen, concurrency=2
        ) as client:
            tasks = [asyncio.create_task(client.get_lead(each)) for each in IDS[:2]]
            while len(fake.requests) < 2:
                await asyncio.sleep(0.01)
            later = [asyncio.create_task(client.get_lead(each)) for each in IDS[2:4]]
            await asyncio.sleep(0)
            tasks[0].cancel()
            later[0].cancel()
            await asyncio.gather(tasks[0], later[0], return_exceptions=True)
        ended = await asyncio.gather(tasks[1], later[1], return_exceptions=True)
    assert [type(each) for each in ended] == [ClosedError, ClosedError]
    attempts = [(each.error, each.status, each.is_sent) for each in seen.of(Attempt)]
    assert attempts[:2] == [("CancelledError", None, True)] * 2
    assert len(attempts) == client.stats.requests


def test_429s_pauses_and_outages_are_told() -> None:
    """In virtual time: a 429 after a second, then an outage of ten."""
    throttled: list[float] = []

    def world(wire: str, now: float) -> Any:
        if 1 < now < 2 and not throttled:
            throttled.append(now)
            return failing(429, Retry_After="2")
        return failing(503) if 10 < now < 20 else found(wire)

    seen, run = Seen(), Run(world, rate_limit=RateLimit())
    attach(run.recorder.observers, seen)
    attach(run.observers, seen)
    run_virtual(run.main(list(lead_ids(2000))))
    assert run.recorder.found == 2000
    cut, *rises = seen.of(RateChanged)
    assert (cut.reason, cut.rate, cut.limit) == ("throttled", CUT_FACTOR * 95, 95.0)
    assert {each.reason for each in rises} == {"recovering"}
    rates = [each.rate for each in rises]
    assert rates == sorted(rates)
    first = seen.of(Paused)[0]
    assert 2 <= first.pause_s == first.added_s <= 2.2
    changes = [(each.method, each.is_open) for each in seen.of(BreakerChanged)]
    assert changes[:1] == [("GET", True)]
    assert changes[-1:] == [("GET", False)]
    assert max(each.wait_s for each in seen.of(Attempt)) > 5
    assert max(each.resend_count for each in seen.of(Attempt)) >= 1
    resent = sum(each.resend_count > 0 for each in seen.of(Attempt))
    assert resent == run.recorder.retries


async def test_a_run_that_fails_says_why() -> None:
    seen = Seen()
    async with FakeInstantly() as fake:
        async with InstantlyClient("another-key", base_url=fake.url, observer=seen) as client:
            with pytest.raises(AuthenticationError):
                await client.get_leads(IDS)
    assert [each.error for each in seen.of(RunEnded)] == ["AuthenticationError"]
    assert "AuthenticationError" in {each.error for each in seen.of(Attempt)}


# --- observers ---


class Fails:
    """An observer that raises at the second record of a kind."""

    def __init__(self, kind: type[events.Record], error: type[BaseException]) -> None:
        self.kind = kind
        self.error = error
        self.seen: list[Event] = []

    def __call__(self, event: Event, /) -> None:
        self.seen.append(event)
        if sum(isinstance(each, self.kind) for each in self.seen) == 2:
            raise self.error("from an observer")


async def test_one_that_fails_is_logged_once_and_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others, and the run, do not notice; also with several workspaces."""
    fails = [
        Fails(Attempt, RuntimeError),
        Fails(Settled, asyncio.CancelledError),
        Fails(Opened, StopIteration),
        Fails(RunEnded, asyncio.CancelledError),
    ]
    seen = Seen()
    async with FakeInstantly() as fake:
        async with InstantlyClient(
            fake.api_key, base_url=fake.url, observer=Observers(*fails, seen)
        ) as client:
            batch = await client.get_leads(IDS[:20])
            await client.for_workspace("ws-2").get_leads(IDS[:20], strategy="list")
    assert len(batch.leads) == 20
    for each in fails:
        assert sum(isinstance(event, each.kind) for event in each.seen) == 2
        assert isinstance(each.seen[-1], each.kind)
    assert len(seen.of(Settled)) == 40
    said = [record for record in caplog.records if "observer" in record.message]
    assert [record.levelname for record in said] == ["ERROR"] * 4
    assert all("from an observer" in str(record.exc_info) for record in said)


@pytest.mark.parametrize("observer", ["text", 5, [print]])
def test_what_cannot_be_called_is_no_observer(observer: Any) -> None:
    with pytest.raises(ConfigurationError, match="observer must be a function of one record"):
        InstantlyClient("a-key", observer=observer)


class Slow:
    async def __call__(self, event: Event) -> None: ...


async def slow(event: Event) -> None: ...


def generator(event: Event) -> Iterator[None]:
    yield


async def async_generator(event: Event) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    "observer",
    [
        slow,
        Slow(),
        Slow().__call__,
        functools.partial(slow),
        functools.lru_cache(slow),
        generator,
        async_generator,
    ],
)
def test_a_coroutine_function_is_no_observer(observer: Any) -> None:
    with pytest.raises(ConfigurationError, match="neither async def nor a generator; start a task"):
        Observers(observer)


async def test_more_can_be_added_while_the_client_is_used() -> None:
    first, later, of_sibling = Seen(), Seen(), Seen()
    async with FakeInstantly() as fake:
        async with InstantlyClient(fake.api_key, base_url=fake.url, observer=first) as client:
            sibling = client.for_workspace("ws-2")
            await client.get_lead(IDS[0])
            client.observe(later)
            sibling.observe(of_sibling)
            await client.get_lead(IDS[1])
            await sibling.get_lead(IDS[2])
            await client.for_workspace("ws-3").get_lead(IDS[3])
    assert [len(each.of(Settled)) for each in (first, later, of_sibling)] == [4, 3, 1]
    assert [len(each.of(Opened)) for each in (first, later, of_sibling)] == [3, 3, 1]
    assert [len(each.of(Closed)) for each in (first, later, of_sibling)] == [3, 3, 1]
    with pytest.raises(ClosedError):
        client.observe(later)
    named = Observers(slow_enough, functools.partial(slow_enough, more="secret"), first)
    assert (
        repr(named) == f"Observers({__name__}.slow_enough, {__name__}.slow_enough, {__name__}.Seen)"
    )


def slow_enough(event: Event, more: str = "") -> None: ...


async def test_a_shared_limiter_tells_each_observer_once() -> None:
    """Of two clients; and it keeps neither of them alive."""
    limiter, both, one = AdaptiveLimiter(), Seen(), Seen()
    first = InstantlyClient("a-key", limiter=limiter, observer=both)
    other = InstantlyClient("a-key", limiter=limiter, observer=Observers(both, one))
    limiter.on_throttled(5.0, sent_at=5.0, retry_after_s=None)
    assert [len(each.of(RateChanged)) for each in (both, one)] == [1, 1]
    assert [len(each.of(Paused)) for each in (both, one)] == [1, 1]
    await first.aclose()
    await other.aclose()
    del other
    gc.collect()
    limiter.on_throttled(9.0, sent_at=9.0, retry_after_s=None)
    assert [len(each.of(RateChanged)) for each in (both, one)] == [1, 1]
    assert [type(each.pop()) for each in (both, one)] == [Closed, Closed]
    del first


async def test_the_counters_can_be_read_when_the_client_has_gone() -> None:
    seen = Seen()
    async with FakeInstantly() as fake:
        client = InstantlyClient(fake.api_key, base_url=fake.url, observer=seen)
        await client.get_lead(IDS[0])
        (opened,) = seen.of(Opened)
        assert opened.read().found == 1
        await client.get_lead(IDS[1])
        await client.aclose()
        del client
    gc.collect()
    assert opened.read().found >= 1
    assert seen.of(Closed)[0].stats.found == 2


def test_a_client_whose_loop_is_closed_says_its_end() -> None:
    seen = Seen()
    with FakeInstantly() as fake, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # about the loop's connections
        client = InstantlyClient(fake.api_key, base_url=fake.url, observer=seen)
        asyncio.run(client.get_lead(IDS[0]))
        assert seen.of(Closed) == []
        asyncio.run(client.aclose())
        asyncio.run(client.aclose())
        del client
        gc.collect()
    assert [each.stats.found for each in seen.of(Closed)] == [1]


async def test_another_thread_reads_the_counters_meanwhile() -> None:
    """They never decrease, whatever begins and ends at the same time."""
    seen, stop = Seen(), threading.Event()
    read: list[tuple[int, int, int]] = []

    def watch(take: Callable[[], Stats]) -> None:
        while not stop.wait(0.0005):
            stats = take()
            read.append((stats.requested, stats.requests, sum(stats.failed.values())))

    faults = [Fault.status(400), Fault.body(b"{}"), Fault.status(422)]
    async with FakeInstantly(fault_rate=0.2, fault_kinds=faults, rate_limit=None) as fake:
        async with InstantlyClient(
            fake.api_key, base_url=fake.url, rate_limit=None, observer=seen, retry=QUICK
        ) as client:
            watching = asyncio.create_task(asyncio.to_thread(watch, seen.of(Opened)[0].read))
            for first in range(0, 300, 10):
                await client.get_leads(IDS[first : first + 10])
            stop.set()
            await watching
    assert len(read) > 5
    for counts in zip(*read, strict=True):
        assert list(counts) == sorted(counts)
    assert read[-1][0] <= 300


async def test_the_end_of_a_client_is_told_last_even_if_calls_are_in_flight() -> None:
    """The calls end a moment after it."""
    seen = Seen()
    async with FakeInstantly(latency_s=30) as fake:
        client = InstantlyClient(fake.api_key, base_url=fake.url, observer=seen)
        loader = client.loader()
        tasks = [
            asyncio.ensure_future(call)
            for call in (client.get_lead(IDS[0]), client.check(), loader.load(IDS[1]))
        ]
        stream = client.stream_leads(IDS[2:4])
        tasks.append(asyncio.ensure_future(anext(stream)))
        while len(fake.requests) < 5:
            await asyncio.sleep(0.01)
        await client.aclose()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(each) for each in ends} == {ClosedError}
    assert [type(each) for each in seen if isinstance(each, Closed)] == [Closed]
    assert isinstance(seen[-1], Closed)
    assert sum(each.is_sent for each in seen.of(Attempt)) == seen[-1].stats.requests == 5
    assert seen[-1].stats.in_flight == 0


async def test_streams_of_a_closed_loop_are_told_to_have_ended() -> None:
    """A client that is closed when its loop has gone. Nothing comes after that."""
    seen, gone = Seen(), asyncio.new_event_loop()
    gone.close()
    async with FakeInstantly() as fake:
        client = InstantlyClient(fake.api_key, base_url=fake.url, observer=seen)
        stream = client.stream_leads(IDS)
        await anext(stream)
        client._connections._loop = gone
        await client.aclose()
        told = list(seen)
        client._connections._loop = asyncio.get_running_loop()
        await stream.aclose()
        await client._connections.aclose()
    *_, ended, closed = told
    assert isinstance(ended, RunEnded)
    assert (ended.run, ended.error) == (seen.of(RunStarted)[0].run, "ClosedError")
    assert isinstance(closed, Closed)
    assert seen == told


async def test_an_observer_that_returns_an_awaitable_is_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And nobody is told that a coroutine was never awaited."""
    told: list[Any] = []

    def observer(event: Event) -> Any:
        told.append(event)
        return slow(event)

    async with InstantlyClient("a-key", observer=observer):
        pass
    assert len(told) == 1
    (record,) = [each for each in caplog.records if "observer" in each.message]
    assert "nobody awaits" in str(record.exc_info)


async def test_the_log_of_a_failed_observer_shows_nothing_of_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither its arguments, nor what was being handled when it was called; its own cause stays."""

    def observer(secret: str, event: Event) -> None:
        if isinstance(event, Attempt):
            try:
                raise KeyError("its own")
            except KeyError:
                raise RuntimeError("of an observer")  # noqa: B904 - to have a context

    async with FakeInstantly(latency_s=30) as fake:
        client = InstantlyClient(
            fake.api_key, base_url=fake.url, observer=functools.partial(observer, "canary")
        )
        async with client:
            task = asyncio.create_task(client.get_lead(IDS[0]))
            while not fake.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    (record,) = [each for each in caplog.records if "observer" in each.message]
    assert record.message.endswith(".observer")
    assert "canary" not in record.message
    assert record.exc_info is not None
    error = record.exc_info[1]
    assert error is not None
    assert isinstance(error.__context__, KeyError)
    assert error.__context__.__context__ is None


async def test_a_signal_handler_can_read_the_counters() -> None:
    """Also if it interrupts the thread in the middle of a change."""
    client = InstantlyClient("a-key")
    with client._activity._summing:
        assert client.stats.requests == 0
    await client.aclose()


def test_a_record_as_json_says_what_it_is() -> None:
    record = BreakerChanged(method="GET", is_open=True)
    assert msgspec.json.encode(record) == (
        b'{"type":"BreakerChanged","method":"GET","is_open":true}'
    )


async def test_odd_contexts_of_a_failed_observer_are_cut_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Those of an exception group, and those that lead back to themselves."""
    outer = ValueError("what was being handled")

    def of_group(event: Event) -> None:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ExceptionGroup("a group", [inner]) from None

    def of_circle(event: Event) -> None:
        error, other = RuntimeError("a circle"), RuntimeError("its other half")
        error.__context__, other.__context__ = other, error
        raise error

    observers = Observers(of_group, of_circle)
    try:
        raise outer
    except ValueError:
        observers(BreakerChanged(method="GET", is_open=True))
    texts = [str(logging.Formatter().format(each)) for each in caplog.records]
    assert len(texts) == 2
    assert "a group" in texts[0]
    assert "inner" in texts[0]
    assert all("what was being handled" not in text for text in texts)


async def test_a_method_that_two_clients_of_a_limiter_have_is_told_once() -> None:
    """Each access to a method makes another object."""
    limiter, told, seen = AdaptiveLimiter(), list[Event](), Seen()
    clients = [
        InstantlyClient("a-key", limiter=limiter, observer=Observers(told.append, seen.__call__))
        for _ in range(2)
    ]
    limiter.pause(asyncio.get_running_loop().time(), 1.0)
    assert [len([e for e in each if isinstance(e, Paused)]) for each in (told, seen)] == [1, 1]
    for client in clients:
        await client.aclose()
