"""A run: ids in, lines out, troubles named, and an exit code. Signals end it in good order."""

import asyncio
import contextlib
import re
import signal
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any

from instantly_async.client import InstantlyClient
from instantly_async.errors import InstantlyError
from instantly_async.models import Lead
from instantly_async.outcomes import Failed, Found, NotFound, Outcome
from instantly_async.stats import Stats
from instantly_async.stream import LeadStream, Strategy

from . import exits
from .exits import CommandError, OutputClosedError
from .inputs import LineId
from .journal import Journal, line_of
from .progress import Display, Tally, summary
from .sources import IdSource
from .terminal import Terminal

_LOOKS_LIKE_AN_ID = re.compile(r"[0-9a-fA-F{}-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What ``fetch`` needs.

    ``journal=None``: leads go nowhere. ``quiet``: neither progress nor summary.
    """

    client: InstantlyClient[Lead]
    source: IdSource
    journal: Journal | None
    terminal: Terminal
    strategy: Strategy = "get"
    quiet: bool = False

    async def fetch(self) -> int:
        """Fetch every id of the source; return the exit code of a run that came to its end.

        Raises:
            CommandError: the input or the output failed.
            OutputClosedError: nobody reads the output any more.
            RunError: nothing more can be fetched.
        """
        with self.journal or contextlib.nullcontext():
            stats = await self._stream()
            if self.source.error is not None:
                raise self.source.error
        return exits.ALL_FOUND if stats.found == stats.requested else exits.INCOMPLETE

    async def _stream(self) -> Stats:
        tally = Tally(time.monotonic)
        async with self.client:
            stream = self.client.stream_leads(
                self.source.ids(), strategy=self.strategy, keep_raw=True
            )
            try:
                async with stream, self._display(stream):
                    async for outcome in stream:
                        await self._record(outcome)
                        tally.add(outcome)
            finally:
                if not self.quiet:
                    text = summary(stream.stats, tally, self.source.duplicates)
                    self.terminal.say(text)
        return stream.stats

    @contextlib.asynccontextmanager
    async def _display(self, stream: LeadStream[Lead]) -> AsyncIterator[None]:
        if self.quiet or not self.terminal.is_live:
            yield
            return
        self.source.count()
        display = Display(self.terminal, lambda: stream.stats, lambda: self.source.total)
        async with display.live():
            yield

    async def _record(self, outcome: Outcome[Lead]) -> None:
        if not isinstance(outcome, Found):
            self.terminal.say(trouble(outcome))
        elif self.journal is not None:
            await self.journal.write(line_of(outcome.raw or b""))  # there: keep_raw


def trouble(outcome: NotFound | Failed) -> str:
    """Name an id that did not make it into the output, and say why."""
    lead_id = outcome.lead_id
    if isinstance(outcome, NotFound):
        return f"not found: {lead_id}"
    if not outcome.attempts and isinstance(lead_id, LineId):
        # What is no id could be an email or a key: only what looks like an id is shown.
        shown = f"{lead_id} " if _LOOKS_LIKE_AN_ID.fullmatch(lead_id) else ""
        return f"invalid: {shown}in line {lead_id.line} (a lead id is a UUID)"
    reason = outcome.error.args[0]
    return f"failed: {lead_id}: {reason} (attempts: {outcome.attempts})"


def run(main: Coroutine[Any, Any, int], terminal: Terminal) -> int:
    """Run a command's coroutine; return its exit code, or that of what ended it.

    The first SIGINT or SIGTERM cancels it (128 + number); the second one is not held up.
    """
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        return runner.run(_until_signal(guarded(main, terminal)))


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


async def _until_signal(main: Coroutine[Any, Any, int]) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(main)
    caught: list[int] = []

    def stop(number: int) -> None:
        caught.append(number)
        remove()
        task.cancel()

    def remove() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    code = exits.GAVE_UP
    try:
        with contextlib.suppress(asyncio.CancelledError):
            code = await task
    finally:
        remove()
    return exits.SIGNAL_BASE + caught[0] if caught else code
