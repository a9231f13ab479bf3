"""An event loop whose clock jumps to the next timer: hours of pacing in milliseconds.

It never waits: an idle loop moves its clock forward, and every pass takes 1 µs of it.
Nothing outside the loop can wake it, so it is for code that waits for timers and futures,
not for sockets or threads.
"""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

LEAST_STEP_S = 1e-6
"""What a pass of the loop costs at least. aiolimiter leaves residues of 1e-16 s and asks to be
woken *now* again, so on an exact clock it would spin forever."""

REAL_LIMIT_S = 60.0
"""Real seconds after which a run counts as stuck."""


class StuckError(AssertionError):
    """Nothing is ready and no timer is set, or the clock hardly moves: a test would hang."""


class _JumpingSelector(selectors.BaseSelector):
    """Never waits: an idle select moves the loop's clock instead."""

    def __init__(self, inner: selectors.BaseSelector) -> None:
        self._inner = inner
        self.now = 0.0
        self._stuck_at = time.monotonic() + REAL_LIMIT_S

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StuckError("nothing is ready and no timer is set")
        if time.monotonic() > self._stuck_at:
            raise StuckError(f"still busy after {REAL_LIMIT_S} real seconds, at {self.now} s")
        self.now += max(timeout, LEAST_STEP_S)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """``time()`` begins at 0 and jumps to the next timer whenever nothing is ready."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector(selectors.SelectSelector())
        super().__init__(self._jumping)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._jumping.now

    def block(self, seconds: float) -> None:
        """Move the clock as a callback that takes so long would: nothing else runs meanwhile."""
        self._jumping.now += seconds

    @property
    def pending_timers(self) -> int:
        """Timers that are set and not cancelled."""
        timers: list[asyncio.TimerHandle] = getattr(self, "_scheduled")  # noqa: B009 - private to asyncio, so typeshed has no name for it
        return sum(not timer.cancelled() for timer in timers)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a ``VirtualLoop``; a task that is left over is an ``AssertionError``.

    Debug mode is off: it measures callbacks with the loop's clock, and slows the laws down.
    """
    loop = VirtualLoop()
    troubles: list[Mapping[str, Any]] = []
    loop.set_exception_handler(lambda _, context: troubles.append(context))
    loop.set_debug(enabled=False)
    try:
        result = loop.run_until_complete(main)
        left = asyncio.all_tasks(loop)
        assert not left, f"left over: {left}"
        loop.run_until_complete(asyncio.sleep(0))  # lets callbacks report their errors
        assert not troubles, f"reported to the loop: {troubles}"
        return result
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.close()


def block(seconds: float) -> None:
    """Block the running ``VirtualLoop``."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.block(seconds)


def virtual(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test on a virtual clock, which begins at 0."""

    def run() -> None:
        run_virtual(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def worst_window(times: list[float], window_s: float) -> int:
    """Most events in any window of that length, wherever it begins. ``times`` are sorted."""
    first = worst = 0
    for last, at in enumerate(times):
        while times[first] <= at - window_s:
            first += 1
        worst = max(worst, last - first + 1)
    return worst
