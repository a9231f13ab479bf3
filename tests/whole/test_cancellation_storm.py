"""A storm of cancellations, at every await there is: nothing is left, and all still works."""

import asyncio
import gc
import random
import socket
import ssl
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, Self

import pytest
from certificates import tls_for
from sending import CountingLimiter
from virtual_api import Answer, Run, failing, found
from virtual_loop import run_virtual, worst_window
from waits import Families, where

from instantly_async import (
    ClosedError,
    Found,
    InstantlyClient,
    Lead,
    LeadError,
    LeadStream,
    ListingError,
    RateLimit,
    RetryPolicy,
    RunError,
    ServiceUnavailableError,
    Strategy,
    Timeouts,
)
from instantly_async._api import Endpoints
from instantly_async._fetch import StreamOptions, make_pipeline
from instantly_async.limiters import AdaptiveLimiter
from instantly_async.streams import Stream
from instantly_async.testing import FakeInstantly, Fault, campaign_ids, email_of, lead_ids

IDS = list(lead_ids(500, seed=5))
BAD = list(lead_ids(40, seed=6))
LIMIT = RateLimit(per_second=500, per_minute=30_000)
CONCURRENCY = 40
STRATEGIES: tuple[Strategy, ...] = ("get", "list")
RETRY = RetryPolicy(
    backoff_base_s=0.02,
    backoff_cap_s=0.1,
    budget_capacity=5,
    budget_refill=0.02,
    budget_refill_per_s=20,
    breaker_threshold=25,
)
KINDS = (
    Fault.status(500),
    Fault.status(503, headers={"Retry-After": "0.02"}),
    Fault.reset(),
    Fault.close(),
    Fault.truncate(),
    Fault.stall(0.03),
    Fault.stall(0.03, in_body=True),
)


