"""The laws of the pipeline, on an ordinary loop: nothing here knows HTTP or time."""

import asyncio
import contextlib
import gc
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_loop import run_virtual

from instantly_async._fetch.intake import ChunkIntake, Intake
from instantly_async._fetch.pipeline import BUFFER, Deliver, Pipeline
from instantly_async.errors import ClosedError


class Spy:
    """Work that takes a scripted number of turns of the loop, and counts what runs."""

    def __init__(self, turns: list[int] | None = None, fail_at: int | None = None) -> None:
        self.turns = turns or [0]
        self.fail_at = fail_at
        self.running = 0
        self.most_running = 0
        self.started = 0
        self.finished = 0
        self.taken = 0
        self.most_held = 0

    async def work(self, index: int, item: int, deliver: Deliver[int]) -> None:
        self.started += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            for _ in range(self.turns[index % len(self.turns)]):
                await asyncio.sleep(0)
            if index == self.fail_at:
                raise LookupError(index)
            deliver(index, item)
            self.finished += 1
            self.most_held = max(self.most_held, self.finished - self.taken)
        finally:
            self.running -= 1


async def consume(pipeline: Pipeline[int, int], spy: Spy, slowness: int = 0) -> list[int]:
    results = []
    async for result in pipeline:
        spy.taken += 1
        results.append(result)
        for _ in range(slowness):
            await asyncio.sleep(0)
    return results


async def arange(count: int) -> AsyncIterator[int]:
    for i in range(count):
        if i % 3 == 0:
            await asyncio.sleep(0)
        yield i


def no_tasks_but_this() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


