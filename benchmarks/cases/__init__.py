"""The benchmarks. Each module has a function ``tables``, whose keywords have defaults."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from benchmarks.tables import Table

ON_THE_PAGE = (
    "cost",
    "limit",
    "scale",
    "decode",
    "faults",
    "keepalive",
    "loader",
    "job",
    "workspaces",
)
"""In the order of docs/benchmarks.md."""

OTHERS = (
    "cluster",
    "convert",
    "journal",
    "listing",
    "processes",
    "sharing",
    "soak",
    "start",
    "strategies",
    "telemetry",
)


class Case(NamedTuple):
    """A benchmark."""

    name: str

    @property
    def summary(self) -> str:
        """The first line of its module's docstring."""
        return (import_module(f"benchmarks.cases.{self.name}").__doc__ or "").splitlines()[0]

    @property
    def tables(self) -> Callable[..., list[Table]]:
        """What runs it, and returns its tables."""
        run: Callable[..., list[Table]] = import_module(f"benchmarks.cases.{self.name}").tables
        return run

    @property
    def has_rounds(self) -> bool:
        """Whether it repeats its measurements."""
        return "rounds" in inspect.signature(self.tables).parameters


CASES = {name: Case(name) for name in (*ON_THE_PAGE, *OTHERS)}
