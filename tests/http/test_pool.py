"""The pool's rules, in virtual time, with connections that a test opens and breaks."""

import asyncio
import errno
import os
import resource
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sending import Line
from virtual_loop import block, run_virtual

from instantly_async import errors
from instantly_async._http.connection import Connection
from instantly_async._http.descriptors import PATIENCE_S, shortage_in
from instantly_async._http.pool import KEEP_ALIVE_S, LAST_TRY_AFTER_S, Pool


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class World:
    """A server that takes ``limit`` connections and refuses the others after ``delay_s``."""

    limit: float = float("inf")
    delay_s: float = 0.01
    lines: list[Line] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pool = Pool(cast(Any, self.connect), asyncio.get_running_loop())

    @property
    def open(self) -> int:
        return sum(line.is_alive for line in self.lines)

    async def connect(self) -> Line:
        await asyncio.sleep(self.delay_s)
        if self.open >= self.limit:
            self.refused_at.append(now())
            raise ConnectionRefusedError(111, "refused")
        self.lines.append(Line())
        return self.lines[-1]

    async def use(self, seconds: float) -> Line:
        """Take a connection, have a request answered after so many seconds, give it back."""
        connection: Any = await self.pool.take()
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.pool.discard(connection)
            raise
        assert connection.is_usable
        if not connection.is_reused:
            self.pool.answered(connection)
        self.pool.release(connection)
        assert isinstance(connection, Line)
        return connection

    def require_rest(self) -> None:
        """Check that nothing is in use, and that no one waits."""
        assert not self.pool._waiting
        assert self.pool._opening == 0
        assert len(self.pool._open) == len(self.pool._idle) == self.open

    async def close(self) -> None:
        async def close_all() -> None:
            """Nothing is below."""

        await self.pool.aclose(close_all)
        assert repr(self.pool).startswith("<Pool open=0 idle=0 ")


