"""Ray Data on this machine: ids of four workspaces by list, at their limits, into Parquet."""

import os
import tempfile
import threading
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from benchmarks.running import absent
from benchmarks.servers import RemoteFake, fake_process
from benchmarks.tables import Cell, Column, Table
from instantly_async import RateLimit
from instantly_async.testing import lead_ids

BATCH = 4_000
BLOCKS = 10
POLL_S = 0.1
QUIET = {
    "RAY_AUTH_MODE": "disabled",  # it would write a token into the home folder
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # it would start each worker by uv
    "RAY_USAGE_STATS_ENABLED": "0",
}


class Watch(threading.Thread):
    """Counts the answers of a fake, and notes when the first came."""

    def __init__(self, fake: RemoteFake) -> None:
        super().__init__()
        self.counts: Counter[int] = Counter()
        self.worst = 0
        self.began = 0.0
        self._fake = fake
        self._end = threading.Event()

    def run(self) -> None:
        """Ask again and again, until ``stop``."""
        while not self._end.wait(POLL_S):
            self._look()
        self._look()

    def _look(self) -> None:
        counts, worst = self._fake.tally()
        if counts and not self.began:
            self.began = time.perf_counter()
        self.counts += counts
        self.worst = max(self.worst, worst.per_second)

    def stop(self) -> None:
        """Ask once more, and end."""
        self._end.set()
        self.join()


def run_job(fake: RemoteFake, count: int, workspaces: int, workers: int, folder: str) -> list[Cell]:
    """Run one job, from ids in memory to files; return its row."""
    import pyarrow as pa  # noqa: PLC0415 - with Ray
    import ray  # noqa: PLC0415 - of a group

    from instantly_async.ray import FetchLeads  # noqa: PLC0415 - of an extra

    columns = {"id": list(lead_ids(count))}
    columns["workspace"] = [f"workspace-{number % workspaces}" for number in range(count)]
    ids = ray.data.from_arrow(pa.table(columns)).repartition(BLOCKS).materialize()
    leads = ids.map_batches(
        FetchLeads,
        batch_format="pyarrow",
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=0.5,
        fn_constructor_kwargs={
            "strategy": "list",
            "base_url": fake.url,
            "workspace_column": "workspace",
        },
    )
    watch = Watch(fake)
    watch.start()
    asked = time.perf_counter()
    leads.write_parquet(folder)
    ended = time.perf_counter()
    watch.stop()
    found = ray.data.read_parquet(folder, columns=["outcome"]).count()
    assert found == count, found
    rate = count / (ended - watch.began)
    limit = workspaces * RateLimit().rate * 100
    return [
        f"{workers} workers",
        rate,
        rate / limit * 100,
        watch.began - asked,
        watch.counts[429],
    ]


def tables(*, count: int = 200_000, workspaces: int = 4, workers: int = 2) -> list[Table]:
    """Measure one job; takes a minute."""
    columns = [
        Column("workers"),
        Column("leads/s"),
        Column("share of the limits, %"),
        Column("start, s", 1),
        Column("429s"),
    ]
    if find_spec("ray") is None:
        return [Table("Ray Data", columns, [], absent(["ray"]))]
    os.environ.update(QUIET)
    import ray  # noqa: PLC0415 - of a group

    with fake_process() as fake, tempfile.TemporaryDirectory(prefix="ray") as folder:
        os.environ["INSTANTLY_API_KEY"] = fake.api_key
        ray.init(include_dashboard=False, _temp_dir=folder, configure_logging=False)
        try:
            row = run_job(fake, count, workspaces, workers, str(Path(folder, "leads")))
        finally:
            ray.shutdown()
    notes = [
        f"From the first request until the files are written; {workspaces} workspaces.",
        "The server runs on the same cores.",
    ]
    return [Table(f"{count:,} ids by Ray Data, by list", columns, [row], notes)]
