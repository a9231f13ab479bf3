"""Peak memory and speed of converting a journal to CSV, Parquet and JSON Lines.

Each conversion runs in a fresh process and reads the same journal, in a temporary folder. A lead
has about 3 kB. The figure is the peak memory of the process, as the kernel reports it.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.children import run_python
from benchmarks.memory import peak_mib
from benchmarks.tables import Cell, Column, Table
from instantly_async.cli.convert import convert
from instantly_async.cli.options import OutputOptions
from instantly_async.cli.target import layout_of
from instantly_async.testing import lead_ids, lead_json

TARGET_MIB = 200
OUTPUTS = {"leads.csv": None, "leads.parquet": None, "some.jsonl": "email,payload.location"}


class Cost(NamedTuple):
    """The cost of a conversion: peak memory in MiB, seconds, and bytes of the result."""

    peak_mib: float
    seconds: float
    result: int


def write_journal(path: Path, count: int) -> None:
    """Write ``count`` invented leads."""
    with path.open("wb") as file:
        file.writelines(lead_json(lead_id) + b"\n" for lead_id in lead_ids(count))


def measure(journal: Path, output: str, count: int) -> Cost:
    """Convert in a fresh process; return the cost."""
    target = journal.with_name(output)
    peak, seconds, leads = run_python("-m", __name__, str(journal), str(target))
    assert leads == count
    cost = Cost(peak, seconds, target.stat().st_size)
    target.unlink()
    return cost


def tables(*, count: int = 1_000_000) -> list[Table]:
    """Measure each format; takes some minutes, and 6 GB in the temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "leads.jsonl")
        write_journal(journal, count)
        size = journal.stat().st_size / count
        costs = {output: measure(journal, output, count) for output in OUTPUTS}
    rows: list[list[Cell]] = [
        [
            output,
            cost.peak_mib,
            count / cost.seconds,
            cost.seconds / count * 1e6,
            cost.result / 1e6,
        ]
        for output, cost in costs.items()
    ]
    columns = [
        Column("output"),
        Column("peak memory, MiB", 1),
        Column("leads/s"),
        Column("time a lead, µs", 1),
        Column("size, MB"),
    ]
    notes = [f"Leads of {size:,.0f} bytes. Target: {TARGET_MIB} MiB or less."]
    return [Table(f"Conversion of {count:,} leads", columns, rows, notes)]


def convert_here(journal: Path, output: Path) -> None:
    """Convert in this process; print peak memory in MiB, seconds and leads."""
    began = time.perf_counter()
    layout = layout_of(str(output), OutputOptions(fields=OUTPUTS[output.name]))
    leads = convert(str(journal), str(output), layout).leads
    seconds = time.perf_counter() - began
    print(peak_mib(), seconds, leads)


if __name__ == "__main__":
    convert_here(Path(sys.argv[1]), Path(sys.argv[2]))
