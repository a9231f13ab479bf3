"""Time and peak memory for 100 to 1,000,000 ids, without limits, 60 s for each run."""

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from benchmarks.competitors import Run, Task
from benchmarks.running import installed, label, run
from benchmarks.servers import fast_server
from benchmarks.tables import Cell, Chart, Column, Table

KEY = "key-for-benchmarks"
NAMES = (
    "peer",
    "peer-semaphore",
    "peer-list",
    "httpx",
    "niquests",
    "hand",
    "hand-semaphore",
    "hand-workers",
    "hand-list",
    "get",
    "list",
)
BY_LIST = ("hand-list", "list")
SIZES = (100, 1_000, 10_000, 100_000)
LARGEST = 1_000_000
"""Only by list: by GET, nobody fetches so many in a minute."""

IN_FLIGHT = 10
"""More make nobody faster without latency, and httpx much slower."""

WARM_UP = 100
TARGET_MIB = 30
"""The most that memory may grow from the smallest to the largest size, for ours by list."""

Runs = Mapping[int, Run]
"""By the number of ids."""


def tables(
    *,
    sizes: Sequence[int] = SIZES,
    largest: int = LARGEST,
    time_limit_s: float = 60.0,
    names: Sequence[str] = NAMES,
) -> list[Table]:
    """Run each competitor once at each size; takes about seven minutes."""
    here, missing = installed(names)
    task = Task(
        competitor="",
        url="",
        key=KEY,
        count=0,
        in_flight=IN_FLIGHT,
        time_limit_s=time_limit_s,
        warm_up=WARM_UP,
    )
    columns = [*sizes, largest]
    with fast_server() as server:
        runs = {
            name: run_sizes(
                replace(task, competitor=name, url=server.url),
                columns if name in BY_LIST else sizes,
            )
            for name in here
        }
    *_, middle, large, _ = columns
    return [
        table("Time, s", runs, columns, time, [*missing, *notes_on_time(runs)], charted=middle),
        table("Peak memory, MiB", runs, columns, memory, notes_on_memory(runs), charted=large),
    ]


def run_sizes(task: Task, sizes: Sequence[int]) -> Runs:
    """Run a competitor at each size, until one takes too long."""
    runs: dict[int, Run] = {}
    for size in sizes:
        runs[size] = run(replace(task, count=size))
        if not runs[size].finished:
            break
    return runs


def table(
    title: str,
    runs: Mapping[str, Runs],
    sizes: Sequence[int],
    cell: Callable[[Run, int], Cell],
    notes: list[str],
    *,
    charted: int,
) -> Table:
    """Return a table with a row for each competitor, and a column for each size."""
    return Table(
        title,
        [Column("client"), *(Column(f"{size:,} ids", 1) for size in sizes)],
        [
            [label(name), *(cell(of[size], size) if size in of else None for size in sizes)]
            for name, of in runs.items()
        ],
        notes,
        [Chart(f"{charted:,} ids")],
    )


def time(run: Run, size: int) -> Cell:
    """Return the seconds of a run, or how far it came."""
    return run.seconds if run.finished else f"{run.seconds:.0f} s, {run.delivered:,} of {size:,}"


def memory(run: Run, _: int) -> Cell:
    """Return the most memory that a run had, also where it did not finish."""
    return run.peak_mib


def notes_on_time(runs: Mapping[str, Runs]) -> list[str]:
    """Say what the figures are, and who lost what."""
    lost = [
        f"{label(name)}, {size:,} ids: {run.delivered:,} leads were delivered, "
        f"{run.lost:,} lost ({', '.join(run.errors)})."
        for name, of in runs.items()
        for size, run in of.items()
        if run.errors
    ]
    return [
        "One run each. The server answers at once, and has no limits.",
        f"At most {IN_FLIGHT} requests are in flight. Plain `gather` has no such setting.",
        "A run that did not finish in time says how far it came. Its larger sizes are left out.",
        *(lost or ["No lead was lost."]),
    ]


def notes_on_memory(runs: Mapping[str, Runs]) -> list[str]:
    """Say why memory grows, and whether ours does."""
    peaks = [run.peak_mib for run in runs["list"].values()]
    return [
        "Memory of the whole process. A run that did not finish would have needed more.",
        "`gather` keeps a task for each id, and all results. Workers and ours keep no results.",
        f"Ours by list grew by {max(peaks) - peaks[0]:.0f} MiB. Target: {TARGET_MIB} or less.",
    ]