def virtually(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        run_virtual(test())

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


async def gathered(tasks: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def busy(world: World) -> int:
    """Use a connection again and again for 300 s; return how often."""
    done = 0
    while now() < 300:
        await world.use(0.1)
        done += 1
    return done


@virtually
async def test_the_one_that_was_used_last_is_taken_first() -> None:
    """So connections that are not needed age, and are closed after the keep-alive time."""
    world = World()
    await gathered([world.use(second) for second in (1, 2, 3)])
    for _ in range(20):
        assert await world.use(1) is world.lines[2]
    assert [line.is_alive for line in world.lines] == [False, False, True]
    await asyncio.sleep(KEEP_ALIVE_S + 0.1)
    assert world.open == 0
    world.require_rest()
    await world.close()


@virtually
async def test_an_idle_connection_is_judged_before_it_is_used() -> None:
    world = World()
    await gathered([world.use(second) for second in (1, 2, 3)])
    assert all(line.is_resting for line in world.lines)
    world.lines[2].is_dirty = True  # something has arrived
    world.lines[1].is_alive = False
    assert await world.use(1) is world.lines[0]
    assert world.open == 1
    await world.close()


@virtually
async def test_what_was_idle_while_the_loop_was_blocked_is_too_old() -> None:
    """The server has closed it perhaps, and nobody has looked."""
    world = World()
    old = await world.use(1)
    block(KEEP_ALIVE_S)
    assert await world.use(1) is not old
    assert not old.is_alive
    await world.close()


@virtually
async def test_what_cannot_be_used_again_is_closed_at_once() -> None:
    world = World()
    connection = await world.pool.take()
    world.lines[0].is_dirty = True
    world.pool.release(connection)
    assert world.open == 0
    world.require_rest()
    await world.close()


@virtually
async def test_the_first_failure_is_the_callers() -> None:
    """No other connection is open that it could wait for."""
    world = World(limit=0)
    results = await gathered([world.use(1) for _ in range(10)])
    assert {type(each) for each in results} == {ConnectionRefusedError}
    world.require_rest()
    await world.close()


@virtually
async def test_a_server_that_takes_twenty_gets_twenty() -> None:
    """Nobody fails; then one more is tried at growing intervals, for which one waits no longer."""
    world = World(limit=20)

    results = await gathered([busy(world) for _ in range(50)])
    assert sum(results) > 0.98 * 20 * 300 / 0.1
    assert len(world.refused_at) <= 30 + 10
    assert sum(at > 1 for at in world.refused_at) <= 10
    assert world.open == 20
    world.require_rest()
    await world.close()


@virtually
async def test_the_limit_goes_when_the_server_takes_more_again() -> None:
    world = World(limit=2)

    async def work() -> None:
        while now() < 12:
            await world.use(0.2)

    asyncio.get_running_loop().call_at(3.0, setattr, world, "limit", 1000)
    await gathered([work() for _ in range(40)])
    assert world.open == 40
    world.require_rest()
    await world.close()


@virtually
async def test_a_limit_that_falls_is_soon_tried_again() -> None:
    """Even if the last interval was a minute, and nearly all connections have ended meanwhile."""
    world = World(limit=20)

    async def work(until: float) -> int:
        done = 0
        while now() < until:
            await world.use(0.1)
            done += 1
        return done

    await gathered([work(200.0) for _ in range(30)])
    assert world.pool._try_after_s == LAST_TRY_AFTER_S
    for line in world.lines:
        line.is_alive = line is world.lines[0]
    world.limit = 1
    asyncio.get_running_loop().call_at(now() + 0.1, setattr, world, "limit", 1000)
    began = now()
    assert sum(await gathered([work(began + 10) for _ in range(20)])) > 0.7 * 20 * 10 / 0.1
    world.require_rest()
    await world.close()


@pytest.mark.parametrize("seed", range(4))
def test_one_failure_does_not_hold_up_connections_that_open_slowly(seed: int) -> None:
    """Those that are being opened count, too, and only an answer on one more lifts the limit."""

    async def main() -> int:
        rng = Random(seed)
        world = World()
        refusals = [ConnectionRefusedError(111, "refused")]
        done = 0

        async def connect() -> Line:
            await asyncio.sleep(rng.uniform(0.12, 0.18))
            if refusals and world.pool._open:
                raise refusals.pop()
            return Line()

        async def work() -> None:
            nonlocal done
            while now() < 60:
                connection: Any = await world.pool.take()
                await asyncio.sleep(rng.uniform(0.016, 0.024))
                world.pool.answered(connection)
                connection.is_dirty = True  # the answer says "Connection: close"
                world.pool.release(connection)
                done += now() >= 10

        world.pool._connect = cast(Any, connect)
        await asyncio.gather(*(work() for _ in range(19)))
        assert not refusals
        world.require_rest()
        await world.close()
        return done

    assert run_virtual(main()) > 0.95 * 50 * 19 / 0.17


@virtually
async def test_nobody_waits_while_one_is_idle() -> None:
    """Not even one that wanted a new one, or whose own could not be opened."""
    world = World(limit=3, delay_s=1.0)
    await gathered([world.use(1) for _ in range(3)])
    held = [await world.pool.take() for _ in range(3)]
    late = asyncio.create_task(world.use(0))
    await asyncio.sleep(0.5)
    for connection in held:
        world.pool.release(connection)
    began = now()
    await late
    assert now() - began < 0.6
    began = now()
    world.pool.release(await world.pool.take(fresh=True))
    assert now() - began < 0.1
    await world.close()


@virtually
async def test_a_limit_lets_new_ones_replace_those_that_ended() -> None:
    world = World(limit=3)
    await gathered([world.use(1) for _ in range(9)])
    for line in world.lines:
        line.is_alive = False
    await gathered([world.use(1) for _ in range(9)])
    assert world.open == 3
    world.require_rest()
    await world.close()


@virtually
async def test_new_ones_that_end_unanswered_are_refusals_if_nothing_else_does() -> None:
    """Three in a row; one answer, or an old connection that ends too, starts the count again."""
    world = World()
    await world.use(1)
    for ends in (["new", "new", "answered"], ["new", "new", "old"], ["new", "new", "new"]):
        assert world.pool._limit == float("inf")
        for end in ends:
            line = cast(Connection, Line(is_reused=end == "old"))
            if end == "answered":
                world.pool.answered(line)
            else:
                world.pool.note_unanswered(line)
    assert world.pool._limit == 1
    await world.close()


@virtually
async def test_a_new_one_that_dies_unused_is_a_failure_only_if_it_was_alone() -> None:
    world = World()
    alone = await world.pool.take()
    with pytest.raises(errors.ConnectionFailedError, match="before it was used"):
        world.pool.discard_unused(alone)
    await world.use(1)
    first = await world.pool.take()
    for _ in range(3):
        assert world.pool._limit == float("inf")
        world.pool.discard_unused(await world.pool.take())
    assert world.pool._limit == 1
    world.pool.discard_unused(first)  # had answered before: no failure either
    world.require_rest()
    await world.close()


@virtually
async def test_one_that_ends_while_it_is_handed_over_is_not_used() -> None:
    """Be it new, or given back by another."""
    world = World(limit=1)
    await world.use(1)
    held = await world.pool.take()
    waiting = asyncio.create_task(world.use(1))
    await asyncio.sleep(0.5)
    world.pool.release(held)
    world.lines[0].is_alive = False
    assert await waiting is world.lines[1]
    world.lines[1].is_alive = False

    async def connect() -> Line:
        return Line(is_alive=False)

    world.pool._connect = cast(Any, connect)
    with pytest.raises(errors.ConnectionFailedError, match="before it was used"):
        await world.pool.take()
    world.require_rest()
    await world.close()


@virtually
async def test_fresh_is_a_new_one_where_another_is_allowed() -> None:
    world = World(limit=1)
    await world.use(1)
    assert await world.pool.take(fresh=True) is cast(Any, world.lines[0])
    world.limit = 2
    await asyncio.sleep(LAST_TRY_AFTER_S)
    assert await world.pool.take(fresh=True) is cast(Any, world.lines[1])
    await world.close()


STEPS = st.lists(
    st.tuples(st.just("use"), st.sampled_from([0.0, 0.05, 0.3, 2.0]))
    | st.tuples(st.just("wait"), st.sampled_from([0.0, 0.005, 0.01, 0.3, 5.0]))
    | st.tuples(st.just("cancel"), st.integers(0, 60))
    | st.tuples(st.just("limit"), st.integers(0, 4))
    | st.tuples(st.just("end"), st.integers(0, 10)),
    max_size=40,
)


@settings(max_examples=300)
@given(STEPS)
def test_no_pattern_loses_a_connection_or_a_turn(steps: list[tuple[str, float]]) -> None:
    """Uses, cancellations, a limit that comes and goes, connections that end in the pool."""

    async def main() -> None:
        world = World(limit=3)
        tasks: list[asyncio.Task[Line]] = []
        for what, value in steps:
            if what == "wait":
                await asyncio.sleep(value)
            else:
                take_step(world, tasks, what, value)
        world.limit = 3
        kinds = Line | asyncio.CancelledError | ConnectionRefusedError
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, kinds)
        await asyncio.sleep(2 * KEEP_ALIVE_S)
        world.require_rest()
        assert world.open == 0
        await world.close()

    run_virtual(main())


def take_step(world: World, tasks: list[asyncio.Task[Line]], what: str, value: float) -> None:
    match what:
        case "use":
            tasks.append(asyncio.create_task(world.use(value)))
        case "cancel":
            for task in tasks[int(value) :][:2]:
                task.cancel()
        case "limit":
            world.limit = int(value)
        case "end":
            for connection in list(world.pool._idle)[: int(value)]:
                connection.close()


# --- too few descriptors -----------------------------------------------------------------


@dataclass
class Cramped(World):
    """A process that may have ``limit`` connections, also those that are being opened."""

    number: int = errno.EMFILE
    connecting: int = 0

    async def connect(self) -> Line:
        if self.open + self.connecting >= self.limit:
            self.refused_at.append(now())
            raise OSError(self.number, os.strerror(self.number))
        self.connecting += 1
        await asyncio.sleep(self.delay_s)
        self.connecting -= 1
        self.lines.append(Line())
        return self.lines[-1]


@virtually
async def test_too_few_descriptors_cost_no_attempt() -> None:
    """Also if none is open yet; and some are left for the rest of the process."""
    world = Cramped(limit=12)

    results = await gathered([busy(world) for _ in range(100)])
    assert sum(results) > 0.95 * 8 * 300 / 0.1
    assert sum(at > 0.1 for at in world.refused_at) <= 10
    assert 8 <= world.open < 12
    world.require_rest()
    await world.close()


@virtually
async def test_local_ports_that_are_used_up_are_waited_for_while_others_are_opened() -> None:
    world = Cramped(limit=2, number=errno.EADDRNOTAVAIL)
    results = await gathered([world.use(1) for _ in range(10)])
    assert all(isinstance(each, Line) for each in results)
    world.limit = 0
    for line in world.lines:
        line.is_alive = False
    (error,) = await gathered([world.use(1)])
    assert error.errno == errno.EADDRNOTAVAIL
    await world.close()


@virtually
async def test_a_first_descriptor_is_waited_for() -> None:
    world = Cramped(limit=0)
    asyncio.get_running_loop().call_later(PATIENCE_S - 1, setattr, world, "limit", 2)
    results = await gathered([world.use(1) for _ in range(10)])
    assert all(isinstance(each, Line) for each in results)
    world.require_rest()
    await world.close()


@virtually
async def test_without_any_descriptor_the_run_ends() -> None:
    """No service is down, so it must not look like an outage."""
    world = Cramped(limit=0)
    results = await gathered([world.use(1) for _ in range(10)])
    assert {type(each) for each in results} == {errors.ServiceUnavailableError}
    assert all("ulimit -n" in str(each) for each in results)
    assert all(each.__context__ is None for each in results)
    assert now() < 2 * PATIENCE_S
    world.require_rest()
    await world.close()


def test_a_name_that_does_not_resolve_for_lack_of_descriptors() -> None:
    """The resolver cannot open its files, and says only that it failed."""
    reason = OSError(socket.EAI_AGAIN, "Temporary failure in name resolution")
    error = aiohttp.ClientConnectorDNSError(cast(Any, None), reason)
    several = aiohttp.ClientConnectorError(cast(Any, None), OSError("Multiple exceptions: …"))
    assert shortage_in(error) is shortage_in(several) is None
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        found = shortage_in(error), shortage_in(several), shortage_in(ConnectionResetError())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert found == (errno.EMFILE, errno.EMFILE, None)
