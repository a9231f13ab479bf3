"""``Report``: what a run did, with earlier runs; and the same as JSON for programs."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from instantly_async import __version__
from instantly_async.cli.output import is_temporary
from instantly_async.cli.system import replacement
from instantly_async.models import Lead
from instantly_async.outcomes import Failed, Found, Outcome
from instantly_async.stats import Stats

from .words import EMAILS, IDS, Words


class Tally:
    """Counts what was written or reported, and measures from the first answer to the last.

    It differs from ``Stats`` when a run is stopped: leads that had arrived but were not written
    are not found, as far as the user can see. ``clock`` returns monotonic seconds. ``temporary``
    counts the failed ids that a later run has to try again; ``statuses`` and ``interests`` count
    the leads by ``status`` and ``lt_interest_status``. ``items`` counts what has all its outcomes:
    one per id, several per email, and none for a lead of a listing that was there before.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first_at = 0.0
        self._last_at = 0.0
        self._answers = 0
        self.items = 0
        self.found = 0
        self.not_found = 0
        self.failed: Counter[str] = Counter()
        self.temporary = 0
        self.statuses: Counter[int | None] = Counter()
        self.interests: Counter[int | None] = Counter()

    def add(self, outcome: Outcome[Lead], *, ends_item: bool = True) -> None:
        """Count an outcome. It counts for the rate only if a request was sent."""
        self.items += ends_item
        if isinstance(outcome, Found):
            self.found += 1
            self.statuses[outcome.lead.status] += 1
            self.interests[outcome.lead.lt_interest_status] += 1
        elif isinstance(outcome, Failed):
            self.failed[type(outcome.error).__name__] += 1
            self.temporary += is_temporary(outcome)
        else:
            self.not_found += 1
        if not outcome.attempts:
            return
        self._last_at = self._clock()
        if not self._answers:
            self._first_at = self._last_at
        self._answers += 1

    @property
    def has_failures(self) -> bool:
        """Whether an id, an email or a lead of a listing has no lead."""
        return bool(self.not_found or self.failed)

    @property
    def matched(self) -> int:
        """Items that have a lead."""
        return self.items - self.not_found - self.failed.total()

    @property
    def rate(self) -> float | None:
        """Answers per second after the first one; ``None``: fewer than two."""
        elapsed_s = self._last_at - self._first_at
        return (self._answers - 1) / elapsed_s if elapsed_s > 0 else None


NOT_FOUND = "NotFoundError"
"""The class of the error that the errors file names for an id that was not found."""

INVALID = ("InvalidLeadIdError", "InvalidEmailError")
"""The classes of the errors of invalid entries; ``--retry-errors`` leaves them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A run that has ended. ``already_done``: ids of the input that earlier runs have done.

    ``left``: ids that have no outcome yet and have to be fetched; ``None``: unknown, because the
    input was not read to its end. ``limit``: ``--limit``, if there was one. ``found_before`` and
    ``failed_before`` (by the error's class) are what earlier runs have recorded; ``matched_before``
    counts the emails that had leads.
    """

    stats: Stats
    tally: Tally
    duplicates: int
    already_done: int
    started_at: datetime
    ended_at: datetime
    left: int | None = 0
    limit: int | None = None
    found_before: int = 0
    failed_before: Mapping[str, int] = field(default_factory=dict)
    matched_before: int = 0
    words: Words = IDS

    @property
    def is_resumed(self) -> bool:
        return bool(self.found_before or self.failed_before)

    @property
    def found(self) -> int:
        """Leads of this run and of earlier ones."""
        return self.found_before + self.tally.found

    @property
    def not_found(self) -> int:
        return self.failed_before.get(NOT_FOUND, 0) + self.tally.not_found

    @property
    def failed(self) -> Counter[str]:
        """Failed ids of this run and of earlier ones, by the error's class."""
        failed = Counter(self.failed_before) + self.tally.failed
        del failed[NOT_FOUND]
        return failed

    @property
    def without_lead(self) -> int:
        return self.not_found + self.failed.total()

    @property
    def total(self) -> int:
        """Ids, emails or leads of a listing, with and without a lead."""
        return (self.matched if self.words is EMAILS else self.found) + self.without_lead

    @property
    def matched(self) -> int:
        """Emails that have leads."""
        return self.matched_before + self.tally.matched

    @property
    def invalid(self) -> int:
        return sum(self.failed[kind] for kind in INVALID)

    @property
    def recorded(self) -> int:
        """Ids in the errors file, if there is one."""
        return self.without_lead - self.tally.temporary

    @property
    def unfinished(self) -> int:
        """Ids that were taken from the input and have no outcome."""
        return self.stats.requested - self.tally.items


class RunStats(msgspec.Struct, kw_only=True):
    """What ``--stats-json`` writes. Keys are never removed; new ones may be added.

    ``failed`` counts by the error's class; ``status`` and ``lt_interest_status`` count leads by
    the number, ``none`` for leads without. ``retries`` counts repeated attempts, ``throttled`` the
    429s. Times are UTC; ``null`` means unknown, such as the latency of a run without an answer.
    ``leads_per_s`` is measured from the first answer to the last. ``found_in_all`` and
    ``without_lead_in_all`` include earlier runs; ``left`` ids have to be fetched by later ones.
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
    found_in_all: int
    without_lead_in_all: int
    left: int | None


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
        found_in_all=report.found,
        without_lead_in_all=report.without_lead,
        left=report.left,
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
