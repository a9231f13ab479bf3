"""Places: who works, who waits, and who is absent."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from virtual_loop import run_virtual

from instantly_async._fetch.absence import WorkPlaces
from instantly_async._fetch.intake import Intake
from instantly_async._fetch.pipeline import Deliver, Pipeline
from instantly_async.errors import ClosedError


def test_first_come_first_served() -> None:
    async def main() -> None:
        places = WorkPlaces(1)
        assert places.try_enter()
        assert not places.try_enter()
        order: list[int] = []

        async def work(number: int) -> None:
            async with places.inside():
                order.append(number)

        tasks = [asyncio.create_task(work(number)) for number in range(4)]
        await asyncio.sleep(0.1)
        tasks[1].cancel()
        places.leave()
        await asyncio.wait(tasks)
        assert order == [0, 2, 3]
        assert places.taken == 0

    run_virtual(main())


def test_a_place_given_to_somebody_who_leaves_just_then_is_passed_on() -> None:
    async def main() -> None:
        places = WorkPlaces(1)
        assert places.try_enter()
        first, second = (asyncio.create_task(places.enter()) for _ in range(2))
        await asyncio.sleep(0)
        places.leave()
        first.cancel()
        await second
        assert first.cancelled()
        assert places.taken == 1

    run_virtual(main())


def test_who_is_absent_takes_no_place_and_comes_back_in_turn() -> None:
    async def main() -> None:
        places, vacancies = WorkPlaces(1), []
        places.on_vacancy = lambda: vacancies.append(places.away)
        await places.enter()
        async with places.absence():
            assert places.away == 1
            assert places.try_enter()
            places.leave()
        assert (places.away, places.taken) == (0, 1)
        assert vacancies == [1]

    run_virtual(main())


def test_at_most_so_many_are_absent() -> None:
    """The others keep their places, which stops the intake."""

    async def main() -> None:
        places = WorkPlaces(2, most_ids=1)
        await places.enter()
        await places.enter()
        async with places.absence(), places.absence():
            assert places.away == 1
            assert places.taken == 1
        assert places.taken == 2

    run_virtual(main())


def test_a_cancelled_absence_leaves_nothing() -> None:
    async def main() -> None:
        places = WorkPlaces(1)

        async def work() -> None:
            async with places.inside(), places.absence():
                await asyncio.sleep(10)

        for cancel_at in (0.0, 5.0, 10.5):
            task = asyncio.create_task(work())
            await asyncio.sleep(0)
            holder = asyncio.create_task(places.enter())  # so that it must wait to come back
            await asyncio.sleep(cancel_at)
            task.cancel()
            await asyncio.wait([task])
            await holder
            places.leave()
            assert (places.away, places.taken) == (0, 0)

    run_virtual(main())


@given(
    concurrency=st.integers(1, 5),
    most_away=st.integers(0, 6),
    items=st.integers(0, 40),
    ordered=st.booleans(),
    is_async=st.booleans(),
    stop_after=st.none() | st.integers(0, 30),
    seed=st.integers(0, 2**32),
)
def test_a_pipeline_s_laws_hold_with_absences(
    *,
    concurrency: int,
    most_away: int,
    items: int,
    ordered: bool,
    is_async: bool,
    stop_after: int | None,
    seed: int,
) -> None:
    """At work ≤ concurrency; absent ≤ most_away; one result an item; in order if asked for."""
    rng = Random(seed)

    async def main() -> None:
        places = WorkPlaces(concurrency, most_away)
        at_work = 0

        async def work(index: int, item: int, deliver: Deliver[int]) -> None:
            nonlocal at_work
            assert index == item
            at_work += 1
            assert at_work <= concurrency
            await asyncio.sleep(rng.choice([0, 0, 0.1]))
            while rng.random() < 0.4:
                if places.away < most_away:
                    at_work -= 1
                    async with places.absence():
                        await asyncio.sleep(rng.choice([0, 0.1, 5]))
                    at_work += 1
                    assert at_work <= concurrency
                else:
                    async with places.absence():
                        await asyncio.sleep(rng.choice([0, 0.1]))
                assert places.away <= most_away
            deliver(index, item)
            at_work -= 1

        async def slowly() -> AsyncIterator[int]:
            for item in range(items):
                await asyncio.sleep(rng.choice([0, 0.05]))
                yield item

        pipeline = Pipeline(
            Intake(slowly() if is_async else range(items)),
            work,
            concurrency=concurrency,
            places=places,
            ordered=ordered,
        )
        results: list[int] = []
        async for result in pipeline:
            results.append(result)
            if len(results) == stop_after:
                break
        await pipeline.aclose(ClosedError("closed"))
        if stop_after is None or stop_after > items:
            assert sorted(results) == list(range(items))
            assert places.taken == 0
            assert pipeline._workers == 0
        assert not ordered or results == list(range(len(results)))
        assert places.away == 0

    run_virtual(main())
