"""Waiting for files that can block (pipes, terminals), so that a signal ends it at once.

In an event loop neither with a thread, because a signal cannot end one that is stuck in ``read``,
nor by blocking the loop, which would miss the deadlines of the requests in flight.
"""

import asyncio
import contextlib
import io
import os
import select
import signal
from collections.abc import Iterator
from typing import Any


async def until_readable(fd: int) -> None:
    """Return when reading would not block: there is data, or the end."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    try:
        loop.add_reader(fd, _wake, ready)
    except (PermissionError, NotImplementedError):  # /dev/null never blocks; Windows cannot tell
        return
    try:
        await ready
    finally:
        loop.remove_reader(fd)


async def until_writable(fd: int) -> None:
    """Return when writing ``PIPE_BUF`` bytes would not block, or fail at once."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    try:
        loop.add_writer(fd, _wake, ready)
    except (PermissionError, NotImplementedError):  # /dev/null never blocks; Windows cannot tell
        return
    try:
        await ready
    finally:
        loop.remove_writer(fd)


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


@contextlib.contextmanager
def reading_until_signal(fd: int, buffer_bytes: int) -> Iterator[io.BufferedIOBase]:
    """Yield a file whose next read raises what the handler of a signal raises, in any case.

    Otherwise a signal that comes just before ``read`` has to wait until there is more to read, and
    C code may discard the exception (``msgspec.json.Decoder()`` does). For the main thread, and
    handlers that raise. ``fd`` is closed at the end, unless it is stdin.
    """
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    previous = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        with io.BufferedReader(_PolledFile(fd, woken), buffer_bytes) as file:
            yield file
    finally:
        signal.set_wakeup_fd(previous)
        os.close(woken)
        os.close(wake)


class _PolledFile(io.FileIO):
    """A file that waits for data in ``select``, and there for a signal, too."""

    def __init__(self, fd: int, woken: int) -> None:
        super().__init__(fd, closefd=fd != 0)
        self._woken = woken

    def readinto(self, buffer: Any) -> int | None:
        while self._woken in select.select([self.fileno(), self._woken], [], [])[0]:
            for number in os.read(self._woken, 4096):
                # Python has called it before this line, and what it raised was lost.
                if callable(handler := signal.getsignal(number)):
                    handler(number, None)
        return super().readinto(buffer)
