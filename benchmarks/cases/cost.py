"""CPU per lead and leads per second, without limits: 3 kB leads, 64 requests in flight."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.competitors import OBSERVERS, Run, Task
from benchmarks.running import installed, label, run, turns
from benchmarks.servers import fast_server
from benchmarks.tables import Cell, Chart, Column, Spread, Table, spread_of

KEY = "key-for-benchmarks"
IN_FLIGHT = 64
BY_GET = ("peer-semaphore", "niquests", "httpx", "hand-semaphore", "bare", "protocol", "get")
BY_PAGES = ("peer-list", "hand-list", "bare-pages", "list")
LOOPS = ("asyncio", "uvloop")
ONLY_ASYNCIO = ("peer-semaphore", "peer-list", "niquests")
"""Their event loop is a small part of their cost, and they take longest."""

FEW = 8
SLOW_WITH_MANY = ("peer-semaphore", "httpx")
"""httpx looks through all its connections for each request, so they run with few, too."""

TIMES = {"peer-semaphore": 1, "niquests": 1, "httpx": 1, "peer-list": 10}
TIMES |= dict.fromkeys(("hand-list", "bare-pages", "list"), 40)
TIMES |= dict.fromkeys([f"list-{observer}" for observer in OBSERVERS], 40)
FAST = 5
"""How many times as many leads a run has as those of the slowest: so all take about a second."""


class Entry(NamedTuple):
    """A competitor on an event loop, with so many requests in flight."""

    name: str
    loop: str
    in_flight: int = IN_FLIGHT

    def __str__(self) -> str:
        """Say what differs from the others."""
        text = label(self.name, self.loop)
        return text if self.in_flight == IN_FLIGHT else f"{text}, {self.in_flight} in flight"


def run_all(
    entries: list[Entry], *, count: int, rounds: int, warm_up: int
) -> dict[Entry, list[Run]]:
    """Run each entry once a round; return its runs."""
    runs = defaultdict(list)
    with fast_server() as server:
        for entry in turns(entries, rounds):
            runs[entry].append(
                run(
                    Task(
                        competitor=entry.name,
                        loop=entry.loop,
                        url=server.url,
                        key=KEY,
                        count=count * TIMES.get(entry.name, FAST),
                        in_flight=entry.in_flight,
                        warm_up=warm_up,
                        server_pid=server.pid,
                    )
                )
            )
            assert runs[entry][-1].finished
            assert runs[entry][-1].delivered == count * TIMES.get(entry.name, FAST)
    return runs


def cpu_us(run: Run) -> float:
    """Return the CPU time of a lead in µs."""
    return run.cpu_s / run.delivered * 1e6


def compared(runs: dict[Entry, list[Run]], title: str, notes: list[str]) -> Table:
    """Return a table; each ratio is to the bare aiohttp session of the same loop and round."""

    def ratio(entry: Entry) -> Spread:
        bare = runs[Entry("bare-pages" if entry.name in BY_PAGES else "bare", entry.loop)]
        return Spread.of([cpu_us(a) / cpu_us(b) for a, b in zip(runs[entry], bare, strict=True)])

    def spread(entry: Entry, of: Callable[[Run], float]) -> Spread:
        return Spread.of([of(each) for each in runs[entry]])

    rows: list[list[Cell]] = [
        [
            str(entry),
            spread(entry, cpu_us),
            ratio(entry),
            spread(entry, lambda each: each.delivered / each.seconds),
            spread(entry, lambda each: each.server_s / each.seconds * 100).median,
        ]
        for entry in runs
    ]
    columns = [
        Column("client"),
        Column("CPU a lead, µs", 1),
        Column("× bare aiohttp", 2),
        Column("leads/s"),
        Column("server busy, %"),
    ]
    return Table(title, columns, rows, notes, [Chart("CPU a lead, µs")])


def tables(
    *, rounds: int = 3, count: int = 600, warm_up: int = 700, loops: Sequence[str] = LOOPS
) -> list[Table]:
    """Compare all, by GET and by pages; takes about two minutes."""
    names, notes = installed((*BY_GET, *BY_PAGES))
    entries = [
        Entry(name, loop)
        for name in names
        for loop in loops
        if loop == "asyncio" or name not in ONLY_ASYNCIO
    ]
    entries += [Entry(name, "asyncio", FEW) for name in names if name in SLOW_WITH_MANY]
    entries.sort(key=lambda entry: names.index(entry.name))
    runs = run_all(entries, count=count, rounds=rounds, warm_up=warm_up)
    notes += [
        f"{spread_of(rounds)}. A round has at least {count:,} leads.",
        "Pages are compared with bare pages.",
        "Where the server was busy for less than 80 % of the time, leads/s are the client's.",
    ]
    return [compared(runs, "CPU per lead, no limits", notes)]
