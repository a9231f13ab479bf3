"""What a competitor is given, and what it does with it."""

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from instantly_async.testing import make_lead

COMPARED = ("id", "email", "campaign", "status", "first_name", "company_name")
"""The fields that must be as the server has sent them, beside all that is in ``payload``."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one competitor, in a process of its own.

    Args:
        competitor: a name of ``COMPETITORS``.
        loop: ``asyncio`` or ``uvloop``.
        url, key: of the server.
        count, seed: fetch the leads of ``lead_ids(count, seed)``.
        in_flight: how many requests a competitor may have in flight, if it can be told.
        limited: whether ours keeps the documented limits. Others have settings of their own.
        time_limit_s: stop then, with what was delivered.
        warm_up: fetch that many leads before, and compare them field by field.
        workspaces: take turns between so many sub-workspaces; 0: the key's own.
        server_pid: the server, to measure how busy it was; ``None``: not measured.
        keep_waits: note when each lead arrived.
    """

    competitor: str
    loop: str = "asyncio"
    url: str
    key: str
    count: int
    seed: int = 0
    in_flight: int = 64
    limited: bool = False
    time_limit_s: float = 60.0
    warm_up: int = 0
    workspaces: int = 0
    server_pid: int | None = None
    keep_waits: bool = False


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a task.

    Args:
        delivered: leads.
        errors: how many ids ended with which error.
        finished: whether all ids were done in time.
        seconds: from the first id to the last lead.
        cpu_s: user and system time of the process meanwhile.
        server_s: the same of the server, if it was measured.
        peak_mib: the most memory that the process had, imports included.
        waits: the seconds until each lead, if they were kept.
    """

    delivered: int
    errors: dict[str, int]
    finished: bool
    seconds: float
    cpu_s: float
    server_s: float
    peak_mib: float
    waits: list[float] = []

    @property
    def lost(self) -> int:
        """How many ids ended with an error."""
        return sum(self.errors.values())


class Delivery:
    """Takes what a competitor has for each id: a lead in whatever shape, or an error.

    ``times``: when each lead came, if they are kept.
    """

    def __init__(self, *, keep_times: bool = False) -> None:
        self.delivered = 0
        self.errors: Counter[str] = Counter()
        self.last_at = time.perf_counter()
        self.times: list[float] = []
        self._keep_times = keep_times

    def __call__(self, lead_id: str, lead: object) -> None:  # noqa: ARG002 - to compare with
        """Count a lead or an error."""
        if isinstance(lead, Exception):
            self.errors[type(lead).__name__] += 1
        else:
            self.delivered += 1
            self.last_at = time.perf_counter()
            if self._keep_times:
                self.times.append(self.last_at)


class ComparedDelivery(Delivery):
    """Compares each lead with what the server has sent."""

    def __call__(self, lead_id: str, lead: object) -> None:
        """Raise AssertionError if it is not that lead."""
        super().__call__(lead_id, lead)
        given, expected = as_mapping(lead), make_lead(lead_id)
        for field in COMPARED:
            assert given.get(field) == expected.get(field), (lead_id, field)
        for key, value in (expected["payload"] or {}).items():
            assert given["payload"].get(key) == value, (lead_id, key)


def as_mapping(lead: Any) -> Mapping[str, Any]:
    """Return a lead as a mapping, from whatever a competitor makes of it."""
    if isinstance(lead, bytes):
        lead = json.loads(lead)
    elif hasattr(lead, "model_dump"):
        lead = lead.model_dump(mode="json", by_alias=True)
    elif hasattr(lead, "to_dict"):
        lead = lead.to_dict()
    assert isinstance(lead, Mapping), lead
    return lead


Deliver = Callable[[str, object], None]
Fetch = Callable[[Iterable[str], Deliver], Awaitable[None]]
Competitor = Callable[[Task], AbstractAsyncContextManager[Fetch]]
"""Opens a client, and yields a function that fetches ids and delivers each as it arrives."""

Opened = AsyncIterator[Fetch]


def shares(ids: Iterable[str], workspaces: int) -> dict[str, list[str]]:
    """Return which sub-workspace gets which ids."""
    all_ids = list(ids)
    return {f"workspace-{n}": all_ids[n::workspaces] for n in range(workspaces)}
