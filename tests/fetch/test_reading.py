"""A page that is read in steps: the loop runs in between, and nothing is lost.

Nothing here measures time: the clock is injected, or a step takes longer than a turn on purpose.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from itertools import count

import msgspec
import pytest
from stepping import do
from wire import READ, Script, answer, scripted

from instantly_async import Found, InstantlyClient, Lead, RetryPolicy, Timeouts
from instantly_async._api import Endpoints, Page, Steps
from instantly_async._fetch.reading import TURN_S, finish
from instantly_async.errors import DecodeError
from instantly_async.testing import lead_ids, lead_json

IDS = list(lead_ids(100))
PAGES = Endpoints(Lead, Timeouts(), RetryPolicy()).list(keep_raw=False)


def odd_page(lead_ids: Sequence[str], size: int = 0) -> bytes:
    """Return a page of leads of this many bytes; each has half an emoji."""
    leads = []
    for lead_id in lead_ids:
        lead = {**json.loads(lead_json(lead_id)), "first_name": "\ud83d"}
        missing = max(0, size - len(json.dumps(lead)))
        leads.append(lead | {"payload": {f"field {i}": "x" * 50 for i in range(missing // 66)}})
    return json.dumps({"items": leads}).encode()


def read_in_steps(body: bytes) -> Steps[Page[Lead]]:
    work = PAGES.read(IDS, body)
    assert isinstance(work, Steps)
    return work


def clock_of(turns_per_call: float) -> Callable[[], float]:
    ticks = count()
    return lambda: next(ticks) * turns_per_call * TURN_S


class Passes:
    """Counts how often the loop runs other tasks."""

    count = 0


@asynccontextmanager
async def other_work() -> AsyncIterator[Passes]:
    passes = Passes()

    async def work() -> None:
        while True:
            passes.count += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    yield passes
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("size", [3_000, 20_000])
async def test_the_loop_runs_between_any_two_items(size: int) -> None:
    """If each takes a turn; and the page is read as it is at once."""
    body = odd_page(IDS, size)
    async with other_work() as passes:
        before = passes.count
        page = await finish(read_in_steps(body), asyncio.Lock(), clock_of(2))
        assert passes.count - before >= 2 * len(IDS)  # each is found, and then decoded
    assert page == do(read_in_steps(body))
    assert isinstance(page, Page)
    assert list(page.found) == IDS


@pytest.mark.parametrize("steps_per_turn", [2, 8, 1000])
async def test_the_loop_runs_once_a_turn(steps_per_turn: int) -> None:
    """Not after each step: that would take longer than the steps of a page of tiny items."""
    steps = 100
    async with other_work() as passes:
        before = passes.count
        await finish(Steps(yield_times(steps)), asyncio.Lock(), clock_of(1.01 / steps_per_turn))
        turns = passes.count - before - 1  # one before the first step
    # The clock is read once more in each turn.
    assert steps // (steps_per_turn + 1) <= turns <= steps // (steps_per_turn - 1)


def yield_times(steps: int) -> Generator[None, None, None]:
    for _ in range(steps):
        yield


async def test_one_page_at_a_time() -> None:
    """Otherwise a pass of the loop would hold a turn of each."""
    turn = asyncio.Lock()
    steps: list[str] = []

    def work(name: str) -> Generator[None, None, str]:
        for _ in range(3):
            steps.append(name)
            yield
        return name

    clock = clock_of(2)
    done = await asyncio.gather(*(finish(Steps(work(n)), turn, clock) for n in "ab"))
    assert done == ["a", "b"]
    assert "".join(steps) == "aaabbb"


async def test_an_error_is_returned_without_its_traceback() -> None:
    """Its frames hold leads."""
    turn = asyncio.Lock()
    error = await finish(read_in_steps(odd_page(IDS)[:-1]), turn)
    assert isinstance(error, DecodeError)
    assert (error.reason, error.__traceback__, error.__context__) == ("truncated", None, None)
    assert not turn.locked()


# --- through the client ---


async def test_no_step_decodes_more_than_one_lead() -> None:
    """Each takes longer than a turn here, so the loop runs between any two of them."""
    seen: list[int] = []

    async with other_work() as passes:

        class Slow(msgspec.Struct):
            id: str
            first_name: str

            def __post_init__(self) -> None:
                seen.append(passes.count)
                time.sleep(TURN_S)  # blocks, as decoding does

        ids = IDS[:20]
        async with scripted([[READ, answer(odd_page(ids))]]) as wire:
            async with InstantlyClient("key", base_url=wire.url, lead_type=Slow) as client:
                batch = await client.get_leads(ids, strategy="list")
    assert [lead.id for lead in batch.leads] == ids
    assert [found.problems for found in batch.outcomes if isinstance(found, Found)] == [
        ("first_name",)
    ] * len(ids)
    assert len(seen) == len(set(seen)) == len(ids)


async def test_a_page_that_is_cut_off_behind_an_odd_lead_is_repeated() -> None:
    body = odd_page(IDS)
    scripts: list[Script] = [[READ, answer(body[:-9])], [READ, answer(body)]]
    retry = RetryPolicy(backoff_base_s=0.01)
    async with scripted(scripts) as wire:
        async with InstantlyClient("key", base_url=wire.url, retry=retry) as client:
            batch = await client.get_leads(IDS, strategy="list")
    assert [lead.id for lead in batch.leads] == IDS
    assert (batch.stats.requests, batch.stats.fallbacks) == (2, 0)


async def test_cancelled_between_two_steps() -> None:
    """The client can be used afterwards."""
    decoded: list[str] = []

    class Cancelling(msgspec.Struct):
        id: str
        first_name: str

        def __post_init__(self) -> None:
            decoded.append(self.id)
            time.sleep(TURN_S)
            if self.id == IDS[2]:
                run.cancel()

    scripts: list[Script] = [[READ, answer(odd_page(ids))] for ids in (IDS[:50], IDS[3:9])]
    async with scripted(scripts) as wire:
        async with InstantlyClient("key", base_url=wire.url, lead_type=Cancelling) as client:
            run = asyncio.create_task(client.get_leads(IDS[:50], strategy="list"))
            with pytest.raises(asyncio.CancelledError):
                await run
            assert len(decoded) < 20  # the cancellation needs a few passes of the loop
            assert client.stats.in_flight == 0
            batch = await client.get_leads(IDS[3:9], strategy="list")
    assert [lead.id for lead in batch.leads] == IDS[3:9]


async def test_the_check_of_the_key_reads_in_steps() -> None:
    async with scripted([[READ, answer(odd_page(IDS[:1]))]]) as wire:
        async with InstantlyClient("key", base_url=wire.url) as client:
            assert (await client.check()).has_leads
