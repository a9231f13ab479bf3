"""The law of a shared limit: four processes, a real Valkey, and windows counted at the API."""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from shared_limits import Gate, HoldUps, Valkey, valkey

from instantly_async.testing import FakeInstantly, RecordedRequest, most_in_window

SHARER = Path(__file__).parent.parent / "helpers" / "sharer.py"
PROCESSES = 4
RATE = 95.0
STEADY_S = 5.0


async def start(api: str, gate: Gate, number: int) -> asyncio.subprocess.Process:
    arguments = (str(SHARER), api, gate.url, str(number))
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def end(sharer: asyncio.subprocess.Process) -> tuple[dict[str, Any], str]:
    sharer.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(sharer.communicate(), 30)
    assert sharer.returncode == 0, err.decode()
    return json.loads(out), err.decode()


@asynccontextmanager
async def gates(server: Valkey) -> AsyncIterator[list[Gate]]:
    async with AsyncExitStack() as stack:
        ways = (Gate(server) for _ in range(PROCESSES))
        yield [await stack.enter_async_context(way) for way in ways]


def senders(requests: list[RecordedRequest]) -> Counter[str | None]:
    return Counter(request.user_agent for request in requests)


@pytest.mark.soak
async def test_four_processes_share_one_limit(unmeasured: None) -> None:
    """Also while one is killed, the server is restarted, and one cannot reach it for 10 s.

    On a machine that holds this process up, requests arrive later, so more of them together.
    """
    held_up = HoldUps()
    watching = asyncio.create_task(held_up.watch())
    phases: dict[str, list[RecordedRequest]] = {}
    with valkey() as server:
        async with FakeInstantly() as fake, gates(server) as ways:
            sharers = [await start(fake.url, way, number) for number, way in enumerate(ways)]

            async def watch(phase: str, seconds: float) -> list[RecordedRequest]:
                seen = fake.counts.total()
                await asyncio.sleep(seconds)
                phases[phase] = fake.requests[seen:]
                return phases[phase]

            while len(senders(fake.requests)) < PROCESSES:
                assert {sharer.returncode for sharer in sharers} == {None}
                await watch("start", 0.5)
            held_up.longest_s = held_up.total_s = 0.0
            steady = await watch("steady", STEADY_S)
            longest_s, total_s = held_up.longest_s, held_up.total_s

            sharers[0].kill()
            await watch("one was killed", 3)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            await watch("the server was restarted", 4)
            ways[1].is_open.clear()
            await watch("one was cut off", 10)
            ways[1].is_open.set()
            await watch("it was back", 4)
            ends = [await end(sharer) for sharer in sharers[1:]]
            await sharers[0].communicate()
    watching.cancel()

    assert most_in_window([r.time for r in steady], 1.0) <= 99 + RATE * longest_s
    assert len(steady) >= (93 if total_s < 0.1 else 10) * STEADY_S
    assert min(senders(steady).values()) >= len(steady) / PROCESSES / 2
    assert fake.worst_windows().per_minute <= 5999
    assert fake.counts[429] <= 0.01 * fake.counts.total()
    for name, requests in phases.items():
        alive = {"1", "2", "3"} | ({"0"} if name in {"start", "steady"} else set())
        assert senders(requests).keys() >= alive, name
    assert senders(phases["one was cut off"])["1"] < 10 * 10
    assert [counts["failed"] for counts, _ in ends] == [{}] * 3
    # One warning for each outage, and no other, but where answers took half a second.
    outages = [log.count("cannot be reached") for _, log in ends]
    assert outages == [2, 1, 1] or (held_up.longest_s > 0.05 and min(outages) >= 1)
    assert all(len(log.splitlines()) == log.count("cannot be reached") for _, log in ends)
