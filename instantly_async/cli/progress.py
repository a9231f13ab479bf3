"""The progress line on a terminal, and the summary at the end."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn

from instantly_async.outcomes import Failed, Found, Outcome
from instantly_async.stats import Stats

from .terminal import Terminal

REFRESH_S = 0.2
"""Between two drawings of the progress line (*choice*)."""

_WINDOW = 25  # drawings that leads/s and ETA look back on: 5 s
_NOTHING = "-"


class Tally:
    """What has been written or named, and when: from the first answer to the last.

    Differs from ``Stats`` when a run is stopped: leads that had arrived, but were not yet
    written, are not found as far as the user can see. ``clock`` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first_at = 0.0
        self._last_at = 0.0
        self._answers = 0
        self.found = 0
        self.not_found = 0
        self.failed: Counter[str] = Counter()

    def add(self, outcome: Outcome[Any]) -> None:
        """Count an outcome; for the rate only if a request was made."""
        if isinstance(outcome, Found):
            self.found += 1
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
        """Outcomes counted."""
        return self.found + self.not_found + self.failed.total()

    @property
    def rate(self) -> float | None:
        """Answers per second after the first one; ``None``: fewer than two."""
        elapsed_s = self._last_at - self._first_at
        return (self._answers - 1) / elapsed_s if elapsed_s > 0 else None


class Display:
    """Draws one line from ``stats`` a few times a second, while entered."""

    def __init__(
        self, terminal: Terminal, stats: Callable[[], Stats], total: Callable[[], int | None]
    ) -> None:
        self._stats = stats
        self._total = total
        self._samples: deque[tuple[float, int]] = deque(maxlen=_WINDOW)
        self._progress = Progress(
            BarColumn(20),
            TextColumn("{task.fields[line]}", markup=False),
            console=terminal.console,
            auto_refresh=False,  # from the loop's own thread, which is the one that counts
        )
        self._task = self._progress.add_task("", total=None, line="")

    @contextlib.asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """Draw until the end of the block."""
        with self._progress:
            drawing = asyncio.create_task(self._draw_again_and_again())
            try:
                yield
            finally:
                drawing.cancel()
                self._draw()

    async def _draw_again_and_again(self) -> None:
        while True:
            self._draw()
            await asyncio.sleep(REFRESH_S)

    def _draw(self) -> None:
        stats, total = self._stats(), self._total()
        self._samples.append((stats.elapsed_s, stats.done))
        line = progress_line(stats, total, self._rate())
        self._progress.update(self._task, completed=stats.done, total=total, line=line)
        self._progress.refresh()

    def _rate(self) -> float:
        (since, before), (now, done) = self._samples[0], self._samples[-1]
        return (done - before) / (now - since) if now > since else 0.0


def progress_line(stats: Stats, total: int | None, rate: float) -> str:
    """Return the text beside the bar; ``rate`` is leads per second."""
    return "  ".join(
        (
            f"{stats.done}/{'?' if total is None else total}",
            f"{rate:.1f} leads/s",
            f"allowed {_allowed(stats)}",
            f"429s {stats.throttled}",
            f"retries {stats.retries}",
            f"ETA {_eta(stats.done, total, rate)}",
        )
    )


def _allowed(stats: Stats) -> str:
    if stats.breaker_open:
        return "0/s (API is down)"
    if stats.paused_s > 0:
        return f"0/s for {stats.paused_s:.0f} s"
    return "any" if stats.allowed_rate is None else f"{stats.allowed_rate:.1f}/s"


def _eta(done: int, total: int | None, rate: float) -> str:
    if total is None or rate <= 0:
        return _NOTHING
    minutes, seconds = divmod(round(max(0, total - done) / rate), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def summary(stats: Stats, tally: Tally, duplicates: int) -> str:
    """Return what a run did, one fact a line."""
    facts = {
        "found": str(tally.found),
        "not found": str(tally.not_found),
        "failed": _failures(tally.failed),
        "duplicates": str(duplicates),
        "requests": f"{stats.requests} ({stats.retries} retries, {stats.throttled} × 429)",
        "received": f"{stats.bytes_received / 1e6:.1f} MB",
        "latency": _latency(stats),
        "time": f"{stats.elapsed_s:.1f} s",
        "rate": _NOTHING
        if tally.rate is None
        else f"{tally.rate:.1f} leads/s, first to last answer",
    }
    if stats.fallbacks:
        facts["one by one"] = f"{stats.fallbacks}, which pages did not settle"
    unfinished = stats.requested - tally.total
    if unfinished:
        facts["unfinished"] = str(unfinished)
    return "\n".join(f"{name:<11} {value}" for name, value in facts.items())


def _failures(failed: Counter[str]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(failed.items()))
    return f"{failed.total()} ({kinds})" if failed else "0"


def _latency(stats: Stats) -> str:
    quantiles = {
        "p50": stats.latency_p50_s,
        "p95": stats.latency_p95_s,
        "p99": stats.latency_p99_s,
    }
    shown = ", ".join(
        f"{name} {seconds * 1000:.1f} ms"
        for name, seconds in quantiles.items()
        if seconds is not None
    )
    return shown or _NOTHING
