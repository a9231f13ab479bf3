"""One client, one event loop: another loop or thread is refused at once, and nothing hangs."""

import asyncio
import gc
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from instantly_async import (
    AdaptiveLimiter,
    ClosedError,
    InstantlyClient,
    Lead,
    LeadLoader,
    LeadStream,
    RateLimit,
)
from instantly_async.testing import FakeInstantly, lead_ids

A, *MANY = lead_ids(60)
KEY = "canary-7f3a-key"


@pytest.fixture
def fake() -> Iterator[FakeInstantly]:
    with FakeInstantly(api_key=KEY, rate_limit=None) as fake:
        yield fake


class Parts:
    """A client, and what it makes, all of which have been used in one loop."""

    client: InstantlyClient[Lead]
    stream: LeadStream[Lead]
    loader: LeadLoader[Lead]

    async def use(self, url: str) -> None:
        self.client = InstantlyClient(KEY, base_url=url)
        self.stream = self.client.stream_leads(MANY)
        await anext(self.stream)
        self.loader = self.client.loader()
        await self.loader.load(A)


async def first(stream: LeadStream[Lead]) -> object:
    return await anext(stream)


USES: dict[str, Callable[[Parts], Awaitable[Any]]] = {
    "get_lead": lambda parts: parts.client.get_lead(A),
    "check": lambda parts: parts.client.check(),
    "get_leads": lambda parts: parts.client.get_leads(MANY),
    "new stream": lambda parts: first(parts.client.stream_leads(MANY)),
    "begun stream": lambda parts: first(parts.stream),
    "loader": lambda parts: parts.loader.load(A),
    "new loader": lambda parts: parts.client.loader().load(A),
    "sibling": lambda parts: parts.client.for_workspace("ws-2").get_lead(A),
}

CLOSES: dict[str, Callable[[Parts], Awaitable[None]]] = {
    "stream": lambda parts: parts.stream.aclose(),
    "loader": lambda parts: parts.loader.aclose(),
    "client": lambda parts: parts.client.aclose(),
}


async def wait_for(awaitable: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(awaitable, 5)


def test_another_loop_is_refused_while_the_first_is_open(fake: FakeInstantly) -> None:
    parts = Parts()
    with asyncio.Runner() as runner, asyncio.Runner() as other:
        runner.run(parts.use(fake.url))
        for use in (*USES.values(), *CLOSES.values()):
            with pytest.raises(ClosedError, match="another event loop"):
                other.run(wait_for(use(parts)))
        runner.run(parts.client.get_lead(A))  # the first one has not suffered
        runner.run(parts.client.aclose())
        runner.run(asyncio.sleep(0))


def test_another_loop_is_refused_after_asyncio_run(fake: FakeInstantly) -> None:
    """Closing is quiet: nothing is left that could be awaited."""
    parts = Parts()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it was not closed, and is told so
        asyncio.run(parts.use(fake.url))
        for use in USES.values():
            with pytest.raises(ClosedError, match="another event loop"):
                asyncio.run(wait_for(use(parts)))
        for close in CLOSES.values():
            asyncio.run(wait_for(close(parts)))
        for use in USES.values():
            with pytest.raises(ClosedError):
                asyncio.run(wait_for(use(parts)))
        del parts
        gc.collect()


def test_a_second_thread_does_not_hang_while_slots_are_contended(fake: FakeInstantly) -> None:
    fake.latency_s = 0.02
    client = InstantlyClient(KEY, base_url=fake.url, concurrency=2, rate_limit=None)
    begun, refused = Event(), Event()

    async def many() -> Counter[str]:
        async def one() -> str:
            try:
                await wait_for(client.get_lead(A))
            except ClosedError as error:
                return type(error).__name__
            return "found"

        return Counter(await asyncio.gather(*(one() for _ in range(30))))

    async def home() -> Counter[str]:
        work = asyncio.create_task(many())
        await asyncio.sleep(0.01)
        begun.set()
        found = await work
        await asyncio.to_thread(refused.wait, 5)
        await client.aclose()
        await asyncio.sleep(0)
        return found

    def elsewhere() -> Counter[str]:
        assert begun.wait(5)
        try:
            return asyncio.run(many())
        finally:
            refused.set()

    with ThreadPoolExecutor() as threads:
        found, other = threads.submit(asyncio.run, home()), threads.submit(elsewhere)
        assert found.result() == {"found": 30}
        assert other.result() == {"ClosedError": 30}


def test_a_limiter_moves_on_to_the_next_loop(fake: FakeInstantly) -> None:
    """One ``asyncio.run`` after another, without a warning, and never faster than allowed."""
    limiter = AdaptiveLimiter(RateLimit(per_second=200, per_minute=12_000))

    async def run() -> int:
        async with InstantlyClient(KEY, base_url=fake.url, limiter=limiter) as client:
            found = len((await client.get_leads(MANY)).leads)
        await asyncio.sleep(0)
        return found

    assert [asyncio.run(run()) for _ in range(3)] == [len(MANY)] * 3
    assert fake.worst_windows().per_second <= 200
    assert limiter.near.taken == 0


def test_a_limiter_of_an_open_loop_is_refused(fake: FakeInstantly) -> None:
    limiter = AdaptiveLimiter()

    async def use() -> None:
        async with InstantlyClient(KEY, base_url=fake.url, limiter=limiter) as client:
            await client.get_lead(A)
        await asyncio.sleep(0)

    with asyncio.Runner() as runner, asyncio.Runner() as other:
        runner.run(use())
        with pytest.raises(ClosedError, match="another event loop; make one limiter"):
            other.run(use())
        with pytest.raises(ClosedError, match="another event loop; make one limiter"):
            other.run(limiter.acquire())
        runner.run(use())


def test_a_limiter_forgets_who_was_near_in_a_loop_that_is_closed() -> None:
    """A loop that was closed without ending its tasks first; they leave when collected."""
    limiter = AdaptiveLimiter(RateLimit(per_second=10, per_minute=600))

    async def wait() -> None:
        near = limiter.near
        await near.enter()
        try:
            await limiter.acquire()
            await asyncio.Event().wait()
        finally:
            near.leave()

    loop = asyncio.new_event_loop()
    waiting = [loop.create_task(wait())]
    loop.run_until_complete(asyncio.sleep(0.01))
    for task in waiting:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # that is the point
    loop.close()
    assert asyncio.run(wait_for(limiter.acquire())) is True
    before = limiter.near
    waiting.clear()
    gc.collect()
    assert limiter.near is before
    assert before.taken == 0
