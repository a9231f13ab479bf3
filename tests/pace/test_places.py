"""Places, of which the limiter has some: few at a time, first come, first served."""

import asyncio
from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_loop import run_virtual

from instantly_async._pace import AdaptiveLimiter, Places
from instantly_async.settings import RateLimit


class Crowd:
    """Tasks that take a place and leave it after a second; each notes when it came in."""

    def __init__(self, size: int) -> None:
        self.stage = Places(size)
        self.entered: list[int] = []
        self.times: dict[int, float] = {}
        self.inside = self.most = 0
        self.tasks: list[asyncio.Task[None]] = []

    async def visit(self, ticket: int) -> None:
        await self.stage.enter()
        self.entered.append(ticket)
        self.times[ticket] = asyncio.get_running_loop().time()
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await asyncio.sleep(1.0)
        finally:
            self.inside -= 1
            self.stage.leave()

    def come(self, count: int) -> None:
        for _ in range(count):
            self.tasks.append(asyncio.create_task(self.visit(len(self.tasks))))

    async def end(self) -> None:
        await asyncio.gather(*self.tasks, return_exceptions=True)
        assert repr(self.stage) == f"<Places 0 of {self.stage.size} waiting=0>"


def test_only_so_many_are_in_it_and_in_order() -> None:
    async def main() -> Crowd:
        crowd = Crowd(3)
        crowd.come(10)
        await crowd.end()
        assert 4.0 <= asyncio.get_running_loop().time() < 4.1
        return crowd

    crowd = run_virtual(main())
    assert crowd.most == 3
    assert crowd.entered == list(range(10))


def test_a_newcomer_does_not_overtake() -> None:
    """Also in the moment between a departure and the wake-up of the one that waits."""

    async def main() -> Crowd:
        crowd = Crowd(1)
        crowd.come(2)
        await asyncio.sleep(1.0)
        crowd.come(1)
        await crowd.end()
        return crowd

    assert run_virtual(main()).entered == [0, 1, 2]


STEPS = st.lists(
    st.tuples(st.just("come"), st.integers(1, 9))
    | st.tuples(st.just("wait"), st.sampled_from([0.0, 0.5, 1.0, 1.5]))
    | st.tuples(st.just("cancel"), st.integers(0, 40))
    | st.tuples(st.just("size"), st.integers(1, 6)),
    max_size=25,
)


@settings(max_examples=200)
@given(STEPS)
def test_no_pattern_loses_a_place(steps: Iterable[tuple[str, float]]) -> None:
    """Arrivals, cancellations and changes of the size: the order holds, and nobody is left."""

    async def main() -> Crowd:
        crowd = Crowd(2)
        for what, value in steps:
            match what:
                case "come":
                    crowd.come(int(value))
                case "wait":
                    await asyncio.sleep(value)
                case "cancel":
                    for task in crowd.tasks[int(value) :][:3]:
                        task.cancel()
                case "size":
                    crowd.stage.resize(int(value))
        await crowd.end()
        return crowd

    crowd = run_virtual(main())
    assert len(crowd.entered) == len(crowd.times)
    # One that is let in wakes up a moment later than one that came and found room.
    for sooner, later in pairwise(sorted(crowd.times)):
        assert crowd.times[sooner] <= crowd.times[later] + 1e-4
    left_alone = {i for i, task in enumerate(crowd.tasks) if not task.cancelled()}
    assert left_alone <= set(crowd.entered)


def test_the_size_follows_the_rate() -> None:
    """A quarter of a second of requests; at a very low rate one, which connects last."""
    limiter = AdaptiveLimiter(rng=lambda: 0.0)
    assert (repr(limiter.near), limiter.is_slow) == ("<Places 0 of 23 waiting=0>", False)
    for now in range(0, 60, 2):
        limiter.on_throttled(now, sent_at=now, retry_after_s=None)
    assert limiter.rate == 1.0
    assert (repr(limiter.near), limiter.is_slow) == ("<Places 0 of 1 waiting=0>", True)
    assert "0 of" in repr(AdaptiveLimiter(None).near)
    tenth = AdaptiveLimiter(RateLimit(share=0.1))
    assert (repr(tenth.near), tenth.is_slow) == ("<Places 0 of 2 waiting=0>", False)


def test_those_who_wait_come_in_when_the_rate_rises() -> None:
    async def main() -> None:
        limiter = AdaptiveLimiter(RateLimit(per_second=10, per_minute=600), rng=lambda: 0.0)
        limiter.on_throttled(0.0, sent_at=0.0, retry_after_s=None)
        for now in range(2, 12, 2):
            limiter.on_throttled(now, sent_at=now, retry_after_s=None)
        assert limiter.is_slow
        inside = 0

        async def stay() -> None:
            nonlocal inside
            await limiter.near.enter()
            inside += 1
            await asyncio.Event().wait()

        tasks = [asyncio.create_task(stay()) for _ in range(5)]
        await asyncio.sleep(60)
        assert inside == 1
        limiter.on_success(60.0)
        await asyncio.sleep(0)
        assert inside == 2
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    run_virtual(main())
