"""1,000 handlers that each want one lead: how many requests, and how long they wait.

The fake API has 50 ms latency. All handlers begin at once, in a new process.
"""

from collections import Counter, defaultdict
from statistics import median
from typing import NamedTuple

from benchmarks.competitors import Run, Task
from benchmarks.running import check, label, run, turns
from benchmarks.servers import RemoteFake, fake_process
from benchmarks.tables import Cell, Chart, Column, Spread, Table, spread_of
from instantly_async.loader import FLUSH_S

PAGE = 100
FREE = ("loader", "get-lead", "hand")
LIMITED = (*FREE, "hand-limiter", "hand-paced")
IN_FLIGHT = 100
REQUESTS = 12

WAIT = "95 % have a lead after, ms"
COLUMNS = [
    Column("client"),
    Column("leads"),
    Column("requests"),
    Column("429s"),
    Column("half have a lead after, ms"),
    Column(WAIT),
]


class Storm(NamedTuple):
    """What came of the handlers of one round, and how many requests got each status."""

    run: Run
    counts: Counter[int]

    def wait_ms(self, percent: int) -> float | None:
        """Return after how long so many of the handlers have their leads; ``None``: never."""
        waits = self.run.waits
        last = (len(waits) + self.run.lost) * percent // 100 - 1
        return waits[last] * 1e3 if last < len(waits) else None

    @property
    def apart_s(self) -> float:
        """Seconds between the first lead and the last."""
        return self.run.waits[-1] - self.run.waits[0]


def storm(fake: RemoteFake, name: str, count: int, *, limited: bool = False) -> Storm:
    """Let so many handlers begin."""
    fake.tally()
    done = run(
        Task(
            competitor=name,
            url=fake.url,
            key=fake.api_key,
            count=count,
            in_flight=IN_FLIGHT,
            limited=limited,
            keep_waits=True,
        )
    )
    return Storm(done, fake.tally().counts)


def row(name: str, storms: list[Storm]) -> list[Cell]:
    """Return the medians of a competitor."""

    def spread(percent: int) -> Cell:
        waits = [each.wait_ms(percent) for each in storms]
        found = [wait for wait in waits if wait is not None]
        return Spread.of(found) if len(found) == len(waits) else None

    return [
        label(name),
        median(each.run.delivered for each in storms),
        median(each.counts.total() for each in storms),
        median(each.counts[429] for each in storms),
        spread(50),
        spread(95),
    ]


def without_limits(count: int, rounds: int) -> Table:
    """Measure a page alone, and then each competitor, in each round."""
    storms = defaultdict[str, list[Storm]](list)
    with fake_process(rate_limit=None) as fake:
        for name in turns(("list", *FREE), rounds):
            done = storm(fake, name, PAGE if name == "list" else count)
            assert done.run.errors == {}
            storms[name].append(done)
    pages_s = [each.run.seconds for each in storms.pop("list")]
    notes = [f"{spread_of(rounds)}.", *targets(storms["loader"], pages_s)]
    rows = [row(name, storms[name]) for name in FREE]
    return Table("No limits", COLUMNS, rows, notes, [Chart(WAIT)])


def targets(storms: list[Storm], pages_s: list[float]) -> list[str]:
    """Return the targets of the loader, and what came of them."""
    requests = max(each.counts.total() for each in storms)
    apart_ms = median(each.apart_s for each in storms) * 1e3
    allowed_s = [FLUSH_S + 2 * page_s for page_s in pages_s]
    worst = max(each.apart_s / most for each, most in zip(storms, allowed_s, strict=True))
    return [
        f"Target for the loader: {REQUESTS} requests or fewer. It needed {requests} at most.",
        (
            f"Target for the last lead: {median(allowed_s) * 1e3:.0f} ms or less after the first. "
            f"Two pages take so long. It was {apart_ms:.0f} ms, at worst {worst:.2f} of the target."
        ),
    ]


def at_the_limits(count: int, rounds: int) -> Table:
    """Let each competitor begin with windows that are empty."""
    storms = defaultdict[str, list[Storm]](list)
    for name in turns(LIMITED, rounds):
        with fake_process() as fake:
            storms[name].append(storm(fake, name, count, limited=True))
    notes = [
        f"{spread_of(rounds)}. Who gets a 429 gets no lead.",
        "The limits are 100 requests in a second and 6,000 in a minute. Ours uses 95 % of them.",
    ]
    rows = [row(name, storms[name]) for name in LIMITED]
    return Table("At the documented limits", COLUMNS, rows, notes, [Chart(WAIT)])


def tables(*, rounds: int = 9, count: int = 1_000) -> list[Table]:
    """Compare all without limits, and in a third of the rounds with them; takes three minutes."""
    with fake_process(rate_limit=None, list_payload_keys={}) as fake:
        check(fake, LIMITED)
    return [without_limits(count, rounds), at_the_limits(count, max(1, rounds // 3))]
