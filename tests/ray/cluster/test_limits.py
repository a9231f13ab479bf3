"""``RayLimiter``: an actor of the cluster holds the ledger."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
import ray
from clusters import QUIET

from instantly_async import ConfigurationError, RateLimit
from instantly_async.ray import RayLimiter
from instantly_async.ray.limiter import NAMESPACE, LedgerKeeper
from instantly_async.testing import LIMITER_LAWS, most_in_window

pytestmark = [QUIET, pytest.mark.usefixtures("logs")]

_NUMBERS = count()


@asynccontextmanager
async def make(limit: RateLimit) -> AsyncIterator[RayLimiter]:
    async with RayLimiter(f"law {next(_NUMBERS)}", limit) as limiter:
        yield limiter


CUTS = next(law for law in LIMITER_LAWS if law.__name__ == "cuts")


async def test_it_is_a_limiter() -> None:
    """One law only, as each limiter is a process. The others do not depend on the ledger."""
    await CUTS(make)


async def test_those_with_one_name_share_the_limit() -> None:
    times: list[float] = []

    async def take(limiter: RayLimiter) -> None:
        while len(times) < 150:
            await limiter.acquire()
            times.append(time.monotonic())

    async with RayLimiter("shared") as one, RayLimiter("shared") as other:
        await asyncio.gather(*(take(each) for each in (one, other) for _ in range(5)))
    assert most_in_window(times, 1.0) <= 99


async def test_an_actor_that_has_died_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """Meanwhile there is a warning, and the process goes on alone, at a tenth of the limit."""
    async with RayLimiter("mortal") as limiter:
        await limiter.acquire()
        full = limiter.rate
        ray.kill(ray.get_actor("mortal", namespace=NAMESPACE))
        while limiter.rate == full:
            await limiter.acquire()
        assert limiter.rate == full / 10
        while limiter.rate < full:
            await limiter.acquire()
        assert ray.get_actor("mortal", namespace=NAMESPACE)
    assert caplog.messages[0].startswith(
        "The shared limit 'mortal' on Ray cannot be reached (ConnectionError: ActorDiedError); "
    )


def test_an_actor_that_nobody_asks_ends_itself() -> None:
    keeper = ray.remote(LedgerKeeper)
    options = {"name": "idle", "namespace": NAMESPACE, "num_cpus": 0}
    actor = keeper.options(**options).remote(0.5)
    ray.get(actor.ask.remote("look", RateLimit(), 0.0))
    while True:
        try:
            ray.get_actor("idle", namespace=NAMESPACE)
        except ValueError:
            break


@pytest.mark.parametrize("name", ["", "n" * 201, "a\nb", None])
def test_a_name_must_be_text(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="1 to 200 printable"):
        RayLimiter(name)
