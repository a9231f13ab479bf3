"""The whole job: 200,000 ids of a file, by list at the limits, to JSON Lines and to Parquet."""

import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec

from benchmarks import small_parent
from benchmarks.running import turns
from benchmarks.servers import fake_process
from benchmarks.tables import Cell, Chart, Column, Spread, Table, spread_of
from instantly_async.testing import lead_ids

PAGE = 100
TARGET_US = 35
RATE = 100
"""Requests per second that are allowed."""
CPU, MEMORY = "CPU a lead, µs", "peak memory, MiB"
COLUMNS = [
    Column("program"),
    Column(CPU, 1),
    Column(MEMORY),
    Column("time, s", 1),
    Column("over the limit alone, s", 1),
    Column("requests"),
    Column("429s"),
]
COMMAND = "-m instantly_async.cli fetch {ids} -o {output} --strategy list --quiet"
SCRIPT = "-m benchmarks.competitors.script {ids} {output}"


class Program(NamedTuple):
    """A way to do the job."""

    name: str
    line: str
    suffix: str


PROGRAMS = [
    Program(f"{name}, to {kind}", line, suffix)
    for name, line in (("ours", COMMAND), ("aiohttp script", SCRIPT))
    for kind, suffix in (("JSON Lines", ".jsonl"), ("Parquet", ".parquet"))
]


class Job(msgspec.Struct):
    """What ``small_parent`` prints about a program."""

    code: int
    seconds: float
    cpu_s: float
    peak_mib: float


class Done(NamedTuple):
    """A job, and how many requests got each status."""

    job: Job
    counts: Counter[int]


def do(program: Program, count: int, cache: Path) -> Done:
    """Do the job at a new fake, and check what came of it."""
    with fake_process() as fake, TemporaryDirectory() as folder:
        ids, output = Path(folder, "ids.txt"), Path(folder, f"leads{program.suffix}")
        ids.write_text("".join(f"{lead_id}\n" for lead_id in lead_ids(count)), encoding="ascii")
        variables = {"INSTANTLY_API_KEY": fake.api_key, "INSTANTLY_BASE_URL": fake.url}
        line = [part.format(ids=ids, output=output) for part in program.line.split()]
        job = measure(line, cache, variables)
        assert job.code == 0
        found = ids_of(output)
        assert len(found) == count
        assert set(found) == set(lead_ids(count))
        return Done(job, fake.tally().counts)


def measure(line: list[str], cache: Path, variables: Mapping[str, str]) -> Job:
    """Run Python with this line; return what it used. Compiled modules are kept in ``cache``."""
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(cache)}
    # -S: without site-packages, so that it is small.
    parent = [sys.executable, "-I", "-S", small_parent.__file__]
    done = subprocess.run(
        [*parent, sys.executable, *line],
        env={**os.environ, **compiled, **variables},
        stdout=subprocess.PIPE,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=Job)


def ids_of(output: Path) -> list[str]:
    """Return the ids in a file of leads."""
    if output.suffix == ".parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415 - large

        ids: list[str] = pq.read_table(output, columns=["id"])["id"].to_pylist()
        return ids
    with output.open("rb") as lines:
        return [msgspec.json.decode(line)["id"] for line in lines]


def row(program: Program, done: list[Done], count: int) -> list[Cell]:
    """Return the figures of a program."""
    jobs = [each.job for each in done]
    seconds = Spread.of([job.seconds for job in jobs])
    return [
        program.name,
        Spread.of([job.cpu_s / count * 1e6 for job in jobs]),
        Spread.of([job.peak_mib for job in jobs]).median,
        seconds,
        seconds.median - count / PAGE / RATE,
        Spread.of([each.counts.total() for each in done]).median,
        Spread.of([each.counts[429] for each in done]).median,
    ]


def tables(*, rounds: int = 3, count: int = 200_000) -> list[Table]:
    """Do the job with each program; takes six minutes."""
    done = defaultdict[Program, list[Done]](list)
    with TemporaryDirectory() as cache:
        for program in PROGRAMS:  # once, to compile all modules, as pip does
            do(program, PAGE, Path(cache))
        for program in turns(PROGRAMS, rounds):
            done[program].append(do(program, count, Path(cache)))
    notes = [
        f"{spread_of(rounds)}. Time is that of the whole process.",
        f"The limit alone: {RATE} pages per second. Each keeps to 95 of them.",
        f"Target for ours: {TARGET_US} µs of CPU a lead.",
    ]
    rows = [row(program, done[program], count) for program in PROGRAMS]
    return [Table("The whole job", COLUMNS, rows, notes, [Chart(CPU), Chart(MEMORY)])]
