"""The figures of one case, with where they come from, as they are kept in ``results/``."""

import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.cases import CASES, Case
from benchmarks.machine import machine, versions
from benchmarks.tables import Table

RESULTS = Path(__file__).parent / "results"


class Report(msgspec.Struct, frozen=True):
    """One run of a case. The command repeats it."""

    case: str
    command: str
    date: str
    seconds: float
    machine: str
    versions: dict[str, str]
    tables: list[Table]

    def save(self) -> None:
        """Keep it as the figures of its case."""
        RESULTS.mkdir(exist_ok=True)
        text = msgspec.json.format(msgspec.json.encode(self), indent=1)
        (RESULTS / f"{self.case}.json").write_bytes(text + b"\n")


def make_report(case: Case, rounds: int | None = None) -> Report:
    """Run a case."""
    options = {} if rounds is None else {"rounds": rounds}
    began = time.perf_counter()
    tables = case.tables(**options)
    return Report(
        case=case.name,
        command=" ".join(
            ["uv run --group bench python -m benchmarks run", case.name]
            + [f"--{name} {value}" for name, value in options.items()]
        ),
        date=datetime.now(UTC).date().isoformat(),
        seconds=round(time.perf_counter() - began, 1),
        machine=machine(),
        versions=versions(),
        tables=tables,
    )


def saved_reports() -> dict[str, Report]:
    """Return the reports that were kept, by case."""
    files = (RESULTS / f"{name}.json" for name in CASES)
    reports = [
        msgspec.json.decode(file.read_bytes(), type=Report) for file in files if file.exists()
    ]
    return {report.case: report for report in reports}
