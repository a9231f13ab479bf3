"""1,000 ids while some requests get 429 or 503: leads lost, requests, and time."""

from collections.abc import Callable

import msgspec

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
SEED = 7

NOTES = [
    f"{IN_FLIGHT} requests in flight, 50 ms latency, no limits.",
    "A fault is a 429 without Retry-After, or a 503.",
    "Ours treats a 429 as a limit: all requests pause for half a second, at most once a second.",
    "By list, a request brings 100 leads, so few requests meet a fault.",
]


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
    """Compare all at each share of faults; takes more than two minutes."""
    here, notes = installed(names)
    # The API lists some keys of a payload by other names, but here all leads are compared.
    with fake_process(rate_limit=None, list_payload_keys={}, fault_kinds=KINDS, seed=SEED) as fake:
        check(fake, here)
        results = {name: [measure(fake, name, share, count) for share in shares] for name in here}

    def table(title: str, decimals: int, cell: Callable[[Run, int], Cell]) -> Table:
        columns = [Column("client"), *(Column(f"{share:.0%} faults", decimals) for share in shares)]
        rows: list[list[Cell]] = [
            [label(name), *(cell(*each) for each in results[name])] for name in here
        ]
        return Table(title, columns, rows)

    lost = table(f"Leads lost of {count:,}", 0, lambda ran, _: count - ran.delivered)
    times = table("Time, s", 1, lambda ran, _: ran.seconds)
    return [
        msgspec.structs.replace(lost, charts=[Chart(lost.columns[-1].title)]),
        table("Requests", 0, lambda _, requests: requests),
        msgspec.structs.replace(times, notes=[*notes, *NOTES]),
    ]
