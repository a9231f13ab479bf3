"""Peak memory and speed of converting a journal to CSV, Parquet and selected JSON Lines.

Each conversion runs in a fresh process and reads the same journal, in a temporary folder. A lead
has about 3 kB. The figure is the peak memory of the process, as the kernel reports it.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

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
    """Convert in a fresh process; print and return the cost."""
    target = journal.with_name(output)
    command = [sys.executable, "-m", "benchmarks.cases.convert", str(journal), str(target)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak, seconds, leads = map(float, done.stdout.split())
    assert leads == count
    cost = Cost(peak, seconds, target.stat().st_size)
    target.unlink()
    print(
        f"{output:14} {cost.peak_mib:6.1f} MiB peak; target {TARGET_MIB} or less; "
        f"{count / seconds:7.0f} leads/s, {seconds / count * 1e6:5.1f} µs a lead; "
        f"{cost.result / 1e6:.0f} MB"
    )
    return cost


def main(count: int = 1_000_000) -> list[Cost]:
    """Measure each format; takes some minutes, and 6 GB in the temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "leads.jsonl")
        write_journal(journal, count)
        print(f"{count} leads, {journal.stat().st_size / count:.0f} bytes each")
        return [measure(journal, output, count) for output in OUTPUTS]


def convert_here(journal: Path, output: Path) -> None:
    """Convert in this process; print peak memory in MiB, seconds and leads."""
    began = time.perf_counter()
    layout = layout_of(str(output), OutputOptions(fields=OUTPUTS[output.name]))
    leads = convert(str(journal), str(output), layout).leads
    seconds = time.perf_counter() - began
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seconds, leads)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        convert_here(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        main()
