"""CPU per lead while somebody observes: a function that does nothing, or OpenTelemetry."""

from importlib.metadata import version

from benchmarks.cases.cost import Entry, cpu_us, run_all
from benchmarks.competitors import OBSERVERS, Run
from benchmarks.running import installed
from benchmarks.tables import Cell, Column, Spread, Table, spread_of

STRATEGIES = ("get", "list")


def more_us(runs: list[Run], unobserved: list[Run]) -> Spread:
    """Return by how much a lead takes longer than without an observer, in the same round."""
    pairs = zip(runs, unobserved, strict=True)
    return Spread.of([cpu_us(run) - cpu_us(base) for run, base in pairs])


def tables(*, rounds: int = 5, count: int = 1000, warm_up: int = 700) -> list[Table]:
    """Compare ours with and without observers, by GET and by list, without limits."""
    found: list[Table] = []
    for strategy in STRATEGIES:
        names, notes = installed(f"{strategy}-{observer}" for observer in OBSERVERS)
        entries = [Entry(name, "asyncio") for name in names]
        runs = run_all(entries, count=count, rounds=rounds, warm_up=warm_up)
        base = runs[entries[0]]
        rows: list[list[Cell]] = [
            [
                str(entry),
                Spread.of([cpu_us(each) for each in runs[entry]]),
                None if runs[entry] is base else more_us(runs[entry], base),
            ]
            for entry in runs
        ]
        columns = [
            Column("observer"),
            Column("CPU a lead, µs", 1),
            Column("more than without, µs", 1),
        ]
        sdk = version("opentelemetry-sdk")
        notes += [
            f"{spread_of(rounds)}.",
            f"OpenTelemetry's SDK {sdk} exports once a second into nothing.",
        ]
        found.append(Table(f"Observers, by {strategy}", columns, rows, notes))
    return found
