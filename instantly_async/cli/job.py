"""``FetchJob``: from what is fetched to lines; failures are reported, the exit code sums up."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from instantly_async.client import InstantlyClient
from instantly_async.errors import ClosedError
from instantly_async.models import Lead
from instantly_async.outcomes import Found, Outcome
from instantly_async.settings import RateLimit
from instantly_async.streams import Stream

from . import exits, process
from .exits import CommandError
from .input import FileOfIds, Survey
from .output import Output
from .records import LineId, to_line, with_more
from .show import (
    INVALID,
    MOST_NAMED,
    Display,
    Files,
    Naming,
    Progress,
    Report,
    Tally,
    charts,
    exit_reason,
    exit_reason_and_place,
    invalid,
    kind_of,
    next_step,
    plan,
    summary,
    write_stats,
)
from .target import Target
from .telemetry import exporting
from .terminal import Terminal
from .work import Work

NOWHERE = Target(None)

LARGE_BYTES = 64 * 1024
"""JSON that is longer is made a line in a thread: selecting fields of 1 MiB can take 0.5 s."""


@dataclass(slots=True, kw_only=True)
class FetchJob:
    """One run of ``fetch``, ``export``, ``get`` or ``demo``; ``work`` is what it fetches.

    ``target`` says where ``output`` is. ``make_line`` makes a line from the server's JSON.
    ``naming`` says which ids without a lead are named. ``quiet`` hides progress and summary.
    ``limit`` is that of the work. ``resume_hint`` is the sentence that says how to resume, and
    ``retry_hint`` how to fetch failed ids again; ``None``: the run cannot be resumed. ``hint`` is
    a sentence for the case that nothing answers; ``None``: there is no such hint.
    ``report`` is set once ``fetch`` has ended, for any reason; ``step`` is the sentence with the
    command to go on with, which ``end`` says last.
    """

    client: InstantlyClient[Lead]
    work: Work
    output: Output
    terminal: Terminal
    target: Target = NOWHERE
    naming: Naming = field(default_factory=Naming)
    make_line: Callable[[bytes], bytes] = to_line
    quiet: bool = False
    progress: Progress = "auto"
    limit: int | None = None
    resume_hint: str | None = None
    retry_hint: str | None = None
    hint: str | None = None
    report: Report | None = field(default=None, init=False)
    step: str | None = field(default=None, init=False)
    stopped: bool = field(default=False, init=False)

    async def fetch(self) -> int:
        """Fetch everything; return the exit code of a finished run.

        Raises:
            CommandError: the input or the output failed.
            OutputClosedError: the reader of the output has gone.
            RunError: nothing more can be fetched.
        """
        if self.output.remark is not None and not self.quiet:
            self.terminal.show(self.output.remark)
        tally, started_at = Tally(time.monotonic), datetime.now(UTC)
        supply, stream = self.work.supply, self.work.open(self.client)
        display = Display(self.terminal, lambda: stream.stats, supply, words=self.work.words)
        showing = display.showing(self.progress, quiet=self.quiet)
        code = None
        try:
            async with self.output.recording(), self.client, stream, showing:
                await self._take_all(stream, tally)
            if supply.error is None and not self.stopped:
                all_found = not (tally.has_failures or self.output.failures)
                code = exits.ALL_FOUND if all_found else exits.INCOMPLETE
        finally:
            self.output.finished = code is not None
            self.report = self._report(stream, tally, started_at, ended=code is not None)
            self.output.is_complete = self.output.finished and self.report.left == 0
            self._sum_up(self.report, code)
        if supply.error is not None:
            raise supply.error
        return exits.INCOMPLETE if code is None else code

    async def _take_all(self, stream: Stream[Any], tally: Tally) -> None:
        try:
            async for item in stream:
                await self._take(item, tally)
                if self.work.has_enough:
                    return
        except ClosedError:
            if not self.stopped:
                raise
        if not self.stopped:
            self.work.on_end()

    async def _take(self, item: Any, tally: Tally) -> None:
        outcomes = self.work.read(item)
        for number, outcome in enumerate(outcomes, 1):
            is_last = number == len(outcomes)
            await self._record(outcome, has_more=not is_last)
            tally.add(outcome, ends_item=is_last)
        tally.items += not outcomes
        self.output.on_settled(self.work.settled(item))

    def stop(self) -> None:
        """Request no more leads, and finish the requests in flight."""
        self.stopped = True
        self.work.stop()
        if not self.quiet:
            self.terminal.say(self.work.words.stopping.format(drain_s=process.DRAIN_S))

    def leave(self) -> None:
        """Clean up output and terminal, because the process is about to end."""
        self.output.make_whole()
        self.terminal.restore()

    async def _record(self, outcome: Outcome[Lead], *, has_more: bool) -> None:
        if isinstance(outcome, Found):
            line = await self._line_of(outcome.raw or b"")
            await self.output.write_lead(outcome, with_more(line) if has_more else line)
            return
        kind = kind_of(outcome)
        if not self.work.supply.has_reported(outcome.lead_id) and self.naming.takes(kind):
            self.terminal.say(self.work.name(outcome))
        await self.output.write_failure(outcome)
        self.naming.on_recorded(kind)

    async def _line_of(self, raw: bytes) -> bytes:
        if len(raw) <= LARGE_BYTES:
            return self.make_line(raw)
        return await asyncio.to_thread(self.make_line, raw)

    def _report(
        self, stream: Stream[Any], tally: Tally, started_at: datetime, *, ended: bool
    ) -> Report:
        supply = self.work.supply
        return Report(
            stats=stream.stats,
            tally=tally,
            duplicates=supply.duplicates,
            already_done=supply.done,
            started_at=started_at,
            ended_at=datetime.now(UTC),
            left=None if supply.whole is None else max(0, supply.whole - tally.items),
            limit=self.limit if ended else None,
            found_before=self.output.leads_before,
            failed_before=self.output.errors_before,
            matched_before=self.work.matched_before,
            words=self.work.words,
        )

    def _sum_up(self, report: Report, code: int | None) -> None:
        """Say how the run ended; ``code`` is that of a finished run, otherwise ``None``."""
        files = files_of(self.target)
        if self.work.supply.error is not None and not report.stats.requested:
            return  # the error's sentence says all
        if self.quiet:
            if code == exits.INCOMPLETE and self.naming.is_silent:
                self.terminal.say(exit_reason_and_place(report, files))
            return
        for line in self.naming.rest(files.errors):
            self.terminal.say(line)
        if self.work.supply.remark is not None:
            self.terminal.say(self.work.supply.remark)
        if self.terminal.is_terminal and report.tally.found:
            width, block = self.terminal.console.width, self.terminal.block
            self.terminal.show(charts(report.tally, width, block))
        self.terminal.show(summary(report, files))
        if code == exits.INCOMPLETE:
            self.terminal.say(exit_reason(report))
        if self.output.is_trusted:
            resume, retry = self.resume_hint, self.retry_hint
            self.step = next_step(report, ended=code is not None, resume=resume, retry=retry)


def files_of(target: Target) -> Files:
    """Return the names that the summary shows; none for stdout."""
    if target.journal is None:
        return Files()
    return Files(output=target.output, journal=target.journal, errors=target.errors)


def naming_for(target: Target, terminal: Terminal, *, quiet: bool) -> Naming:
    """Return how many ids are named: all, if no file and no person would know the others."""
    if target.journal is None and not terminal.is_terminal:
        return Naming()
    return Naming(0 if quiet else MOST_NAMED)


def run_fetch(job: FetchJob) -> int:
    """Run a job; after the first signal it finishes the requests in flight."""
    with exporting(job.client):
        code = process.run(job.fetch(), job.terminal, stop=job.stop, leave=job.leave)
    report = job.report
    if job.hint is None or report is None or report.stats.bytes_received:
        return code
    if code == exits.GAVE_UP or report.tally.temporary:
        job.terminal.say(job.hint)
    return code


def end(job: FetchJob, code: int, stats_json: str | None) -> int:
    """Create derived files and statistics after a run, and say how to go on.

    Returns the final exit code.
    """
    try:
        if code in {exits.ALL_FOUND, exits.INCOMPLETE}:
            job.target.derive(job.terminal, quiet=job.quiet)
    except CommandError as error:
        job.terminal.say(str(error))
        code, job.step = error.code, job.resume_hint
    except (KeyboardInterrupt, SystemExit) as stop:  # the latter by another signal
        code, job.step = process.code_of_signal(stop), job.resume_hint
    code = _write_stats(job, code, stats_json)
    if job.step is not None and not job.quiet:
        job.terminal.say(job.step)
    return code


def _write_stats(job: FetchJob, code: int, path: str | None) -> int:
    if path is None or job.report is None:
        return code
    try:
        write_stats(path, job.report, code)
    except CommandError as error:
        job.terminal.say(str(error))
        return code or exits.GAVE_UP
    return code


def plan_only(source: FileOfIds, terminal: Terminal, naming: Naming, limit: RateLimit) -> str:
    """Read the whole input and report on it; return the plan of a run.

    Raises:
        InputError: as ``survey``.
    """
    found = survey(source, terminal, naming)
    for line in naming.rest():
        terminal.say(line)
    if source.remark is not None:
        terminal.say(source.remark)
    return plan(found, limit)


def survey(source: FileOfIds, terminal: Terminal, naming: Naming) -> Survey:
    """Read the whole input beforehand, and report invalid ids.

    Raises:
        InputError: something else in the input is wrong.
    """

    def report(lead_id: LineId) -> None:
        if naming.takes(INVALID):
            terminal.say(invalid(lead_id))

    return source.survey(report)
