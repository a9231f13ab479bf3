"""Progress: one line, fitted to the terminal's width; without a terminal, a line a minute."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from itertools import product
from math import ceil
from typing import Literal, Protocol

from rich.console import RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from instantly_async.cli.terminal import MAX_CHARS, Terminal
from instantly_async.stats import Stats

from .ending import NOTHING
from .words import IDS, Words

Progress = Literal["auto", "on", "off"]
"""``auto``: unless ``--quiet`` hides it; ``on``: always; ``off``: never."""

LINE_S = 60.0
"""Seconds between two lines where no line can be redrawn."""

REFRESH_S = 0.2
"""Seconds between two drawings of the progress line (*choice*)."""

BAR_COLUMNS = (8, 40)
"""Columns of the shortest bar that is useful, and of the longest (*choice*)."""

_WINDOW = 25  # drawings from which leads/s and ETA are computed: 5 s
_GAP = "  "


class Extent(Protocol):
    """How much there is to do: ``total`` in this run (``None``: unknown), ``done`` before it."""

    total: int | None

    @property
    def done(self) -> int: ...


class Display:
    """Shows a run while it lasts, also while it waits. ``now`` returns the time of day."""

    def __init__(
        self,
        terminal: Terminal,
        stats: Callable[[], Stats],
        source: Extent,
        now: Callable[[], str] = lambda: time.strftime("%H:%M:%S"),
        words: Words = IDS,
    ) -> None:
        self._terminal = terminal
        self._console = terminal.console
        self._stats = stats
        self._source = source
        self._now = now
        self._words = words
        self._samples: deque[tuple[float, int]] = deque(maxlen=_WINDOW)
        # Drawn in the event loop's thread, where the counters change.
        self._live = Live(console=terminal.console, auto_refresh=False, redirect_stdout=False)

    def showing(self, progress: Progress, *, quiet: bool) -> AbstractAsyncContextManager[None]:
        """Show the run until the end of the block, as ``--progress`` says."""
        if progress == "off" or (quiet and progress == "auto"):
            return contextlib.nullcontext()
        return self.live() if self._terminal.is_live else self.lines()

    @contextlib.asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """Draw one line a few times a second."""
        with self._live:
            drawing = asyncio.create_task(self._draw_repeatedly())
            try:
                yield
            finally:
                drawing.cancel()
                self._draw()

    @contextlib.asynccontextmanager
    async def lines(self) -> AsyncIterator[None]:
        """Print a plain line every minute: for logs, and for terminals that cannot redraw one."""
        self._samples = deque(maxlen=2)
        printing = asyncio.create_task(self._print_repeatedly())
        try:
            yield
        finally:
            printing.cancel()

    async def _draw_repeatedly(self) -> None:
        while True:
            self._draw()
            await asyncio.sleep(REFRESH_S)

    async def _print_repeatedly(self) -> None:
        self._sample()
        while True:
            await asyncio.sleep(LINE_S)
            stats, done, total = self._sample()
            line = progress_line(stats, done, total, self._rate(), MAX_CHARS, self._words)
            self._terminal.say(f"{self._now()}{_GAP}{line}")

    def _draw(self) -> None:
        stats, done, total = self._sample()
        width = self._console.width - 1  # some terminals wrap in the last column
        line = progress_line(stats, done, total, self._rate(), width, self._words)
        shown = Text(line) if self._words.is_listing else _with_bar(line, done, total, width)
        self._live.update(shown, refresh=True)

    def _sample(self) -> tuple[Stats, int, int | None]:
        """Return the counters, and how many ids are done of how many, with earlier runs."""
        stats, to_fetch, before = self._stats(), self._source.total, self._source.done
        self._samples.append((stats.elapsed_s, stats.done))
        return stats, before + stats.done, None if to_fetch is None else before + to_fetch

    def _rate(self) -> float:
        (since, before), (now, done) = self._samples[0], self._samples[-1]
        return (done - before) / (now - since) if now > since else 0.0


def _with_bar(line: str, done: int, total: int | None, width: int) -> RenderableType:
    text = Text(line, no_wrap=True, overflow="crop", end="")
    shortest, longest = BAR_COLUMNS
    columns = min(longest, width - len(line) - len(_GAP))
    if columns < shortest:
        return text
    bar = ProgressBar(total, done, width=columns, pulse=total is None)
    row = Table.grid(padding=(0, len(_GAP), 0, 0))
    row.add_row(text, bar)
    return row


def progress_line(  # noqa: PLR0917 - all facts of one line
    stats: Stats, done: int, total: int | None, rate: float, width: int, words: Words = IDS
) -> str:
    """Return the longest wording that fits into ``width``.

    ``done`` of ``total`` ids (``None``: unknown), including ids that earlier runs have done.
    ``rate`` is per second. A listing has no total, so it counts leads, and shows no ETA.
    """
    wordings = _wordings(stats, done, total, rate, words)
    return next((text for text in wordings if len(text) <= width), "")


def _wordings(stats: Stats, done: int, total: int | None, rate: float, words: Words) -> list[str]:
    """Return the wordings of the line, from the longest to the shortest."""
    count = f"{done}/{'?' if total is None else total}"
    eta = [f"ETA {_eta(done, total, rate)}"]
    if words.is_listing:
        count, eta = f"{done} {words.noun}s", []
    troubles = (f"429s {stats.throttled}", f"retries {stats.retries}")
    states = _states(stats)
    if states:
        return [
            *(_GAP.join((count, state, *troubles)) for state in states),
            *(_GAP.join((count, state)) for state in states),
            states[-1],
            count,
        ]
    speeds = (f"{rate:.1f} {words.rate}/s", f"{rate:.0f} {words.rate}/s")
    return [
        *(_GAP.join((count, *both, *troubles, *eta)) for both in product(speeds, _limits(stats))),
        _GAP.join((count, speeds[0], *eta)),
        _GAP.join((count, f"{rate:.0f}/s", *eta)),
        _GAP.join((count, *eta)),
        count,
    ]


def _states(stats: Stats) -> tuple[str, ...]:
    """Return why nothing is sent, from the longest wording to the shortest; empty: no reason."""
    if stats.next_probe_s is not None and stats.gives_up_s is not None:
        wait_s, until = ceil(stats.next_probe_s), _clock(stats.gives_up_s)
        trying = f"try in {wait_s} s" if wait_s else "trying"
        return (
            f"API is down, {'next ' if wait_s else ''}{trying}, giving up in {until}",
            f"API is down, {trying}, end in {until}",
            f"API down, end in {until}",
        )
    if stats.breaker_open:
        return ("API is down",)
    if stats.paused_s > 0:
        seconds = ceil(stats.paused_s)
        return (f"paused by the API, {seconds} s", f"paused {seconds} s")
    if stats.waiting and stats.waiting >= stats.in_flight:  # bad ids that are left at the end
        return (f"{stats.waiting} wait for a retry", f"{stats.waiting} waiting")
    return ()


def _limits(stats: Stats) -> tuple[str, ...]:
    """Return the rate that the limiter allows, from the longest wording to the shortest.

    With strategy "list" a request is for many leads, so the unit is always there.
    """
    allowed = stats.allowed_rate
    if allowed is None:
        return ("no limit",)
    shortest = f"max {allowed:.0f} req/s"
    return (f"{allowed:.1f} requests/s allowed", f"max {allowed:.0f} requests/s", shortest)


def _eta(done: int, total: int | None, rate: float) -> str:
    return NOTHING if total is None or rate <= 0 else _clock(max(0, total - done) / rate)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@contextlib.contextmanager
def counting(terminal: Terminal, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function that shows the number of converted leads, if there is a terminal."""
    if quiet or not terminal.is_live:
        yield lambda _: None
        return
    with terminal.console.status("Converting", spinner=terminal.spinner) as status:
        yield lambda leads: status.update(f"Converting: {leads} leads")
