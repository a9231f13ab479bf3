"""``fetch``: from ids to lines; every failure is reported, and the exit code says how it ended."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from instantly_async.client import InstantlyClient
from instantly_async.errors import TransientError
from instantly_async.models import Lead
from instantly_async.outcomes import Failed, Found, Outcome
from instantly_async.settings import RateLimit, Strategy
from instantly_async.streams import LeadStream

from . import exits, process
from .exits import CommandError
from .input import FileOfIds, IdSource, Survey
from .output import Output
from .records import to_line
from .show import Display, Report, Tally, charts, invalid, plan, summary, trouble, write_stats
from .target import Target
from .terminal import Terminal

LARGE_BYTES = 64 * 1024
"""JSON that is longer is made a line in a thread: selecting fields of 1 MiB can take 0.5 s."""


@dataclass(slots=True, kw_only=True)
class FetchJob:
    """One run of ``fetch``, ``get`` or ``demo``.

    ``make_line`` makes a line from the server's JSON. ``ordered``: lines are in the order of the
    ids, not of completion. ``quiet`` hides progress and summary.
    ``resume_hint`` is the sentence that says how to resume; ``None``: the run cannot be resumed.
    ``hint`` is a sentence for the case that nothing answers; ``None``: there is no such hint.
    ``report`` is set once ``fetch`` has ended, for any reason.
    """

    client: InstantlyClient[Lead]
    source: IdSource
    output: Output
    terminal: Terminal
    make_line: Callable[[bytes], bytes] = to_line
    strategy: Strategy = "get"
    ordered: bool = False
    quiet: bool = False
    resume_hint: str | None = None
    hint: str | None = None
    report: Report | None = field(default=None, init=False)
    stopped: bool = field(default=False, init=False)
    transient: int = field(default=0, init=False)

    async def fetch(self) -> int:
        """Fetch every id of the source; return the exit code of a finished run.

        Raises:
            CommandError: the input or the output failed.
            OutputClosedError: the reader of the output has gone.
            RunError: nothing more can be fetched.
        """
        if self.output.remark is not None and not self.quiet:
            self.terminal.show(self.output.remark)
        tally, started_at = Tally(time.monotonic), datetime.now(UTC)
        stream = self.client.stream_leads(
            self.source.ids(), strategy=self.strategy, ordered=self.ordered, keep_raw=True
        )
        ended = False
        try:
            async with self.output.recording(), self.client, stream, self._display(stream):
                async for outcome in stream:
                    await self._record(outcome)
                    tally.add(outcome)
            ended = self.source.error is None and not self.stopped
        finally:
            self.output.finished = ended
            self.report = Report(
                stats=stream.stats,
                tally=tally,
                duplicates=self.source.duplicates,
                already_done=self.source.done,
                started_at=started_at,
                ended_at=datetime.now(UTC),
            )
            self._sum_up(self.report, ended=ended)
        if self.source.error is not None:
            raise self.source.error
        all_found = stream.stats.found == stream.stats.requested and not self.output.failures
        return exits.ALL_FOUND if all_found else exits.INCOMPLETE

    def stop(self) -> None:
        """Request no more leads, and finish the requests in flight."""
        self.stopped = True
        self.source.stop()
        if not self.quiet:
            self.terminal.say(
                f"Stopping: requests in flight get {process.DRAIN_S:.0f} s; a second signal ends "
                "the run at once."
            )

    def leave(self) -> None:
        """Clean up output and terminal, because the process is about to end."""
        self.output.make_whole()
        self.terminal.restore()

    @contextlib.asynccontextmanager
    async def _display(self, stream: LeadStream[Lead]) -> AsyncIterator[None]:
        if self.quiet or not self.terminal.is_live:
            yield
            return
        display = Display(self.terminal, lambda: stream.stats, self.source)
        async with display.live():
            yield

    async def _record(self, outcome: Outcome[Lead]) -> None:
        if isinstance(outcome, Found):
            await self.output.write_lead(outcome, await self._line_of(outcome.raw or b""))
            return
        if isinstance(outcome, Failed) and isinstance(outcome.error, TransientError):
            self.transient += 1
        if not self.source.has_reported(outcome.lead_id):
            self.terminal.say(trouble(outcome))
        await self.output.write_failure(outcome)

    async def _line_of(self, raw: bytes) -> bytes:
        if len(raw) <= LARGE_BYTES:
            return self.make_line(raw)
        return await asyncio.to_thread(self.make_line, raw)

    def _sum_up(self, report: Report, *, ended: bool) -> None:
        if self.quiet:
            return
        if self.source.remark is not None:
            self.terminal.say(self.source.remark)
        self.terminal.show(summary(report))
        if self.terminal.is_terminal and report.tally.found:
            width, block = self.terminal.console.width, self.terminal.block
            self.terminal.show(charts(report.tally, width, block))
        is_unfinished = not ended or self.transient
        if self.resume_hint is not None and self.output.is_trusted and is_unfinished:
            self.terminal.say(self.resume_hint)


def run_fetch(job: FetchJob) -> int:
    """Run a job; after the first signal it finishes the requests in flight."""
    code = process.run(job.fetch(), job.terminal, stop=job.stop, leave=job.leave)
    has_failed = code == exits.GAVE_UP or bool(job.transient)
    if job.hint is not None and has_failed and job.report and not job.report.stats.bytes_received:
        job.terminal.say(job.hint)
    return code


def end(job: FetchJob, target: Target, code: int, stats_json: str | None) -> int:
    """Create derived files and statistics after a run; return the final exit code."""
    try:
        if code in {exits.ALL_FOUND, exits.INCOMPLETE}:
            target.derive(job.terminal, quiet=job.quiet)
    except CommandError as error:
        job.terminal.say(str(error))
        code = error.code
    except (KeyboardInterrupt, SystemExit) as stop:  # the latter by another signal
        code = process.code_of_signal(stop)
        if job.resume_hint is not None and not job.quiet:
            job.terminal.say(job.resume_hint)
    if stats_json is None or job.report is None:
        return code
    try:
        write_stats(stats_json, job.report, code)
    except CommandError as error:
        job.terminal.say(str(error))
        return code or exits.GAVE_UP
    return code


def plan_only(source: FileOfIds, terminal: Terminal, limit: RateLimit) -> str:
    """Read the whole input and report on it; return the plan of a run.

    Raises:
        InputError: as ``survey``.
    """
    found = survey(source, terminal)
    if source.remark is not None:
        terminal.say(source.remark)
    return plan(found, limit)


def survey(source: FileOfIds, terminal: Terminal) -> Survey:
    """Read the whole input beforehand, and report invalid ids.

    Raises:
        InputError: something else in the input is wrong.
    """
    return source.survey(lambda lead_id: terminal.say(invalid(lead_id)))
