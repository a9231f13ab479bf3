"""The journal: CPU per written lead, and the cost of resuming from it."""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.children import run_python
from benchmarks.memory import peak_mib
from benchmarks.tables import Cell, Column, Spread, Table
from instantly_async import Found
from instantly_async.cli.app import run_command_line
from instantly_async.cli.known import KnownIds
from instantly_async.cli.output import PastIds, open_journal
from instantly_async.cli.records import to_line
from instantly_async.testing import lead_ids, lead_json

DISTINCT = 1_000
VARIABLES = {"INSTANTLY_API_KEY": "key-for-benchmarks"}


def lines() -> Iterator[tuple[str, bytes]]:
    """Yield up to ten million ids, each with a lead's JSON; the bodies repeat."""
    bodies = [lead_json(lead_id).partition(b'",')[2] for lead_id in lead_ids(DISTINCT)]
    for index, lead_id in enumerate(lead_ids(10_000_000)):
        yield lead_id, b'{"id":"%s",%s' % (lead_id.encode(), bodies[index % DISTINCT])


async def write_journal(path: Path, leads: Sequence[tuple[Found[None], bytes]]) -> float:
    """Record the leads; return the CPU seconds, including those of the syncing thread."""
    began = time.process_time()
    with open_journal(str(path), f"{path}.errors.jsonl", PastIds(KnownIds())) as journal:
        async with journal.recording():
            for outcome, raw in leads:
                await journal.write_lead(outcome, to_line(raw))
                await asyncio.sleep(0)  # as in a run, where the event loop runs between leads
    return time.process_time() - began


async def write_bare(path: Path, leads: Sequence[tuple[Found[None], bytes]]) -> float:
    """Write the same bytes without a journal; return the CPU seconds."""
    began = time.process_time()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    for _, raw in leads:
        os.write(fd, raw + b"\n")
        await asyncio.sleep(0)
    os.close(fd)
    return time.process_time() - began


async def turn(leads: Sequence[tuple[Found[None], bytes]]) -> float:
    """Write nothing; return the CPU seconds of the event loop's iterations."""
    began = time.process_time()
    for _ in leads:
        await asyncio.sleep(0)
    return time.process_time() - began


def measure_cost(count: int, rounds: int) -> tuple[Spread, float]:
    """Return the CPU µs per lead that the journal adds to a loop, and the ratio to bare writes."""
    leads = [
        (
            Found(lead_id=lead_id, index=0, lead=None, raw=None, attempts=1, elapsed_s=0.1),
            raw,
        )
        for lead_id, raw in islice(lines(), count)
    ]
    ours, bare = [], []
    with TemporaryDirectory() as folder:
        for number in range(rounds):
            paths = Path(folder, f"ours-{number}"), Path(folder, f"bare-{number}")
            idle = asyncio.run(turn(leads))
            ours.append((asyncio.run(write_journal(paths[0], leads)) - idle) / count * 1e6)
            bare.append((asyncio.run(write_bare(paths[1], leads)) - idle) / count * 1e6)
            for path in paths:
                path.unlink()
    cost = Spread.of(ours)
    return cost, cost.median / statistics.median(bare)


def measure_resume(count: int) -> tuple[float, float]:
    """Return the seconds and the peak MiB of a resumed run with nothing left to do."""
    with TemporaryDirectory() as folder:
        ids, journal = Path(folder, "ids.txt"), Path(folder, "leads.jsonl")
        with ids.open("w") as id_file, journal.open("wb") as journal_file:
            for lead_id, raw in islice(lines(), count):
                id_file.write(f"{lead_id}\n")
                journal_file.write(raw + b"\n")
        command = ["fetch", str(ids), "-o", str(journal), "--resume", "--quiet"]
        began = time.perf_counter()
        (peak,) = run_python("-m", __name__, *command, variables=VARIABLES)
        return time.perf_counter() - began, peak


def tables(*, rounds: int = 7, writes: int = 20_000, resumed: int = 1_000_000) -> list[Table]:
    """Measure both; takes about two minutes, and 3 GB in the temporary folder."""
    cost, ratio = measure_cost(writes, rounds)
    seconds, peak = measure_resume(resumed)
    columns = [Column("what"), Column("figure", 1), Column("target")]
    rows: list[list[Cell]] = [
        ["CPU a lead to write it, µs", cost, 10],
        ["the same, × bare writes", ratio, None],
        [f"resume after {resumed:,} leads, all done, s", seconds, 10],
        ["the same, peak MiB", peak, 250],
    ]
    return [Table("The journal", columns, rows)]


if __name__ == "__main__":
    assert run_command_line(sys.argv[1:]) == 0
    print(peak_mib())