class Weather:
    """A fake API in a thread, behind a door that may be slow or shut, and may speak TLS."""

    def __init__(self, tls: ssl.SSLContext | None, seed: int) -> None:
        self._tls = tls
        self._is_open = self._slow = True
        self._rng = random.Random(seed)
        self.fake = FakeInstantly(
            rate_limit=None, latency_s=0.002, seed=seed, workspace_size=500, workspace_seed=5
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._started: Future[None] = Future()
        self._thread = Thread(target=lambda: asyncio.run(self._live()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result(10)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def turn(self, share: float, missing: Container[str] = ()) -> None:
        """Change with the share of the victims that have ended, and for the ``missing`` waits."""
        phase = share % 1
        self._turn_door(is_open=not 0.35 <= phase < 0.5)
        self.fake.fault_rate, self.fake.fault_kinds = 0.25, KINDS
        self.fake.down = 0.75 <= phase < (0.85 if "open breaker, as leader" not in missing else 1)

    def clear(self) -> None:
        """Let everything work."""
        self._turn_door(is_open=True)
        self._slow = False
        self.fake.fault_rate, self.fake.down = 0.0, False
        self.fake.reset()

    def _turn_door(self, *, is_open: bool) -> None:
        if is_open is not self._is_open:
            self._is_open = is_open
            self._loop.call_soon_threadsafe(self._door.set if is_open else self._door.clear)
            # A short queue that nobody empties makes connecting hang.
            self._listener.listen(1024 if is_open else 1)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped, self._door = asyncio.Event(), asyncio.Event()
        self._door.set()
        self._listener.listen(1024)
        async with self.fake:
            door = asyncio.create_task(self._admit_all())
            self._started.set_result(None)
            await self._stopped.wait()
            door.cancel()
            await asyncio.wait([door])
            self._listener.close()

    async def _admit_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                await self._door.wait()
                client, _ = await self._loop.sock_accept(self._listener)
                group.create_task(self._admit(client))

    async def _admit(self, client: socket.socket) -> None:
        assert self.fake._runner is not None
        server = self.fake._runner.server
        assert server is not None
        try:
            if self._slow:
                await asyncio.sleep(self._rng.choice([0.0, 0.0, 0.01, 0.05]))
            with suppress(OSError):  # the client has gone meanwhile
                await self._loop.connect_accepted_socket(server, client, ssl=self._tls)
        except asyncio.CancelledError:
            client.close()
            raise


class ConsumerError(Exception):
    """What a consumer of a stream raises."""


class Victim:
    """Something that is ended at a random instant."""

    def __init__(self, storm: "Storm") -> None:
        self.storm = storm
        self.rng = storm.rng
        self.scope = asyncio.timeout(None)
        self.stream: Stream[Any] | None = None
        self.most = 10**9
        self.leaves_by = ""
        self.task: asyncio.Task[None]

    def ids(self, most: int) -> list[str]:
        ids = self.rng.choices(IDS, k=self.rng.randint(1, most))
        return ids + self.rng.choices(BAD, k=self.rng.choice([0, 0, 1, 5]))

    async def call(self) -> None:
        client, loader = self.storm.client, self.storm.loader
        async with self.scope:
            match self.rng.randrange(4):
                case 0:
                    await client.get_lead(self.rng.choice(IDS))
                case 1:
                    await loader.load(self.rng.choice(IDS))
                case 2:
                    await loader.load_many(self.ids(150))
                case _:
                    await client.get_leads(self.ids(60), strategy=self.rng.choice(["get", "list"]))

    def make_stream(self) -> Stream[Any]:
        # Late, the waits are wanted that only many requests at once meet.
        kind = 1.0 if self.storm.is_late else self.rng.random()
        if kind < 0.1:
            return self.storm.client.list_leads(campaign=self.rng.choice([None, *campaign_ids()]))
        if kind < 0.2:
            return self.storm.client.find_leads(map(email_of, self.ids(300)), concurrency=2)
        return self.make_lead_stream()

    def make_lead_stream(self) -> LeadStream[Lead]:
        async def arriving() -> AsyncIterator[str]:
            for lead_id in ids:
                await passes(self.rng.randrange(3))
                yield lead_id

        ids = self.ids(300)
        return self.storm.client.stream_leads(
            arriving() if self.rng.random() < 0.3 else ids,
            strategy=self.rng.choice(["get", "get", "list"]),
            ordered=self.rng.random() < 0.5,
            concurrency=self.rng.choice([None, 2, 2, 10]),
        )

    async def consume(self) -> None:
        async with self.scope:
            async with self.make_stream() as self.stream:
                await self._take(self.stream)

    async def consume_bare(self) -> None:
        """Without the context manager: what is left ends when the stream is collected."""
        async with self.scope:
            await self._take(self.make_stream())

    async def _take(self, stream: Stream[Any]) -> None:
        taken = 0
        async for _ in stream:
            taken += 1
            if self.rng.random() < 0.1:
                await passes(self.rng.randrange(20))  # a slow consumer
            if taken >= self.most:
                await passes(self.rng.randrange(20))
                self.storm.note(self)
                if self.leaves_by == "error":
                    raise ConsumerError
                break


async def passes(times: int) -> None:
    """Let the loop make so many passes."""
    for _ in range(times):
        await asyncio.sleep(0)


class Storm:
    """Runs victims and ends each of them at a seeded instant."""

    def __init__(
        self, client: InstantlyClient[Lead], families: Families, wanted: set[str], seed: int
    ) -> None:
        self.client = client
        self.loader = client.loader(flush_s=0.002)
        self.rng = random.Random(seed)
        self.waits: Counter[str] = Counter()
        self.endings: Counter[str] = Counter()
        self._families = families
        self._wanted = wanted
        self.is_late = False

    def waits_of(self, victim: Victim) -> Counter[str]:
        """Return where the victim waits, and all tasks that it has started."""
        return Counter(where(task, self.client) for task in self._families.members(victim.task))

    def note(self, victim: Victim) -> None:
        """Count where the victim waits just before it is ended."""
        self.waits += self.waits_of(victim)

    @property
    def missing(self) -> set[str]:
        """Waits that no victim has been ended in."""
        return self._wanted - self.waits.keys()

    async def strike(self) -> None:
        """Start one victim and end it."""
        rng, victim = self.rng, Victim(self)
        ending = rng.choice(["cancel", "twice", "timeout", "aclose", "break", "error", "drop"])
        if ending in {"break", "error", "drop"}:
            victim.most, victim.leaves_by = rng.choice([1, 1, 2, 10, 50]), ending
        if ending == "drop":
            victim.task = self._families.found(victim.consume_bare())
        elif victim.leaves_by or ending == "aclose" or rng.random() < 0.6:
            victim.task = self._families.found(victim.consume())
        else:
            victim.task = self._families.found(victim.call())
        await passes(ending == "timeout")  # its scope must have been entered
        await self._reach_instant(victim)
        if victim.leaves_by:
            await asyncio.wait([victim.task], timeout=0.2)
        if victim.task.done():
            ending = victim.leaves_by or "ended before"
        else:
            if victim.leaves_by:
                ending = "cancel"
            self.note(victim)
            await self._end(victim, ending)
        await asyncio.wait([victim.task])
        self.endings[ending] += 1
        self._judge(victim, ending)
        vars(victim).clear()  # breaks cycles, so that a dropped stream is collected at once

    async def _reach_instant(self, victim: Victim) -> None:
        way = self.rng.random()
        if way < 0.3 or self.is_late:
            # Some waits are short or rare: aim at those that were not met yet.
            for _ in range(200 if self.is_late else 60):
                if victim.task.done() or self.missing & self.waits_of(victim).keys():
                    return
                await asyncio.sleep(0.001)
        elif way < 0.6:
            await asyncio.sleep(self.rng.random() ** 2 * 0.2)
        await passes(self.rng.randrange(40))

    async def _end(self, victim: Victim, ending: str) -> None:
        if ending == "timeout":
            victim.scope.reschedule(asyncio.get_running_loop().time())
        elif ending == "aclose" and victim.stream is not None:
            await victim.stream.aclose()
        else:
            victim.task.cancel()
            if ending == "twice":
                await passes(self.rng.randrange(6))
                self.note(victim)
                victim.task.cancel()

    def _judge(self, victim: Victim, ending: str) -> None:
        task = victim.task
        if task.cancelled():
            assert ending in {"cancel", "twice", "aclose"}, ending
            return
        assert ending not in {"cancel", "twice"}, f"{ending} was swallowed by {task}"
        allowed = LeadError | ListingError | ServiceUnavailableError | None
        if ending == "timeout":
            assert isinstance(task.exception(), TimeoutError | allowed), (
                task
            )  # it may just have ended
        elif ending == "error":
            assert isinstance(task.exception(), ConsumerError | allowed), task
        elif ending == "aclose":
            assert isinstance(task.exception(), ClosedError | allowed), task
        else:
            assert isinstance(task.exception(), allowed), task


REACHED = {
    "near stage",
    "slot",
    "connect",
    "turn for a token",
    "token",
    "head",
    "body",
    "backoff",
    "pause",
    "retry budget",
    "open breaker",
    "open breaker, as leader",
    "outcome",
    "input",
    "singles of a chunk",
    "loader's flush or page",
    "loader's outcome",
}


def sockets_to(port: int) -> int:
    """Return how many sockets of this process are connected, or connecting, to a port here."""
    mine = set()
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            mine.add(str(fd.readlink()))
    rows = Path("/proc/self/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    columns = [row.split() for row in rows]
    return sum(
        f"socket:[{each[9]}]" in mine and each[2].endswith(f":{port:04X}") for each in columns
    )


@contextmanager
def no_warnings() -> Iterator[None]:
    """Fail if anything is warned about, garbage included."""
    gc.collect()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert not seen, [str(each.message) for each in seen]


async def settle(is_settled: Callable[[], bool]) -> None:
    """Wait until what was asked to end has ended."""
    async with asyncio.timeout(10):
        while not is_settled():
            await asyncio.sleep(0.001)


def is_over(client: InstantlyClient[Lead], before: set[asyncio.Task[Any]]) -> bool:
    return asyncio.all_tasks() == before and not client._activity._streams


def require_released(client: InstantlyClient[Lead]) -> None:
    """Nobody waits any more, and nothing is held."""
    workspace, limiter = client._workspace, client._workspace.limiter
    for places in (client._slots, limiter.near):
        assert places.taken == 0, places
        assert not places._waiting, places
    assert isinstance(limiter, AdaptiveLimiter)
    assert not limiter._turn.locked()
    assert not workspace.budget._turn.locked()
    for breaker in workspace.breakers.values():
        assert breaker._waiting == 0
        assert not breaker._leading.locked()
        assert not breaker._probing.locked()
    assert not client._connections.in_flight
    assert not client._activity._streams
    assert client.stats.in_flight == client.stats.waiting == 0


def require_clean(client: InstantlyClient[Lead]) -> None:
    """All connections are idle, besides."""
    require_released(client)
    pool = client._connections._pool
    assert pool is not None
    assert pool._opening == 0
    assert not pool._waiting
    assert pool._open == set(pool._idle)


def is_ours(context: dict[str, Any]) -> bool:
    """Whether a trouble is not that of uvloop, which may write to a connection after its end."""
    return not (
        context["message"] == "Fatal error on SSL protocol"
        and "<TCPTransport closed=True" in str(context["exception"])
    )


def run_in(loop_name: str, main: Callable[[Families], Awaitable[None]]) -> None:
    """Run in this kind of loop; fail if anything is reported to its exception handler."""
    families = Families()
    troubles: list[dict[str, Any]] = []
    factory = pytest.importorskip(loop_name).new_event_loop

    async def bounded() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, it: troubles.append(it) if is_ours(it) else None)
        loop.set_task_factory(families)
        before = asyncio.all_tasks()
        async with asyncio.timeout(120):
            await main(families)
        assert asyncio.all_tasks() == before

    with no_warnings():
        with asyncio.Runner(loop_factory=factory, debug=loop_name == "asyncio") as runner:
            runner.run(bounded())
        gc.collect()
        assert not troubles


pytestmark = pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="counts sockets")
# Both loops and both wires; the other two pairs meet nothing new.
CASES = pytest.mark.parametrize(
    ("loop_name", "is_tls"), [("asyncio", True), ("uvloop", False)], ids=["asyncio-TLS", "uvloop"]
)


def connect(
    weather: Weather, ssl_context: ssl.SSLContext | None
) -> tuple[InstantlyClient[Lead], CountingLimiter]:
    limiter = CountingLimiter(LIMIT)
    client = InstantlyClient(
        weather.fake.api_key,
        base_url=weather.url,
        limiter=limiter,
        retry=RETRY,
        timeouts=Timeouts(connect_s=3.0),
        concurrency=CONCURRENCY,
        ssl_context=ssl_context,
    )
    return client, limiter


@pytest.mark.soak
@CASES
def test_nothing_is_left_after_a_storm(loop_name: str, *, is_tls: bool) -> None:
    """No task, slot, token, waiter or socket is lost, and every request takes one token."""
    of_server, of_client = tls_for("127.0.0.1") if is_tls else (None, None)
    is_debug = loop_name == "asyncio"
    # Debug mode is slow: it seldom sends faster than the limiter allows.
    wanted = REACHED - ({"token"} if is_debug else set()) | ({"TLS handshake"} if is_tls else set())
    seed = 2 * is_tls + (loop_name == "uvloop")
    victims = 70 if is_debug else 350

    async def main(families: Families) -> None:
        client, limiter = connect(weather, of_client)
        async with client:
            storm = Storm(client, families, wanted, seed)
            before = asyncio.all_tasks()

            async def strike_on() -> None:
                while (ended := storm.endings.total()) < victims or (
                    storm.missing and ended < 20 * victims
                ):
                    weather.turn(ended / victims, storm.missing)
                    storm.is_late = ended >= victims
                    await storm.strike()

            weather.turn(0)
            weather.fake.script_all(Fault.throttle("0.02"))
            for lead_id in BAD:
                weather.fake.script(lead_id, *[Fault.status(500)] * 200)
            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(strike_on())
            weather.clear()
            await settle(partial(is_over, client, before))
            assert not storm.missing
            assert limiter.paid == client.stats.requests
            require_clean(client)
            await client.get_leads(IDS[:20])
            while client.stats.breaker_open:  # that of *List leads* only closes when it is probed
                await client.get_leads(IDS[:20], strategy="list")
            weather.fake.reset()
            await require_full_use(client, limiter, weather.fake)
            require_clean(client)
        await settle(lambda: sockets_to(weather.port) == 0)

    with Weather(of_server, seed) as weather:
        run_in(loop_name, main)


@pytest.mark.soak
@CASES
def test_closing_the_client_ends_a_storm(loop_name: str, *, is_tls: bool) -> None:
    """At seeded instants: whatever is in flight ends, and no task or socket is left."""
    of_server, of_client = tls_for("127.0.0.1") if is_tls else (None, None)
    rng = random.Random(is_tls)

    async def main(families: Families) -> None:
        before = asyncio.all_tasks()
        for _ in range(10):
            client, _ = connect(weather, of_client)
            storm = Storm(client, families, set(), rng.randrange(1000))
            weather.turn(rng.random())
            victims = [Victim(storm) for _ in range(6)]
            for victim in victims:
                doing = victim.consume() if rng.random() < 0.6 else victim.call()
                victim.task = families.found(doing)
            await asyncio.sleep(rng.random() * 0.05)
            await passes(rng.randrange(20))
            await client.aclose()
            await asyncio.wait([victim.task for victim in victims])
            for victim in victims:
                error = victim.task.exception()
                assert isinstance(error, ClosedError | LeadError | RunError | None), error
                vars(victim).clear()
            await settle(partial(is_over, client, before))
            require_released(client)
        await settle(lambda: sockets_to(weather.port) == 0)

    with Weather(of_server, 1) as weather:
        run_in(loop_name, main)


async def require_full_use(
    client: InstantlyClient[Lead], limiter: CountingLimiter, fake: FakeInstantly
) -> None:
    """Everything works, and each request takes one token."""
    paid, sent = limiter.paid, client.stats.requests
    batch = await client.get_leads(IDS)
    assert all(isinstance(each, Found) for each in batch.outcomes)
    assert limiter.paid - paid == client.stats.requests - sent == len(fake.requests) == len(IDS)
    batch = await client.get_leads(IDS, strategy="list")
    assert all(isinstance(each, Found) for each in batch.outcomes)
    loader = client.loader()
    assert [each.id for each in await asyncio.gather(*map(loader.load, IDS[:100]))] == IDS[:100]
    assert limiter.paid - paid == client.stats.requests - sent == len(IDS) + 5 + 1


class VirtualStorm:
    """A storm over the virtual API: all but the transport, on a virtual clock."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.is_calm = False
        self.run = Run(self.world, RateLimit(), RETRY, seed=seed)
        self.workspace = self.run.workspace()
        self.endpoints = Endpoints(Lead, Timeouts(), RETRY)

    def world(self, wire: str, now: float) -> Answer:
        draw = self.rng.random()
        if self.is_calm or (draw >= 0.15 and wire not in BAD and now % 20 < 14):
            return found(wire)
        if draw < 0.01:
            return failing(429)
        return failing(503, Retry_After="0.5") if draw < 0.03 else failing(500)

    async def fetch(self, ids: list[str], strategy: Strategy, *, ordered: bool = False) -> None:
        """Fetch, in a stream over the shared workspace."""
        options = StreamOptions(
            strategy=strategy,
            ordered=ordered,
            concurrency=None,
            keep_raw=False,
            confirm_missing=True,
        )
        pipeline = make_pipeline(
            ids,
            options,
            self.endpoints,
            self.workspace,
            self.run.recorder,
            most=100,
            on_end=lambda: None,
        )
        try:
            async for _ in pipeline:
                pass
        finally:
            await pipeline.aclose(ClosedError("closed"))

    async def strike_on(self, times: int) -> None:
        rng = self.rng
        for _ in range(times):
            ids = rng.choices(IDS, k=rng.randint(1, 300)) + rng.choices(BAD, k=rng.choice([0, 5]))
            ordered = rng.random() < 0.5
            task = asyncio.create_task(self.fetch(ids, rng.choice(STRATEGIES), ordered=ordered))
            await asyncio.sleep(rng.random() ** 2 * 4)
            await passes(rng.randrange(10))
            task.cancel()
            await asyncio.wait([task])

    async def main(self) -> tuple[float, int]:
        """Return the seconds and the requests that 500 ids take after the storm."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(self.strike_on(30))
        self.is_calm = True
        self.require_clean()
        limiter = self.workspace.limiter
        for _ in range(50):  # the rate rises slowly after a 429
            await self.fetch(IDS[:100], "get")
        assert limiter.rate == RateLimit().rate
        began_at, sent = loop.time(), len(self.run.transport.sent)
        await self.fetch(IDS, "get")
        took_s = loop.time() - began_at
        self.require_clean()
        times = self.run.transport.times
        assert worst_window(times, 1.0) <= 100
        return took_s, len(times) - sent

    def require_clean(self) -> None:
        self.run.require_clean()
        for places in (self.workspace.slots, self.workspace.limiter.near):
            assert places.taken == 0
            assert not places._waiting
        limiter = self.workspace.limiter
        assert isinstance(limiter, AdaptiveLimiter)
        assert not limiter._turn.locked()
        assert self.run.transport.in_flight == 0


@pytest.mark.soak
def test_full_rate_after_a_storm_on_a_virtual_clock() -> None:
    """No token is lost: as many ids as always in the same time."""
    took_s, sent = run_virtual(VirtualStorm(seed=0).main())
    assert sent == len(IDS)
    assert took_s <= len(IDS) / RateLimit().rate + 0.1  # the latency of the last, twice
