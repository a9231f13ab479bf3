"""Runs competitors, each in a process of its own that ends after one task."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import islice
from typing import Any, TypeVar

import msgspec

from benchmarks.competitors import COMPETITORS, Run, Task, is_installed
from benchmarks.servers import RemoteFake

T = TypeVar("T")

START_S = 30.0
"""Enough for the start and the end of a process, and its warm-up."""

CHECKED = 60
"""Leads of each competitor that are compared."""

AT_ONCE = 2
"""Competitors that run at a time while nothing is measured."""


def run(task: Task) -> Run:
    """Run one task in a new process; raise CalledProcessError if a lead was not as it should be."""
    if find_spec("psutil") is None:
        sys.exit("Competitors need their group: uv run --group bench python -m benchmarks …")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker"],
        input=msgspec.json.encode(task),
        stdout=subprocess.PIPE,
        timeout=task.time_limit_s + START_S,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=Run)


def check(server: RemoteFake, names: Iterable[str], **settings: Any) -> None:
    """Compare leads of each competitor field by field, and measure nothing.

    For servers with limits or faults, which come after this: a warm-up would change the figures.
    """
    tasks = [
        Task(
            competitor=name,
            url=server.url,
            key=server.api_key,
            count=0,
            warm_up=CHECKED,
            **settings,
        )
        for name in names
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(run, tasks))
    server.change()


def label(name: str, loop: str = "asyncio") -> str:
    """Return what a competitor is called in tables."""
    text = COMPETITORS[name].label
    return text if loop == "asyncio" else f"{text}, {loop}"


def installed(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return those competitors that can run here, and a note for each that cannot."""
    here = {True: list[str](), False: list[str]()}
    for name in names:
        here[is_installed(name)].append(name)
    return here[True], absent(COMPETITORS[name].package for name in here[False])


def absent(packages: Iterable[str]) -> list[str]:
    """Return a note for each of these packages, which are not installed."""
    return [f"{name} is not installed, so it does not take part." for name in sorted(set(packages))]


def turns(entries: Sequence[T], rounds: int) -> Iterator[T]:
    """Yield each entry once a round, and begin each round with another one."""
    for number in range(rounds):
        first = number % len(entries)
        yield from islice([*entries, *entries], first, first + len(entries))
