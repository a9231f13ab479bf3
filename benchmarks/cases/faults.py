"""1,000 ids while some requests get 429 or 503: leads, requests, and time."""

from collections.abc import Mapping, Sequence

from benchmarks.competitors import Run, Task
from benchmarks.running import installed, label, run
from benchmarks.servers import fake_process
from benchmarks.tables import Cell, Chart, Column, Table
from instantly_async.testing import Fault

NAMES = ("peer-semaphore", "niquests", "httpx", "hand-semaphore", "get", "list")
SHARES = (0.0, 0.01, 0.05, 0.2)
KINDS = (Fault.throttle(), Fault.status(503))
IN_FLIGHT = 20
SECONDS = 60.0


def measure(name: str, share: float, count: int) -> tuple[Run, int]:
    """Return a run, and how many requests it took; the faults are the same for each client."""
    with fake_process(rate_limit=None, fault_rate=share, fault_kinds=KINDS, seed=7) as fake:
        ran = run(
            Task(
                competitor=name,
                url=fake.url,
                key=fake.api_key,
                count=count,
                in_flight=IN_FLIGHT,
                time_limit_s=SECONDS,
            )
        )
        return ran, fake.tally().counts.total()


def tables(
    *, count: int = 1_000, names: tuple[str, ...] = NAMES, shares: tuple[float, ...] = SHARES
) -> list[Table]:
    """Compare all at each share of faults; takes about two minutes."""
    here, notes = installed(names)
    results = {name: [measure(name, share, count) for share in shares] for name in here}
    columns = [Column("client"), *(Column(f"{share:.0%} faults", 2) for share in shares)]
    notes.append(
        f"{IN_FLIGHT} requests in flight, 50 ms latency, no limits. A fault is a 429 without "
        "Retry-After, or a 503."
    )

    def table(
        title: str, decimals: int, cells: Mapping[str, Sequence[Cell]], *charts: Chart
    ) -> Table:
        shown = [columns[0], *(Column(each.title, decimals) for each in columns[1:])]
        rows = [[label(name), *cells[name]] for name in here]
        return Table(title, shown, rows, notes, list(charts))

    lost = {name: [count - ran.delivered for ran, _ in runs] for name, runs in results.items()}
    spent = {name: [requests for _, requests in runs] for name, runs in results.items()}
    times = {name: [ran.seconds for ran, _ in runs] for name, runs in results.items()}
    worst = Chart(columns[-1].title)
    return [
        table(f"Leads lost of {count:,}", 0, lost, worst),
        table("Requests", 0, spent),
        table("Time, s", 1, times),
    ]
