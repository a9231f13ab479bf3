"""One process and 20 workspaces, each at its own limits, by GET."""

from benchmarks.competitors import Task
from benchmarks.running import label, run
from benchmarks.servers import fake_process
from benchmarks.tables import Cell, Chart, Column, Table

CEILING = 95.0
"""Requests per second and workspace, of the 100 that are allowed (see ``RateLimit.headroom``)."""

ENTRIES = (("hand-workspaces", "asyncio"), ("workspaces", "asyncio"), ("workspaces", "uvloop"))
SECONDS = 60.0


def measure(name: str, loop: str, workspaces: int, count: int) -> list[Cell]:
    """Run one client; return its row."""
    with fake_process() as fake:
        ran = run(
            Task(
                competitor=name,
                loop=loop,
                url=fake.url,
                key=fake.api_key,
                count=workspaces * count,
                workspaces=workspaces,
                time_limit_s=SECONDS,
                server_pid=fake.pid,
            )
        )
        counts, _ = fake.tally()
    rate = ran.delivered / ran.seconds
    return [
        label(name, loop),
        ran.delivered,
        workspaces * count - ran.delivered,
        ran.seconds,
        rate,
        rate / (workspaces * CEILING) * 100,
        counts[429],
        ran.cpu_s / ran.delivered * 1e6,
        ran.cpu_s / ran.seconds * 100,
        ran.server_s / ran.seconds * 100,
    ]


def tables(*, workspaces: int = 20, count: int = 1_000) -> list[Table]:
    """Fetch ``count`` leads from each; takes about half a minute."""
    columns = [
        Column("client"),
        Column("leads"),
        Column("lost"),
        Column("time, s", 1),
        Column("leads/s"),
        Column(f"share of {workspaces} × {CEILING:.0f}/s, %"),
        Column("429s"),
        Column("CPU a lead, µs"),
        Column("a core is busy, %"),
        Column("server busy, %"),
    ]
    rows = [measure(*entry, workspaces, count) for entry in ENTRIES]
    notes = [
        "50 ms latency, strict windows for each workspace.",
        "Written by hand: a limiter for each workspace that lets one request pass each 1/95 s.",
    ]
    title = f"{workspaces} workspaces with {count:,} ids each"
    return [Table(title, columns, rows, notes, [Chart("CPU a lead, µs")])]
