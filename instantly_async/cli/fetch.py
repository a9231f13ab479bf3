"""A run: ids in, lines out, troubles named, and an exit code. Signals end it in good order."""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from instantly_async.client import InstantlyClient
from instantly_async.errors import InstantlyError, TransientError
from instantly_async.models import Lead
from instantly_async.outcomes import Failed, Found, NotFound, Outcome
from instantly_async.settings import Strategy
from instantly_async.streams import LeadStream

from . import exits
from .exits import CommandError, OutputClosedError
from .input.formats import LineId
from .input.sources import IdSource
from .output.lines import Output, line_of
from .show.chart import charts
from .show.progress import Display
from .show.report import Report, Tally, summary
from .terminal import Terminal

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOOKS_LIKE_AN_ID = re.compile(r"[0-9a-fA-F{}-]{1,64}")


DRAIN_S = 5.0
"""How long a stopped run may take to finish what is in flight, in seconds (*choice*)."""


@dataclass(slots=True, kw_only=True)
class Run:
    """What ``fetch`` needs.

    ``line_of`` makes a line of the server's JSON. ``quiet``:
    neither progress nor summary. ``again`` says how to go on with what is unfinished, ``None``:
    that cannot be.
    ``report`` is there when ``fetch`` has ended, however it did.
    """

    client: InstantlyClient[Lead]
    source: IdSource
    output: Output
    terminal: Terminal
    line_of: Callable[[bytes], bytes] = line_of
    strategy: Strategy = "get"
    quiet: bool = False
    again: str | None = None
    report: Report | None = field(default=None, init=False)
    stopped: bool = field(default=False, init=False)
    transient: int = field(default=0, init=False)

    async def fetch(self) -> int:
        """Fetch every id of the source; return the exit code of a run that came to its end.

        Raises:
            CommandError: the input or the output failed.
            OutputClosedError: nobody reads the output any more.
            RunError: nothing more can be fetched.
        """
        if self.output.remark is not None and not self.quiet:
            self.terminal.say(self.output.remark)
        tally, started_at = Tally(time.monotonic), datetime.now(UTC)
        stream = self.client.stream_leads(self.source.ids(), strategy=self.strategy, keep_raw=True)
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
        """Ask for no more leads, and finish those in flight."""
        self.stopped = True
        self.source.stop()
        if not self.quiet:
            self.terminal.say(
                f"Stopping: leads in flight get {DRAIN_S:.0f} s; a second signal ends at once."
            )

    def leave(self) -> None:
        """Leave the output and the terminal in order, because the process is about to end."""
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
            await self.output.write_lead(outcome, self.line_of(outcome.raw or b""))  # keep_raw
            return
        if isinstance(outcome, Failed) and isinstance(outcome.error, TransientError):
            self.transient += 1
        if not self.source.has_named(outcome.lead_id):
            self.terminal.say(trouble(outcome))
        await self.output.write_failure(outcome)

    def _sum_up(self, report: Report, *, ended: bool) -> None:
        if self.quiet:
            return
        self.terminal.say(summary(report))
        if self.terminal.is_terminal and report.tally.found:
            width, block = self.terminal.console.width, self.terminal.block
            self.terminal.say(charts(report.tally, width, block))
        if self.again is not None and self.output.is_trusted and not (ended and not self.transient):
            self.terminal.say(self.again)


def trouble(outcome: NotFound | Failed) -> str:
    """Name an id that did not make it into the output, and say why."""
    lead_id = outcome.lead_id
    if isinstance(outcome, NotFound):
        return f"not found: {lead_id}"
    if not outcome.attempts and isinstance(lead_id, LineId):
        return invalid(lead_id)
    reason = outcome.error.args[0]
    return f"failed: {lead_id}: {reason} (attempts: {outcome.attempts})"


def invalid(lead_id: LineId) -> str:
    """Name the line of an id that is none; its text only if it looks like one.

    It could be an email or a key.
    """
    shown = f"{lead_id} " if _LOOKS_LIKE_AN_ID.fullmatch(lead_id) else ""
    return f"invalid: {shown}in line {lead_id.line} (a lead id is a UUID)"


def run_job(job: Run) -> int:
    """Run ``fetch`` of a job; a signal lets it come to its end."""
    return run(job.fetch(), job.terminal, stop=job.stop, leave=job.leave)


def run(
    main: Coroutine[Any, Any, int],
    terminal: Terminal,
    *,
    stop: Callable[[], None] | None = None,
    leave: Callable[[], None] | None = None,
) -> int:
    """Run a command's coroutine; return its exit code, or that of what ended it.

    The first SIGINT or SIGTERM calls ``stop``, so that it can come to its end, and cancels it
    after ``DRAIN_S``; without ``stop`` at once. The second one calls ``leave`` and ends the
    process. Either way the code is 128 + number.
    """
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        return runner.run(_until_signal(guarded(main, terminal), stop, leave))


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - the extra "speed" may be missing
    except ImportError:
        return asyncio.new_event_loop()
    return new_event_loop()


async def guarded(main: Coroutine[Any, Any, int], terminal: Terminal) -> int:
    """Turn foreseeable failures into a sentence and an exit code."""
    try:
        return await main
    except OutputClosedError:
        return exits.ALL_FOUND
    except (CommandError, InstantlyError) as error:
        terminal.say(str(error))
        return exits.code_of(error)


async def _until_signal(
    main: Coroutine[Any, Any, int],
    stop: Callable[[], None] | None,
    leave: Callable[[], None] | None,
) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(main)
    leave_now = _leaving(leave)
    caught: list[int] = []

    def on_first(number: int) -> None:
        if caught:  # both came within one turn of the loop
            leave_now(number, None)
        caught.append(number)
        remove_handlers()
        for each in _SIGNALS:
            signal.signal(each, leave_now)
        if stop is None:
            task.cancel()
        else:
            stop()
            loop.call_later(DRAIN_S, task.cancel)

    def remove_handlers() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    previous = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        loop.add_signal_handler(number, on_first, number)
    code = exits.GAVE_UP
    try:
        with contextlib.suppress(asyncio.CancelledError):
            code = await task
    finally:
        remove_handlers()
        for each, handler in previous.items():
            signal.signal(each, handler)
    return exits.SIGNAL_BASE + caught[0] if caught else code


def _leaving(leave: Callable[[], None] | None) -> Callable[[int, object], None]:
    """Give the handler of a second signal: it runs between two bytecodes of the main thread.

    So whatever the loop is busy with, and however long that takes, does not hold it up.
    """

    def leave_now(number: int, _: object) -> None:
        try:
            if leave is not None:
                leave()
        finally:
            os._exit(exits.SIGNAL_BASE + number)

    return leave_now
