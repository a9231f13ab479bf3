"""10,000 ids with 5 % faults, with bursts of faults, and with an outage.

Each case has a fake API with strict windows in a process of its own. All run at once, by GET, and
take about five minutes. A heartbeat measures how late the event loop was, and how long it worked.
"""

import asyncio
import gc
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

from benchmarks.servers import RemoteFake, fake_process
from benchmarks.tables import Cell, Column, Table
from instantly_async import Found, InstantlyClient, Stats
from instantly_async.testing import TRANSIENT_FAULTS, Fault, lead_ids

FAULT_RATE = 0.05
BEAT_S = 0.002
OUTAGE_S = 20.0

Script = Callable[["Case"], Awaitable[None]]


class Result(NamedTuple):
    """The statistics of a run, and what its script has measured."""

    name: str
    stats: Stats
    notes: list[str]


class Case:
    """A run, and the script that makes its fake fail."""

    def __init__(self, name: str, script: Script, fake: RemoteFake, count: int) -> None:
        self.name = name
        self.notes: list[str] = []
        self.fake = fake
        self.count = count
        self._script = script
        self.stats: Stats | None = None

    async def change(self, **settings: object) -> int:
        """Change the fake; return how many requests it has had since the last change."""
        tally = await asyncio.to_thread(self.fake.change, **settings)
        return tally.counts.total()

    async def run(self) -> Result:
        """Fetch all; every lead must be found."""
        async with InstantlyClient(self.fake.api_key, base_url=self.fake.url) as client:
            script = asyncio.create_task(self._run_script())
            async with client.stream_leads(lead_ids(self.count)) as stream:
                async for outcome in stream:
                    assert isinstance(outcome, Found), outcome
                    self.stats = stream.stats
            script.cancel()
            with suppress(asyncio.CancelledError):
                await script
            return Result(self.name, stream.stats, self.notes)

    async def _run_script(self) -> None:
        await self._script(self)


async def nothing(case: Case) -> None:
    """Only the faults at random."""


async def bursts(case: Case) -> None:
    """Every few seconds, every request fails for 0.5 to 3 s."""
    rng = random.Random(7)
    for number in range(1000):
        await asyncio.sleep(rng.uniform(3, 10))
        down: bool | Fault = Fault.reset() if number % 2 else True
        await case.change(down=down)
        await asyncio.sleep(rng.uniform(0.5, 3))
        await case.change(down=False)
        case.notes[:] = [f"{number + 1} bursts"]


async def outage(case: Case) -> None:
    """Nothing but refusals, after a third of the run."""
    await asyncio.sleep(case.count / 95 / 3)
    await case.change(down=True)
    await asyncio.sleep(OUTAGE_S / 10)
    first = await case.change()
    await asyncio.sleep(0.9 * OUTAGE_S)
    probes = await case.change(down=False)
    ended = time.perf_counter()
    assert case.stats is not None
    found = case.stats.found
    while case.stats.found == found:
        await asyncio.sleep(0.01)
    back_s = time.perf_counter() - ended
    found = case.stats.found
    await asyncio.sleep(2)
    case.notes.append(
        f"{first} requests in the first {OUTAGE_S / 10:.0f} s of the outage, then {probes} probes; "
        f"back after {back_s:.1f} s at {(case.stats.found - found) / 2:.0f}/s"
    )


class Beats:
    """By how much the loop was late, and how long it worked meanwhile; in seconds of each beat.

    ``collected_s`` is the longest garbage collection, whose time counts for ``late_s`` only: it
    depends on what else the process holds. Work is CPU time, as other processes use the cores, too.
    """

    def __init__(self) -> None:
        self.late_s: list[float] = []
        self.worked_s: list[float] = []
        self.collected_s = 0.0
        self._collecting_s = 0.0
        self._began = 0.0

    async def count(self) -> None:
        """Count the beats until cancelled."""
        gc.callbacks.append(self._on_collection)
        try:
            while True:
                began, cpu = time.perf_counter(), time.thread_time()
                self._collecting_s = 0.0
                await asyncio.sleep(BEAT_S)
                self.late_s.append(time.perf_counter() - began - BEAT_S)
                self.worked_s.append(time.thread_time() - cpu - self._collecting_s)
        finally:
            gc.callbacks.remove(self._on_collection)

    def _on_collection(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            took_s = time.thread_time() - self._began
            self._collecting_s += took_s
            self.collected_s = max(self.collected_s, took_s)

    def rows(self) -> list[list[Cell]]:
        """Return the figures, in ms."""
        late = sorted(self.late_s)
        return [
            ["the loop was late, at most", late[-1] * 1e3, None],
            ["the loop was late, 99.9 % of beats", late[int(0.999 * len(late))] * 1e3, None],
            ["the loop worked, at most", max(self.worked_s) * 1e3, 20],
            ["the garbage collector, at most", self.collected_s * 1e3, None],
        ]


async def run_all(cases: list[Case]) -> tuple[list[Result], Beats]:
    """Run them at once; return the results, and the beats of the loop."""
    beats = Beats()
    counting = asyncio.create_task(beats.count())
    results = await asyncio.gather(*(case.run() for case in cases))
    counting.cancel()
    return results, beats


def run_cases(count: int) -> tuple[list[Result], Beats]:
    """Run all cases against fakes of their own."""
    logging.getLogger("instantly_async").addHandler(logging.NullHandler())  # not on stderr
    kinds = (*TRANSIENT_FAULTS, Fault.throttle())
    faults: dict[str, Any] = {"fault_rate": FAULT_RATE, "fault_kinds": kinds, "seed": 7}
    scripts = {"5 % faults": nothing, "bursts": bursts, "an outage": outage}
    with fake_process(**faults) as a, fake_process(**faults) as b, fake_process() as c:
        named = zip(scripts.items(), (a, b, c), strict=True)
        cases = [Case(name, script, fake, count) for (name, script), fake in named]
        return asyncio.run(run_all(cases))


def tables(*, count: int = 10_000) -> list[Table]:
    """Run all cases; takes about five minutes."""
    results, beats = run_cases(count)
    rows: list[list[Cell]] = [
        [
            name,
            stats.found,
            stats.elapsed_s,
            stats.requests - stats.throttled,
            round(1.2 * count + 100 + stats.elapsed_s),
            stats.throttled,
        ]
        for name, stats, _ in results
    ]
    columns = [
        Column("case"),
        Column("found"),
        Column("time, s"),
        Column("attempts without 429s"),
        Column("their limit"),
        Column("429s"),
    ]
    notes = [f"{name}: {note}." for name, _, notes in results for note in notes]
    notes.append("Targets: all found; no attempts above their limit; back 31 s after an outage.")
    loop = [Column("event loop, ms"), Column("figure", 1), Column("target")]
    return [
        Table("Faults, bursts and an outage", columns, rows, notes),
        Table("How late the event loop was", loop, beats.rows()),
    ]
