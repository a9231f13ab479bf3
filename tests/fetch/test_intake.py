"""Chunks of a lazy input: none late, none too long, nothing lost, nothing left behind.

Time is virtual. Intake item by item is pinned by ``test_pipeline.py``.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from virtual_loop import run_virtual

from instantly_async._fetch.intake import FLUSH_S, ChunkIntake, Intake
from instantly_async._fetch.pipeline import BUFFER, Deliver, Pipeline

EPS_S = 1e-3  # a pass of the virtual loop costs 1 µs
GAPS = st.sampled_from([0.0, 0.0, 0.0, FLUSH_S / 20, FLUSH_S / 3, FLUSH_S, FLUSH_S * 5])
SIZES = st.integers(1, 7)

K = TypeVar("K", bound="Intake[int] | ChunkIntake[int]")


def now() -> float:
    return asyncio.get_running_loop().time()


class Slow:
    """An async iterator that notes when each item came, and if a wait for one was cancelled."""

    def __init__(self, gaps: Iterable[float]) -> None:
        self._gaps = enumerate(gaps)
        self.arrived: list[float] = []
        self.cancelled = False

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        for item, gap in self._gaps:
            try:
                if gap:  # else at once, without a turn of the loop
                    await asyncio.sleep(gap)
            except asyncio.CancelledError:
                self.cancelled = True
                raise
            self.arrived.append(now())
            return item
        raise StopAsyncIteration


async def counting(limit: int | None = None, gap: float = 0.0) -> AsyncIterator[int]:
    for item in itertools.count() if limit is None else range(limit):
        if gap:
            await asyncio.sleep(gap)
        yield item


def by(size: int, source: Any) -> ChunkIntake[int]:
    return ChunkIntake(source, size)


@contextlib.asynccontextmanager
async def fed(intake: K) -> AsyncIterator[K]:
    """Run the feeder of an async input, as a pipeline does."""
    feeder = asyncio.create_task(intake.feed())
    try:
        yield intake
    finally:
        intake.stop()
        await asyncio.sleep(0)
        feeder.cancel()
        await asyncio.wait([feeder])
        intake.close()


async def pull_all(intake: ChunkIntake[int]) -> list[list[int]]:
    chunks = []
    while (unit := await intake.pull_async()) is not None:
        chunks.append(unit[1])
    return chunks


@given(count=st.integers(0, 60), size=SIZES)
@example(count=0, size=3)
@example(count=6, size=3)  # ends where a chunk ends
def test_chunks_of_an_iterable(count: int, size: int) -> None:
    """All of them full but the last, numbered by their first item; not one item ahead."""
    pulled = 0
    chunks: list[list[int]] = []

    def source() -> Iterator[int]:
        nonlocal pulled
        for pulled in range(1, count + 1):
            yield pulled - 1

    intake = ChunkIntake(source(), size)
    while (unit := intake.pull()) is not None:
        first, chunk = unit
        assert first == sum(map(len, chunks))
        assert intake.pulled == pulled == first + len(chunk)
        assert len(chunk) == min(size, count - first)
        chunks.append(chunk)
    assert list(itertools.chain(*chunks)) == list(range(count))
    assert intake.pull() is None


@given(gaps=st.lists(GAPS, max_size=40), size=SIZES, pauses=st.lists(GAPS, min_size=1, max_size=5))
@example(gaps=[], size=3, pauses=[0.0])
@example(gaps=[0.0] * 6, size=3, pauses=[0.0])
@example(gaps=[FLUSH_S] * 6, size=3, pauses=[FLUSH_S])
@settings(deadline=None)
def test_chunks_of_an_async_iterable(gaps: list[float], size: int, pauses: list[float]) -> None:
    """In order; one chunk ahead at most; no item makes a consumer wait beyond ``FLUSH_S``."""

    async def run() -> None:
        source = Slow(gaps)
        async with fed(ChunkIntake(source, size)) as intake:
            await check(source, intake)
        assert not source.cancelled

    async def check(source: Slow, intake: ChunkIntake[int]) -> None:
        chunks = list[list[int]]()
        for pause in itertools.cycle(pauses):
            await asyncio.sleep(pause)
            asked_at = now()
            unit = await intake.pull_async()
            if unit is None:
                break
            first, chunk = unit
            assert first == sum(map(len, chunks))
            assert 1 <= len(chunk) <= size
            assert intake.pulled == first + len(chunk)
            began_at, ended_at = source.arrived[first], source.arrived[intake.pulled - 1]
            assert now() <= max(asked_at, began_at + FLUSH_S) + EPS_S
            if len(chunk) == size:
                assert now() <= max(asked_at, ended_at) + EPS_S
            elif len(chunk) < size and intake.pulled < len(gaps):
                assert now() >= began_at + FLUSH_S
            chunks.append(chunk)
            assert len(source.arrived) <= intake.pulled + size
        assert list(itertools.chain(*chunks)) == list(range(len(gaps)))
        assert await intake.pull_async() is None

    run_virtual(run())


@given(
    count=st.integers(0, 60),
    size=st.integers(1, 7),
    concurrency=st.integers(1, 5),
    turns=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    slowness=st.integers(0, 3),
    ordered=st.booleans(),
    gap=GAPS | st.none(),
)
@settings(deadline=None)
def test_pipeline_of_chunks(  # noqa: PLR0917 - one parameter per dimension of the law
    count: int,
    size: int,
    concurrency: int,
    turns: list[int],
    slowness: int,
    ordered: bool,
    gap: float | None,
) -> None:
    """One result per item; in flight and held are bounded; order if requested; nothing is left."""

    async def run() -> None:
        running = delivered = 0
        results = list[int]()

        async def work(index: int, unit: list[int], deliver: Deliver[int]) -> None:
            nonlocal running, delivered
            running += 1
            assert running <= concurrency
            for offset, item in enumerate(unit):
                for _ in range(turns[(index + offset) % len(turns)]):
                    await asyncio.sleep(0)
                deliver(index + offset, item)
                delivered += 1
                spare = 0 if ordered else BUFFER
                assert delivered - len(results) <= concurrency * size + spare
            running -= 1

        source = range(count) if gap is None else counting(count, gap)
        pipeline = Pipeline(by(size, source), work, concurrency=concurrency, ordered=ordered)
        async for result in pipeline:
            results.append(result)
            for _ in range(slowness):
                await asyncio.sleep(0)
        assert (results if ordered else sorted(results)) == list(range(count))

    run_virtual(run())


async def stop(consumer: Coroutine[Any, Any, Any], after_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(consumer, after_s)


@given(gap=GAPS, after_s=st.floats(0, FLUSH_S * 8), pulls=st.integers(1, 4))
@settings(deadline=None)
def test_closing_at_any_moment_closes_the_generator(gap: float, after_s: float, pulls: int) -> None:
    """No task is left over, ``run_virtual`` sees to that; a second time does nothing."""

    async def run() -> None:
        source = counting(gap=gap)

        async def consume() -> None:
            for _ in range(pulls):
                await intake.pull_async()

        async with fed(by(3, source)) as intake:
            await stop(consume(), after_s)
        with pytest.raises(StopAsyncIteration):
            await anext(source)

    run_virtual(run())


@pytest.mark.parametrize("intake", [Intake, lambda source: by(3, source)])
def test_what_is_not_iterable_is_a_type_error(intake: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError):
        intake(5)


async def test_items_one_by_one_have_an_end() -> None:
    plain = Intake(range(1))
    assert [plain.pull() for _ in range(3)] == [(0, 0), None, None]
    async with fed(Intake(counting(1))) as slow:
        assert [await slow.pull_async() for _ in range(3)] == [(0, 0), None, None]


def test_no_more_than_one_unit_is_pulled_ahead() -> None:
    async def run() -> None:
        source = Slow([0.0] * 100)
        async with fed(by(10, source)) as intake:
            await asyncio.sleep(1)
            assert len(source.arrived) == 10
            assert await intake.pull_async() == (0, list(range(10)))
            await asyncio.sleep(1)
            assert len(source.arrived) == 20

    run_virtual(run())


@pytest.mark.parametrize("source", [itertools.count(), counting()], ids=["plain", "async"])
async def test_an_endless_input(source: Any) -> None:
    intake = by(100, source)
    async with fed(intake) if intake.is_async else contextlib.nullcontext():
        for first in range(0, 1000, 100):
            unit = await intake.pull_async() if intake.is_async else intake.pull()
            assert unit == (first, list(range(first, first + 100)))


def test_a_full_chunk_does_not_wait_and_a_late_consumer_does_not_either() -> None:
    async def run() -> None:
        async with fed(by(3, Slow([0, 0, 0, 0, 1, 0]))) as intake:
            assert await intake.pull_async() == (0, [0, 1, 2])
            await asyncio.sleep(FLUSH_S * 2)
            assert await intake.pull_async() == (3, [3])
            assert now() < FLUSH_S * 2 + EPS_S
            assert await intake.pull_async() == (4, [4, 5])
            assert now() < 1 + EPS_S  # the input has ended: what would it wait for?

    run_virtual(run())


@pytest.mark.parametrize("error", [OSError, asyncio.CancelledError])
@pytest.mark.parametrize("count", range(7))
async def test_an_error_of_an_async_input_comes_after_the_items_before_it(
    error: type[BaseException], count: int
) -> None:
    """So does a cancellation from within the input; it is not treated as the end."""

    async def broken() -> AsyncIterator[int]:
        async for item in counting(count):
            yield item
        raise error("half way")

    async with fed(by(3, broken())) as intake:
        for first in range(0, count, 3):
            assert await intake.pull_async() == (first, list(range(first, min(first + 3, count))))
        for _ in range(2):
            with pytest.raises(error, match="half way"):
                await intake.pull_async()


@pytest.mark.parametrize("count", range(7))
def test_an_error_of_a_plain_input_comes_after_the_items_before_it(count: int) -> None:
    intake = by(3, (item if item < count else 1 // 0 for item in range(9)))
    for first in range(0, count, 3):
        assert intake.pull() == (first, list(range(first, min(first + 3, count))))
    with pytest.raises(ZeroDivisionError):
        intake.pull()


@pytest.mark.parametrize("after_s", [0.0, 0.5, 1.0 + FLUSH_S / 2])
def test_a_consumer_that_is_cancelled_loses_nothing(after_s: float) -> None:
    """While it waits for the first item, and for others to join it."""

    async def run() -> None:
        source = Slow([1.0, 1.0])
        async with fed(by(3, source)) as intake:
            await stop(intake.pull_async(), after_s)
            assert await pull_all(intake) == [[0], [1]]
        assert not source.cancelled

    run_virtual(run())


def test_a_generator_that_swallows_its_cancellation_does_not_hang() -> None:
    """``run_virtual`` would notice a loop where nothing is ready any more."""
    closed = []

    async def deaf() -> AsyncIterator[int]:
        try:
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    yield 1
        finally:
            closed.append(True)

    async def run() -> None:
        async with fed(by(3, deaf())) as intake:
            await stop(intake.pull_async(), 1)
        assert closed == [True]

    run_virtual(run())


async def test_what_is_no_generator_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    path.write_text("a\nb\nc\n")
    with path.open() as file:
        lines = ChunkIntake(file, 2)
        assert lines.pull() == (0, ["a\n", "b\n"])
        lines.close()
        assert file.read() == "c\n"
    source = Slow([0.0] * 9)
    async with fed(by(2, source)) as numbers:
        await numbers.pull_async()
    assert await anext(source) > 1
