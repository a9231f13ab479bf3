"""``SharedLimiter`` on a real Valkey: the laws of limiters, outages, and what it refuses."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
import redis
from shared_limits import Gate, Valkey, valkey

from instantly_async import ConfigurationError, InstantlyClient, Limiter, RateLimit
from instantly_async.redis import SharedLimiter
from instantly_async.testing import (
    DEFAULT_API_KEY,
    LIMITER_LAWS,
    FakeInstantly,
    MakeLimiter,
    lead_ids,
)

Law = Callable[[MakeLimiter], Awaitable[None]]
NAMES = (f"workspace {number}" for number in count())


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with valkey() as server:
        yield server


@pytest.mark.parametrize("law", LIMITER_LAWS, ids=lambda law: law.__name__)
async def test_it_keeps_the_laws(server: Valkey, law: Law) -> None:
    @asynccontextmanager
    async def make(limit: RateLimit) -> AsyncIterator[Limiter]:
        async with SharedLimiter(server.url, next(NAMES), limit) as limiter:
            yield limiter

    await law(make)


async def test_a_restart_is_noticed_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    """The script is not known to the new server, nor is what was reserved."""
    with valkey() as server:
        async with SharedLimiter(server.url, "restarted") as limiter:
            assert await limiter.acquire()
            await asyncio.to_thread(server.stop)
            assert await limiter.acquire()
            assert limiter.rate == 9.5
            assert f"'restarted' on {server.url[:-2]} cannot be reached" in caplog.text
            await asyncio.to_thread(server.start)
            while limiter.rate != 95.0:
                await limiter.acquire()
            assert await limiter.acquire()
    assert len([each for each in caplog.records if each.name.startswith("instantly_async")]) == 1


async def test_without_a_server_it_starts_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing listens there. The server may come later."""
    server = Valkey()
    server.stop()
    async with SharedLimiter(server.url, "early", fallback_share=0.3) as limiter:
        assert await limiter.acquire()
        assert limiter.rate == pytest.approx(28.5)
        assert "cannot be reached (ConnectionError: Error" in caplog.text
        await asyncio.to_thread(server.start)
        while limiter.rate != 95.0:
            await limiter.acquire()
    server.stop()


async def test_a_connection_that_was_closed_while_idle_is_no_outage(
    server: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """Servers and balancers close idle connections. It connects again, unseen."""
    async with SharedLimiter(server.url, "idle") as limiter:
        assert await limiter.acquire()
        with redis.Redis.from_url(server.url) as other:
            other.client_kill_filter(_type="normal", skipme=True)
        await asyncio.sleep(0.05)  # the end of the connection arrives
        assert await limiter.acquire()
        assert limiter.rate == 95.0
    assert "cannot be reached" not in caplog.text


async def test_a_far_server(caplog: pytest.LogCaptureFixture) -> None:
    """To connect takes longer than an answer may take, at the start and after an outage."""
    with valkey() as server:
        async with Gate(server, delay_s=0.15) as way, SharedLimiter(way.url, "far") as limiter:
            for _ in range(2):
                assert await limiter.acquire()
            assert caplog.text.count("cannot be reached") == 0
            await asyncio.to_thread(server.stop)
            assert await limiter.acquire()
            await asyncio.to_thread(server.start)
            while limiter.rate != 95.0:
                await limiter.acquire()
            for _ in range(3):
                assert await limiter.acquire()
    assert caplog.text.count("cannot be reached") == 1


async def test_a_server_that_refuses_is_named_once(
    server: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong password works like an outage, and is shown nowhere; nor is the user's name."""
    url = server.url.replace("redis://", "redis://ada:canary-password@")
    async with SharedLimiter(url, "refused") as limiter:
        for _ in range(3):
            assert await limiter.acquire()
        assert "canary" not in repr(limiter) + caplog.text
        assert "ada" not in repr(limiter) + caplog.text
    (record,) = (each for each in caplog.records if each.name.startswith("instantly_async"))
    assert "cannot be reached (AuthenticationError: " in record.getMessage()


WRONG_URLS = [
    "localhost:6379",
    "http://localhost",
    "redis://canary:canary@localhost:port/0",
    "redis://[::1/0",
    "redis://localhost/0?canary_option=1",
    "rediss://u:canary@localhost/0?ssl_cert_reqs=canary",
    "",
    None,
    7,
]


@pytest.mark.parametrize("url", WRONG_URLS)
def test_a_wrong_url_is_refused(url: Any) -> None:
    """In one sentence that names a good one, and does not quote this one."""
    with pytest.raises(ConfigurationError, match=r"^The URL of the shared limit ") as caught:
        SharedLimiter(url, "name")
    assert "redis://localhost:6379/0" in str(caught.value)
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    ours = [frame for frame in frames if "test_" not in frame.filename]
    assert ours
    assert "canary" not in str([frame.locals for frame in ours])


@pytest.mark.parametrize("name", ["", "a" * 201, "two\nlines", None, 7])
def test_a_wrong_name_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^The name of a shared limit must be text"):
        SharedLimiter("redis://localhost", name)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://", "redis://localhost:6379"),
        ("redis://ada:secret@cache:6380/3", "redis://cache:6380"),
        ("rediss://cache/0", "rediss://cache:6379"),
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock"),
    ],
)
def test_its_repr_says_where_it_is(url: str, shown: str) -> None:
    limiter = SharedLimiter(url, "acme", RateLimit(share=0.5))
    assert repr(limiter) == f"<SharedLimiter 'acme' on {shown} of {limiter.limit!r}>"


def test_it_goes_on_in_the_next_loop(server: Valkey) -> None:
    """Programs that call ``asyncio.run`` again and again keep one limiter."""
    limiter = SharedLimiter(server.url, "again")

    async def use() -> bool:
        taken = await limiter.acquire()
        await limiter._disconnect()  # nobody can in the next loop, so it would be found unclosed
        return taken

    async def close() -> None:
        await limiter.acquire()
        await limiter.aclose()

    assert asyncio.run(use())
    asyncio.run(close())


async def test_two_clients_of_one_workspace(server: Valkey) -> None:
    """And a sibling of another workspace, with a shared limit of its own."""
    with FakeInstantly() as fake:
        async with (
            SharedLimiter(server.url, "one") as one,
            SharedLimiter(server.url, "two") as two,
            InstantlyClient(DEFAULT_API_KEY, base_url=fake.url, limiter=one) as client,
        ):
            sibling = client.for_workspace("two", limiter=two)
            found = await asyncio.gather(
                client.get_leads(lead_ids(20)), sibling.get_leads(lead_ids(20))
            )
            assert [len(batch) for batch in found] == [20, 20]
            assert client.stats.allowed_rate == sibling.stats.allowed_rate == 95.0
    with redis.Redis.from_url(server.url) as kept:
        assert kept.exists("instantly_async:one", "instantly_async:two") == 2
