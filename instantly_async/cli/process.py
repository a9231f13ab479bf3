"""The process around a command: its event loop, and all signal handlers.

The first SIGINT, SIGTERM or SIGHUP lets a command finish; a second SIGINT or SIGTERM ends the
process at once. A signal that was ignored when the command started stays ignored.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from . import exits
from .terminal import Terminal

DRAIN_S = 5.0
"""How long a stopped run may take to finish the requests in flight, in seconds (*choice*)."""

LOOP_DESCRIPTORS = 10
"""Descriptors of an event loop and of a first connection, at most (*measured* with uvloop)."""

_HANGUP: int | None = getattr(signal, "SIGHUP", None)  # Windows has no terminal that hangs up
_ENDING = (signal.SIGTERM,) if _HANGUP is None else (signal.SIGTERM, _HANGUP)


def run(
    main: Coroutine[Any, Any, int],
    terminal: Terminal,
    *,
    stop: Callable[[], None] | None = None,
    leave: Callable[[], None] | None = None,
) -> int:
    """Run a command's coroutine; return its exit code, or that of the error or signal.

    The first signal calls ``stop``, so that the command can finish; if it still runs after
    ``DRAIN_S``, it is cancelled. Without ``stop`` it is cancelled at once. The second signal calls
    ``leave`` and ends the process, unless it is SIGHUP. The code is 128 + the signal's number.

    Raises:
        OSError: there are too few descriptors for an event loop.
    """
    try:
        _require_descriptors()
    except OSError:
        main.close()
        raise
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        return runner.run(_until_signal(_guarded(main, terminal), stop, leave))


def _require_descriptors() -> None:
    """Raise what the system does if there are too few descriptors; uvloop would abort."""
    with contextlib.ExitStack() as opened:
        for _ in range(LOOP_DESCRIPTORS // 2):
            for each in socket.socketpair():
                opened.callback(each.close)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - the extra "speed" may be missing
    except ImportError:
        return asyncio.new_event_loop()
    return new_event_loop()


async def _guarded(main: Coroutine[Any, Any, int], terminal: Terminal) -> int:
    """Turn foreseeable failures into a sentence and an exit code."""
    try:
        return await main
    except exits.OutputClosedError:
        return exits.ALL_FOUND
    except exits.FORESEEABLE as error:
        terminal.say(str(error))
        return exits.code_of(error)


async def _until_signal(
    main: Coroutine[Any, Any, int],
    stop: Callable[[], None] | None,
    leave: Callable[[], None] | None,
) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(main)
    caught: list[int] = []

    def on_first(number: int) -> None:
        caught.append(number)
        if stop is None:
            task.cancel()
        else:
            stop()
            loop.call_later(DRAIN_S, task.cancel)

    code = exits.GAVE_UP
    with _handling_signals(on_first, _leaving(leave)), contextlib.suppress(asyncio.CancelledError):
        code = await task
    return exits.SIGNAL_BASE + caught[0] if caught else code


@contextlib.contextmanager
def _handling_signals(
    on_first: Callable[[int], None], on_second: Callable[[int, object], None]
) -> Iterator[None]:
    """Have the first signal call ``on_first`` in the event loop, and the second ``on_second``."""
    loop = asyncio.get_running_loop()
    previous = _handlers_to_replace(signal.SIGINT, *_ENDING)
    had_first = False

    def dispatch(number: int) -> None:
        nonlocal had_first
        if had_first:  # both came in one iteration of the loop
            on_second(number, None)
            return
        had_first = True
        # From now on without the loop, which may be busy for long.
        for each in previous:
            _take_from_loop(loop, each)
            signal.signal(each, on_second)
        on_first(number)

    for number in previous:
        _handle_in_loop(loop, number, dispatch)
    try:
        yield
    finally:
        for number, handler in previous.items():
            _take_from_loop(loop, number)
            signal.signal(number, handler)


def _handle_in_loop(
    loop: asyncio.AbstractEventLoop, number: int, handle: Callable[[int], None]
) -> None:
    try:
        loop.add_signal_handler(number, handle, number)
    except NotImplementedError:  # the loop of Windows
        signal.signal(number, lambda number, _: loop.call_soon_threadsafe(handle, number))


def _take_from_loop(loop: asyncio.AbstractEventLoop, number: int) -> None:
    with contextlib.suppress(NotImplementedError):
        loop.remove_signal_handler(number)


def _handlers_to_replace(*numbers: int) -> dict[int, Any]:
    """Return the present handler of each signal that is not ignored.

    A shell ignores SIGINT for what a script starts with ``&``, and ``nohup`` ignores SIGHUP, so
    that the command goes on (POSIX, *Shell Command Language*, 2.11).
    """
    handlers = {number: signal.getsignal(number) for number in numbers}
    return {number: each for number, each in handlers.items() if each is not signal.SIG_IGN}


def _leaving(leave: Callable[[], None] | None) -> Callable[[int, object], None]:
    """Return a handler that ends the process.

    It runs between two bytecodes of the main thread, so a busy event loop does not delay it.
    """

    def leave_now(number: int, _: object) -> None:
        if number == _HANGUP:  # for one hang-up, kernel and shell may send one each
            return
        try:
            if leave is not None:
                leave()
        finally:
            os._exit(exits.SIGNAL_BASE + number)

    return leave_now


@contextlib.contextmanager
def unwinding_on_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise ``SystemExit`` in synchronous work.

    So it cleans up as on Ctrl-C. If they are ignored, they stay so.

    Raises:
        SystemExit: one of them came.
    """

    def unwind(number: int, _: object) -> None:
        raise SystemExit(exits.SIGNAL_BASE + number)

    previous = _handlers_to_replace(*_ENDING)
    for number in previous:
        signal.signal(number, unwind)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def code_of_signal(stop: KeyboardInterrupt | SystemExit) -> int:
    """Return the exit code of the signal that raised ``stop``."""
    if isinstance(stop, SystemExit) and isinstance(stop.code, int):
        return stop.code
    return exits.SIGNAL_BASE + signal.SIGINT
