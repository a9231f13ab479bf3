"""``show_progress``: a progress bar for a stream, in notebooks and terminals. Needs tqdm."""

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TextIO

from ._extras import load_extra
from .stats import Stats, why_held

REFRESH_S = 0.25
"""Seconds between two updates of the bar (*choice*)."""

__all__ = ["show_progress"]


class Counted(Protocol):
    """What can be watched: a ``LeadStream``, a ``MatchStream``, or a client."""

    @property
    def stats(self) -> Stats:
        """The counters so far."""


@contextlib.asynccontextmanager
async def show_progress(
    stream: Counted,
    total: int | None = None,
    *,
    unit: str = "leads",
    file: TextIO | None = None,
    bar: Any = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[None]:
    """Show a progress bar until the end of the ``async with`` block.

    It shows how many are done and how fast; behind that the rate of requests, the rate that the
    limiter allows, the 429s, and how many have failed; and why nothing is sent during a pause or
    while the API is down. It only reads ``stream.stats``, four times a second. So errors,
    cancellation and an early exit pass through it, and the run is as fast as without it.

    ``total`` is the number of ids; ``None``: unknown. ``unit`` names what is counted. The bar is
    drawn to ``file`` (``None``: stderr), or as a widget in a notebook that has ipywidgets. A
    ``bar`` of your own has the methods ``set_postfix_str``, ``refresh`` and ``close`` of tqdm, and
    its attribute ``n``. ``sleep`` is for tests.

    Needs the extra ``progress``.

    >>> async def main(client, ids):
    ...     async with client.stream_leads(ids) as stream, show_progress(stream, len(ids)):
    ...         async for outcome in stream:
    ...             print(outcome)

    Raises:
        ConfigurationError: tqdm is not installed, and there is no ``bar``.
    """
    shown = _make_bar(total, unit, file) if bar is None else bar
    updating = asyncio.create_task(_update_repeatedly(shown, stream, sleep))
    try:
        yield
    finally:
        updating.cancel()
        with contextlib.suppress(Exception):  # a bar that cannot be drawn does not end a run
            _update(shown, stream.stats)
        with contextlib.suppress(Exception):
            shown.close()


def _make_bar(total: int | None, unit: str, file: TextIO | None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without ipywidgets, tqdm warns and draws text
        auto = load_extra("tqdm.auto", what="A progress bar", extra="progress")
    return auto.tqdm(total=total, unit=f" {unit}", file=file)


async def _update_repeatedly(
    bar: Any, stream: Counted, sleep: Callable[[float], Awaitable[None]]
) -> None:
    with contextlib.suppress(Exception):  # as above
        while True:
            _update(bar, stream.stats)
            await sleep(REFRESH_S)


def _update(bar: Any, stats: Stats) -> None:
    bar.n = stats.done
    bar.set_postfix_str(_describe(stats), refresh=False)
    bar.refresh()


def _describe(stats: Stats) -> str:
    allowed = "no limit" if stats.allowed_rate is None else f"{stats.allowed_rate:.1f}/s allowed"
    failed = sum(stats.failed.values())
    parts = (
        why_held(stats) or f"{stats.rate:.1f} requests/s ({allowed})",
        f"{stats.throttled:,} × 429",
        f"{failed:,} failed" if failed else "",
    )
    return ", ".join(filter(None, parts))
