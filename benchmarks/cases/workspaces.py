"""One process and 20 workspaces, each at its own limits, by GET."""

from collections.abc import Sequence

from benchmarks.competitors import Task
from benchmarks.running import check, label, run
from benchmarks.servers import RemoteFake, fake_process
from benchmarks.tables import Cell, Chart, Column, Table

RATE = 100
"""Requests per second that each workspace allows."""

IN_FLIGHT = 10
"""For each workspace: twice as many as its limit needs at this latency."""

ENTRIES = (
    ("hand-workspaces", "asyncio"),
    ("hand-paced-workspaces", "asyncio"),
    ("workspaces", "asyncio"),
    ("workspaces", "uvloop"),
)
SECONDS = 60.0


def measure(fake: RemoteFake, name: str, loop: str, workspaces: int, count: int) -> list[Cell]:
    """Run one client; return its row."""
    ran = run(
        Task(
            competitor=name,
            loop=loop,
            url=fake.url,
            key=fake.api_key,
            count=workspaces * count,
            workspaces=workspaces,
            in_flight=IN_FLIGHT,
            time_limit_s=SECONDS,
            server_pid=fake.pid,
        )
    )
    counts, worst = fake.tally()
    rate = ran.delivered / ran.seconds
    return [
        label(name, loop),
        ran.delivered,
        workspaces * count - ran.delivered,
        ran.seconds,
        rate,
        rate / (workspaces * RATE) * 100,
        counts[429],
        worst.per_second,
        ran.cpu_s / ran.delivered * 1e6,
        ran.cpu_s / ran.seconds * 100,
        ran.server_s / ran.seconds * 100,
    ]


def tables(
    *, workspaces: int = 20, count: int = 1_000, entries: Sequence[tuple[str, str]] = ENTRIES
) -> list[Table]:
    """Fetch ``count`` leads from each; takes about a minute."""
    columns = [
        Column("client"),
        Column("leads"),
        Column("lost"),
        Column("time, s", 1),
        Column("leads/s"),
        Column(f"share of {workspaces} × {RATE}/s, %"),
        Column("429s"),
        Column("most in a second"),
        Column("CPU a lead, µs"),
        Column("a core is busy, %"),
        Column("server busy, %"),
    ]
    with fake_process() as fake:
        check(fake, dict(entries), workspaces=workspaces)
        rows = [measure(fake, *entry, workspaces, count) for entry in entries]
    notes = [
        "50 ms latency. Each workspace has strict windows: 100 requests in any second.",
        "The most in a second are those of one workspace.",
        "aiolimiter is AsyncLimiter(100, 1) for each workspace, which also lets a burst pass.",
        "Without bursts it is AsyncLimiter(1, 1 / 95).",
    ]
    title = f"{workspaces} workspaces with {count:,} ids each"
    return [Table(title, columns, rows, notes, [Chart("lost"), Chart("CPU a lead, µs")])]