@given(
    count=st.integers(0, 300),
    concurrency=st.integers(1, 12),
    turns=st.lists(st.integers(0, 9), min_size=1, max_size=7),
    slowness=st.integers(0, 3),
    ordered=st.booleans(),
    is_async=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_laws(  # noqa: PLR0917 - one parameter per dimension of the law
    count: int, concurrency: int, turns: list[int], slowness: int, ordered: bool, is_async: bool
) -> None:
    """One result per item; in flight and held are bounded; order if requested; nothing is left."""

    async def run() -> None:
        spy = Spy(turns)
        source = arange(count) if is_async else range(count)
        pipeline = Pipeline(Intake(source), spy.work, concurrency=concurrency, ordered=ordered)
        results = await consume(pipeline, spy, slowness)
        assert sorted(results) == list(range(count))
        if ordered:
            assert results == list(range(count))
            assert spy.most_held <= concurrency
        assert spy.most_running <= concurrency
        assert spy.most_held <= BUFFER + concurrency
        await pipeline.aclose(ClosedError("closed"))
        assert no_tasks_but_this()

    asyncio.run(run())


async def test_input_is_pulled_lazily() -> None:
    """Nothing is pulled that is not worked on at once, and an infinite input is fine."""
    pulled = 0

    def endless() -> Iterator[int]:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled

    spy = Spy([5])
    pipeline = Pipeline(Intake(endless()), spy.work, concurrency=4)
    for _ in range(20):
        await anext(pipeline)
        spy.taken += 1
        assert pulled == spy.started
        assert pulled <= spy.taken + 4 + BUFFER
    await pipeline.aclose(ClosedError("closed"))
    assert no_tasks_but_this()


async def test_a_stopped_consumer_stops_the_intake() -> None:
    """A consumer that takes nothing more leaves at most the buffer and one unit per worker."""
    spy = Spy()
    pipeline = Pipeline(Intake(range(10_000)), spy.work, concurrency=5)
    await anext(pipeline)
    for _ in range(1000):
        await asyncio.sleep(0)
    assert BUFFER <= spy.started <= 1 + BUFFER + 5
    await pipeline.aclose(ClosedError("closed"))


async def test_short_inputs_make_few_tasks() -> None:
    spy = Spy([3])
    pipeline = Pipeline(Intake([1, 2]), spy.work, concurrency=100)
    await anext(pipeline)
    assert len(asyncio.all_tasks()) <= 1 + 1 + 3  # this one, the runner, the workers
    await pipeline.aclose(ClosedError("closed"))


@pytest.mark.parametrize("ordered", [False, True])
async def test_failure_of_work_is_raised_after_what_was_done(ordered: bool) -> None:
    """Results before the failure are yielded (in index order), then its own exception."""
    spy = Spy([1, 2, 9, 1], fail_at=10)
    pipeline = Pipeline(Intake(range(1000)), spy.work, concurrency=4, ordered=ordered)
    results = []
    with pytest.raises(LookupError) as caught:
        async for result in pipeline:
            results.append(result)
    assert caught.value.args == (10,)
    assert len(results) == spy.finished
    assert 10 not in results
    if ordered:
        assert results == sorted(results)
    assert no_tasks_but_this()
    with pytest.raises(LookupError):  # whoever asks again: it did not end as it should
        await anext(pipeline)


@pytest.mark.parametrize("is_async", [False, True])
async def test_failure_of_the_input_is_the_original_error(is_async: bool) -> None:
    closed = []

    def broken() -> Iterator[int]:
        try:
            yield from range(5)
            raise OSError("the disk with the ids")
        finally:
            closed.append(True)

    async def broken_async() -> AsyncIterator[int]:
        for item in broken():
            yield item

    spy = Spy([2])
    pipeline = Pipeline(Intake(broken_async() if is_async else broken()), spy.work, concurrency=3)
    with pytest.raises(OSError, match="the disk with the ids"):
        await consume(pipeline, spy)
    assert closed == [True]
    assert no_tasks_but_this()


@pytest.mark.parametrize("is_async", [False, True])
async def test_leaving_early_closes_a_generator(is_async: bool) -> None:
    closed = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append("sync")

    async def endless_async() -> AsyncIterator[int]:
        try:
            while True:
                await asyncio.sleep(0)
                yield 1
        finally:
            closed.append("async")

    spy = Spy([2])
    pipeline = Pipeline(Intake(endless_async() if is_async else endless()), spy.work, concurrency=3)
    await anext(pipeline)
    await pipeline.aclose(ClosedError("closed"))
    assert closed == ["async" if is_async else "sync"]
    assert spy.running == 0
    assert no_tasks_but_this()
    await pipeline.aclose(ClosedError("closed"))  # idempotent


async def test_an_input_that_cannot_be_closed_cleanly_does_not_hide_the_end() -> None:
    def stubborn() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            raise OSError("cannot close")

    ended = []
    pipeline = Pipeline(
        Intake(stubborn()), Spy([1]).work, concurrency=2, on_end=lambda: ended.append(True)
    )
    await anext(pipeline)
    with pytest.raises(OSError, match="cannot close"):
        await pipeline.aclose(ClosedError("closed"))
    await pipeline.aclose(ClosedError("closed"))  # it was told once
    assert ended == [True]


async def test_a_stray_cancellation_of_the_input_is_not_its_end() -> None:
    """The consumer gets it; a task group alone would treat it as a normal end."""

    async def cancelled() -> AsyncIterator[int]:
        yield 1
        yield 2
        raise asyncio.CancelledError("from a task the input awaited")

    spy = Spy()
    pipeline = Pipeline(Intake(cancelled()), spy.work, concurrency=3)
    with pytest.raises(asyncio.CancelledError, match="from a task"):
        await consume(pipeline, spy)
    assert spy.finished == 2
    assert no_tasks_but_this()


async def test_a_cleanup_that_is_cancelled_within_does_not_hang_the_consumer() -> None:
    async def stubborn() -> AsyncIterator[int]:
        try:
            while True:
                await asyncio.sleep(0)
                yield 1
        finally:
            raise asyncio.CancelledError("while closing")

    ended = []
    pipeline = Pipeline(
        Intake(stubborn()), Spy([1]).work, concurrency=2, on_end=lambda: ended.append(True)
    )
    await anext(pipeline)
    await pipeline.aclose(ClosedError("closed"))
    assert ended == [True]


def test_an_input_that_does_not_end_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    """After a second and a half, with a warning, and as if it had ended."""
    cancellations = 0

    async def deaf() -> AsyncIterator[int]:
        nonlocal cancellations
        yield 1
        while cancellations < 3:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancellations += 1

    async def main() -> None:
        pipeline = Pipeline(Intake(deaf()), Spy().work, concurrency=2)
        assert await anext(pipeline) == 1
        waiting = asyncio.ensure_future(anext(pipeline))
        await asyncio.sleep(1)
        await pipeline.aclose(ClosedError("closed"))
        assert asyncio.get_running_loop().time() == pytest.approx(2.5, abs=0.01)
        with pytest.raises(ClosedError):
            await waiting
        assert cancellations == 2
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(1)

    run_virtual(main())
    assert "left behind" in caplog.text


@pytest.mark.parametrize("turns", range(12))
async def test_closing_does_not_interrupt_the_cleanup_of_the_input(turns: int) -> None:
    cleaned = []

    async def careful() -> AsyncIterator[int]:
        try:
            for item in range(1000):
                if item % 2:
                    await asyncio.sleep(0)
                yield item
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            cleaned.append(True)

    pipeline = Pipeline(Intake(careful()), Spy([1, 3]).work, concurrency=2)
    await anext(pipeline)
    for _ in range(turns):
        await asyncio.sleep(0)
    await pipeline.aclose(ClosedError("closed"))
    assert cleaned == [True]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_generator_that_was_begun_is_closed_without_pulling_it(*, is_async: bool) -> None:
    pulled, closed = [], []

    async def peeked() -> AsyncIterator[int]:
        try:
            for item in range(9):
                pulled.append(item)
                yield item
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    def peeked_plain() -> Iterator[int]:
        try:
            for item in range(9):
                pulled.append(item)
                yield item
        finally:
            closed.append(True)

    if is_async:
        slow = peeked()
        await anext(slow)
        pipeline = Pipeline(Intake(slow), Spy().work, concurrency=2)
    else:
        plain = peeked_plain()
        next(plain)
        pipeline = Pipeline(Intake(plain), Spy().work, concurrency=2)
    await pipeline.aclose(ClosedError("closed"))
    assert (pulled, closed) == ([0], [True])


@pytest.mark.parametrize("is_async", [True, False])
@given(turns=st.integers(0, 60), which=st.integers(0, 10), ordered=st.booleans())
@settings(max_examples=60)
def test_who_cancels_one_task_ends_the_run_with_a_cancellation(
    turns: int, which: int, *, is_async: bool, ordered: bool
) -> None:
    """Whichever it is, and at any moment: results never end short without an error."""

    async def main() -> None:
        spy = Spy([3, 1, 5])
        source = arange(20) if is_async else range(20)
        pipeline = Pipeline(Intake(source), spy.work, concurrency=4, ordered=ordered)
        consumer = asyncio.create_task(consume(pipeline, spy))
        for _ in range(turns):
            await asyncio.sleep(0)
        others = sorted(pipeline._tasks, key=lambda task: task.get_name())
        if others:
            others[which % len(others)].cancel()
        await asyncio.wait([consumer])
        assert consumer.cancelled() or sorted(consumer.result()) == list(range(20))
        assert consumer.cancelled() or not others or turns > 5
        assert no_tasks_but_this()

    asyncio.run(main())


async def test_an_input_that_raises_what_ends_an_iteration_does_not_end_it() -> None:
    class Odd:
        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            raise StopAsyncIteration

    with pytest.raises(RuntimeError, match="StopAsyncIteration"):
        await consume(Pipeline(Intake(Odd()), Spy().work, concurrency=2), Spy())


async def test_an_exception_group_of_the_input_stays_whole() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ExceptionGroup("two", [OSError(), ValueError()])

    spy = Spy()
    with pytest.raises(ExceptionGroup, match="two"):
        await consume(Pipeline(Intake(broken()), spy.work, concurrency=2), spy)


async def test_a_callers_iterable_stays_open() -> None:
    """Only generators are closed: a file belongs to the caller."""

    class File:
        closed = False

        def __iter__(self) -> Iterator[int]:
            return iter([1, 2, 3])

        def close(self) -> None:
            self.closed = True

    file = File()
    pipeline = Pipeline(Intake(file), Spy().work, concurrency=2)
    assert sorted([item async for item in pipeline]) == [1, 2, 3]
    assert not file.closed


async def test_closing_before_the_first_result() -> None:
    """A pipeline that was never iterated still closes its input and says that it ended."""
    ended = []
    source = (i for i in range(3))
    pipeline = Pipeline(
        Intake(source), Spy().work, concurrency=2, on_end=lambda: ended.append(True)
    )
    await pipeline.aclose(ClosedError("closed"))
    await pipeline.aclose(ClosedError("closed"))
    assert ended == [True]
    assert next(source, None) is None
    with pytest.raises(ClosedError):
        await anext(pipeline)


async def test_a_waiting_consumer_gets_the_error_it_is_closed_with() -> None:
    async def hang(index: int, item: int, deliver: Deliver[int]) -> None:
        await asyncio.Event().wait()

    pipeline = Pipeline(Intake(range(5)), hang, concurrency=2)
    waiting = asyncio.create_task(anext(pipeline))
    await asyncio.sleep(0)
    await pipeline.aclose(RuntimeError("closed by somebody else"))
    with pytest.raises(RuntimeError, match="closed by somebody else"):
        await waiting
    assert no_tasks_but_this()


async def test_a_cancelled_close_still_cleans_up() -> None:
    """Cancelling the task that awaits ``aclose`` does not stop the cleanup."""
    released = asyncio.Event()
    cleaned = []

    async def slow_to_stop(index: int, item: int, deliver: Deliver[int]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await released.wait()
            cleaned.append(index)

    pipeline = Pipeline(Intake(range(2)), slow_to_stop, concurrency=2)
    consumer = asyncio.create_task(anext(pipeline))
    await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    closing = asyncio.create_task(pipeline.aclose(ClosedError("closed")))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    released.set()
    with pytest.raises(ClosedError):
        await consumer
    assert sorted(cleaned) == [0, 1]


async def test_several_consumers_share_the_results() -> None:
    spy = Spy([1, 4, 2])
    pipeline = Pipeline(Intake(range(200)), spy.work, concurrency=5)
    parts = await asyncio.gather(*(consume(pipeline, spy) for _ in range(3)))
    assert sorted(result for part in parts for result in part) == list(range(200))


async def test_one_unit_may_deliver_several_results() -> None:
    """A unit is a chunk of ids for the list strategy: one call of work, many results."""

    async def work(index: int, item: list[int], deliver: Deliver[int]) -> None:
        for offset, value in enumerate(item):
            await asyncio.sleep(0)
            deliver(index + offset, value)

    intake = ChunkIntake(range(9), 3)
    pipeline = Pipeline(intake, work, concurrency=2)
    assert sorted([value async for value in pipeline]) == list(range(9))


async def test_memory_does_not_grow_with_the_input() -> None:
    spy = Spy([1, 2])

    async def peak(count: int) -> int:
        gc.collect()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        pipeline = Pipeline(Intake(range(count)), spy.work, concurrency=20)
        async for _ in pipeline:
            spy.taken += 1
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        await peak(200)
        small, large = await peak(200), await peak(4000)
    finally:
        tracemalloc.stop()
    assert large < small * 1.5 + 50_000


def test_what_is_not_iterable_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        Pipeline(Intake(5), Spy().work, concurrency=1)  # type: ignore[arg-type]


# --- inputs that handle cancellations ------------------------------------------------------


async def ending_when_cancelled() -> AsyncIterator[int]:
    try:
        for item in range(1000):
            await asyncio.sleep(1)
            yield item
    except asyncio.CancelledError:
        return


async def reconnecting() -> AsyncIterator[int]:
    """Yield in windows of limited time; each begins where the last one was interrupted."""
    item = 0
    while item < 30:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                while item < 30:
                    item += 1
                    yield item - 1


async def for_a_while() -> AsyncIterator[int]:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            for item in range(1000):
                yield item


INTAKES = pytest.mark.parametrize("intake", [Intake, partial(ChunkIntake, unit_size=7)])


async def slowly(index: int, unit: Any, deliver: Deliver[int]) -> None:
    await asyncio.sleep(1)
    for offset, item in enumerate(unit if isinstance(unit, list) else [unit]):
        deliver(index + offset, item)


@INTAKES
def test_a_cancellation_that_the_input_takes_for_its_end_is_none(intake: Any) -> None:
    async def main() -> None:
        pipeline = Pipeline(intake(ending_when_cancelled()), slowly, concurrency=2)
        consumer = asyncio.create_task(consume(pipeline, Spy()))
        await asyncio.sleep(10.5)
        (feeder,) = [task for task in pipeline._tasks if "feed" in repr(task.get_coro())]
        feeder.cancel()
        await asyncio.wait([consumer])
        assert consumer.cancelled()

    run_virtual(main())


@INTAKES
def test_an_input_may_handle_its_own_timeout_at_a_yield(intake: Any) -> None:
    """It ends, or goes on, as if the timeout had come while it was pulled; nothing is lost."""

    async def main() -> None:
        pipeline = Pipeline(intake(reconnecting()), slowly, concurrency=1)
        assert await consume(pipeline, Spy()) == list(range(30))
        pipeline = Pipeline(intake(for_a_while()), slowly, concurrency=1)
        given = await consume(pipeline, Spy())
        assert given == list(range(len(given)))
        assert 5 <= len(given) < 1000

    run_virtual(main())


async def test_what_a_task_group_of_the_input_raises_when_it_is_closed() -> None:
    """Without the ``GeneratorExit`` that is in its group; what is no ``Exception`` is told, too."""

    async def careless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("could not save")

    async def with_tasks(*, careful: bool) -> AsyncIterator[int]:
        async with asyncio.TaskGroup() as group:
            if not careful:
                group.create_task(careless())
            for item in range(1000):
                await asyncio.sleep(0)
                yield item

    class Base(BaseException):
        pass

    async def exotic() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            raise Base

    for source, kind in (
        (with_tasks(careful=True), None),
        (with_tasks(careful=False), ExceptionGroup),
        (exotic(), Base),
    ):
        pipeline = Pipeline(Intake(source), Spy([1]).work, concurrency=1)
        await anext(pipeline)
        with pytest.raises(kind) if kind else contextlib.nullcontext():
            await pipeline.aclose(ClosedError("closed"))
    assert no_tasks_but_this()
