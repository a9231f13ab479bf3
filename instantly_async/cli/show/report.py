"""``Report``: what a run did, as a summary for people and as JSON for programs."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from instantly_async import __version__
from instantly_async.cli.system import replacement
from instantly_async.models import Lead
from instantly_async.outcomes import Failed, Found, Outcome
from instantly_async.stats import Stats

NOTHING = "-"
"""Shown instead of an unknown number."""


class Tally:
    """Counts what was written or reported, and measures from the first answer to the last.

    It differs from ``Stats`` when a run is stopped: leads that had arrived but were not written
    are not found, as far as the user can see. ``clock`` returns monotonic seconds. ``statuses``
    and ``interests`` count the leads by ``status`` and ``lt_interest_status``.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first_at = 0.0
        self._last_at = 0.0
        self._answers = 0
        self.found = 0
        self.not_found = 0
        self.failed: Counter[str] = Counter()
        self.statuses: Counter[int | None] = Counter()
        self.interests: Counter[int | None] = Counter()

    def add(self, outcome: Outcome[Lead]) -> None:
        """Count an outcome. It counts for the rate only if a request was sent."""
        if isinstance(outcome, Found):
            self.found += 1
            self.statuses[outcome.lead.status] += 1
            self.interests[outcome.lead.lt_interest_status] += 1
        elif isinstance(outcome, Failed):
            self.failed[type(outcome.error).__name__] += 1
        else:
            self.not_found += 1
        if not outcome.attempts:
            return
        self._last_at = self._clock()
        if not self._answers:
            self._first_at = self._last_at
        self._answers += 1

    @property
    def total(self) -> int:
        return self.found + self.not_found + self.failed.total()

    @property
    def rate(self) -> float | None:
        """Answers per second after the first one; ``None``: fewer than two."""
        elapsed_s = self._last_at - self._first_at
        return (self._answers - 1) / elapsed_s if elapsed_s > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A run that has ended. ``already_done``: ids that earlier runs have done."""

    stats: Stats
    tally: Tally
    duplicates: int
    already_done: int
    started_at: datetime
    ended_at: datetime

    @property
    def unfinished(self) -> int:
        """Ids that were taken from the input and have no outcome."""
        return self.stats.requested - self.tally.total


class RunStats(msgspec.Struct, kw_only=True):
    """What ``--stats-json`` writes. Keys are never removed; new ones may be added.

    ``failed`` counts by the error's class; ``status`` and ``lt_interest_status`` count leads by
    the number, ``none`` for leads without. ``retries`` counts repeated attempts, ``throttled`` the
    429s. Times are UTC; ``null`` means unknown, such as the latency of a run without an answer.
    ``leads_per_s`` is measured from the first answer to the last.
    """

    version: str
    started_at: datetime
    ended_at: datetime
    exit_code: int
    found: int
    not_found: int
    failed: Mapping[str, int]
    duplicates: int
    already_done: int
    unfinished: int
    requests: int
    retries: int
    throttled: int
    bytes_received: int
    latency_p50_s: float | None
    latency_p95_s: float | None
    latency_p99_s: float | None
    elapsed_s: float
    leads_per_s: float | None
    status: Mapping[str, int]
    lt_interest_status: Mapping[str, int]


def run_stats(report: Report, exit_code: int) -> RunStats:
    """Return what ``--stats-json`` writes."""
    stats, tally = report.stats, report.tally
    return RunStats(
        version=__version__,
        started_at=report.started_at,
        ended_at=report.ended_at,
        exit_code=exit_code,
        found=tally.found,
        not_found=tally.not_found,
        failed=dict(tally.failed),
        duplicates=report.duplicates,
        already_done=report.already_done,
        unfinished=report.unfinished,
        requests=stats.requests,
        retries=stats.retries,
        throttled=stats.throttled,
        bytes_received=stats.bytes_received,
        latency_p50_s=stats.latency_p50_s,
        latency_p95_s=stats.latency_p95_s,
        latency_p99_s=stats.latency_p99_s,
        elapsed_s=stats.elapsed_s,
        leads_per_s=tally.rate,
        status=_by_number(tally.statuses),
        lt_interest_status=_by_number(tally.interests),
    )


def _by_number(counts: Counter[int | None]) -> dict[str, int]:
    return {"none" if value is None else str(int(value)): n for value, n in counts.most_common()}


def write_stats(path: str, report: Report, exit_code: int) -> None:
    """Write one JSON object; it replaces that of an earlier run.

    Raises:
        CommandError: it cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(run_stats(report, exit_code)))
    with replacement(path) as file:
        file.write(text + b"\n")


def summary(report: Report) -> str:
    """Return what a run did, one fact per line."""
    stats, tally = report.stats, report.tally
    facts: dict[str, object] = {
        "found": tally.found,
        "not found": tally.not_found,
        "failed": _failures(tally.failed),
        "duplicates": report.duplicates,
    }
    if report.already_done:
        facts["already done"] = report.already_done
    facts |= {
        "requests": f"{stats.requests} ({stats.retries} retries, {stats.throttled} × 429)",
        "received": f"{stats.bytes_received / 1e6:.1f} MB",
        "latency": _latency(stats),
        "time": f"{stats.elapsed_s:.1f} s",
        "rate": NOTHING
        if tally.rate is None
        else f"{tally.rate:.1f} leads/s, first to last answer",
    }
    if stats.fallbacks:
        facts["one by one"] = f"{stats.fallbacks}, not settled by pages"
    if report.unfinished:
        facts["unfinished"] = report.unfinished
    return "\n".join(f"{name:<12} {value}" for name, value in facts.items())


def _failures(failed: Counter[str]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(failed.items()))
    return f"{failed.total()} ({kinds})" if failed else "0"


def _latency(stats: Stats) -> str:
    quantiles: dict[str, Any] = {
        "p50": stats.latency_p50_s,
        "p95": stats.latency_p95_s,
        "p99": stats.latency_p99_s,
    }
    shown = ", ".join(
        f"{name} {seconds * 1000:.1f} ms"
        for name, seconds in quantiles.items()
        if seconds is not None
    )
    return shown or NOTHING
