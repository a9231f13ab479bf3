"""Fixtures of a real Ray on this machine: two worker processes, and the actors of the limits."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import ray
import ray.data

from instantly_async.ray import FetchLeads
from instantly_async.testing import DEFAULT_API_KEY

QUIET = pytest.mark.filterwarnings(r"ignore::Warning:ray\.")
"""Lets Ray warn of what it does itself."""

with socket.create_server(("127.0.0.1", 0)) as _probe:
    PORT: int = _probe.getsockname()[1]
"""Where workers look for the API if no job names another address."""

WORKERS = 2
BLOCKS = 4
"""Parts of the input. No task of Ray makes them: it would wait for a core that a worker has."""

ENVIRONMENT = {
    "INSTANTLY_API_KEY": DEFAULT_API_KEY,
    "INSTANTLY_BASE_URL": f"http://127.0.0.1:{PORT}",
    "RAY_AUTH_MODE": "disabled",  # it would write a token into the home folder
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""What Ray, and so each worker, is started with."""


@pytest.fixture(scope="session")
def logs() -> Iterator[Path]:
    """Start Ray, and return the folder with the logs of all its processes."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    # A short path, because it holds sockets.
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    ray.init(
        num_cpus=WORKERS,
        include_dashboard=False,
        object_store_memory=100 * 2**20,
        _temp_dir=folder,
        namespace="tests",
        configure_logging=False,
    )
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    yield Path(folder, "session_latest", "logs")
    ray.shutdown()
    shutil.rmtree(folder)
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


Job = Callable[..., pa.Table]
"""Fetches the leads of a table, by the arguments of ``FetchLeads``."""


@pytest.fixture
def job(logs: Path, tmp_path: Path) -> Job:
    """Return a function that runs a job of Ray Data with two worker processes, in batches of 50."""

    def run(ids: pa.Table, *, workers: int = WORKERS, **options: Any) -> pa.Table:
        size = -(-ids.num_rows // BLOCKS)
        blocks = [ids.slice(first, size) for first in range(0, ids.num_rows, size)]
        leads = ray.data.from_arrow(blocks).map_batches(
            FetchLeads,
            batch_format="pyarrow",
            batch_size=50,
            compute=ray.data.ActorPoolStrategy(size=workers),
            fn_constructor_kwargs=options,
        )
        return pa.concat_tables(ray.get(leads.to_arrow_refs()))

    return run
