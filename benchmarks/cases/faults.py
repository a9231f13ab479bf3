"""1,000 ids while some requests get 429 or 503: leads lost, requests, and time."""

from collections.abc import Mapping, Sequence

from benchmarks.competitors import Run, Task
from benchmarks.running import check, installed, label, run
from benchmarks.servers import RemoteFake, fake_process
from benchmarks.tables import Cell, Chart, Column, Table
from instantly_async.testing import Fault

NAMES = (
    "peer-semaphore",
    "niquests-retries",
    "httpx",
    "hand-semaphore",
    "hand-retries",
    "get",
    "list",
)
"""httpx and aiohttp do not repeat a request because of its status."""

SHARES = (0.0, 0.01, 0.05, 0.2)
KINDS = (Fault.throttle(), Fault.status(503))
IN_FLIGHT = 20
SECONDS = 60.0


def measure(fake: RemoteFake, name: str, share: float, count: int) -> tuple[Run, int]:
    """Return a run, and how many requests it took; the faults are the same for each client."""
    fake.change(fault_rate=share)
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
    """Compare all at each share of faults; takes about three minutes."""
    here, notes = installed(names)
    with fake_process(rate_limit=None, fault_kinds=KINDS, seed=7) as fake:
        check(fake, here)
        results = {name: [measure(fake, name, share, count) for share in shares] for name in here}
    notes += [
        f"{IN_FLIGHT} requests in flight, 50 ms latency, no limits.",
        "A fault is a 429 without Retry-After, or a 503.",
        "By list, a request brings 100 leads, so few requests meet a fault.",
    ]

    def table(
        title: str, decimals: int, cells: Mapping[str, Sequence[Cell]], *charts: Chart
    ) -> Table:
        columns = [Column("client"), *(Column(f"{share:.0%} faults", decimals) for share in shares)]
        rows = [[label(name), *cells[name]] for name in here]
        return Table(title, columns, rows, notes, list(charts))

    lost = {name: [count - ran.delivered for ran, _ in runs] for name, runs in results.items()}
    spent = {name: [requests for _, requests in runs] for name, runs in results.items()}
    times = {name: [ran.seconds for ran, _ in runs] for name, runs in results.items()}
    worst = Chart(f"{shares[-1]:.0%} faults")
    return [
        table(f"Leads lost of {count:,}", 0, lost, worst),
        table("Requests", 0, spent),
        table("Time, s", 1, times),
    ]
