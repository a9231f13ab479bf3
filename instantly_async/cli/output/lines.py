"""Outputs made of lines: one lead, one line, one write. What was written stays whole.

No buffering anywhere, so that a killed run loses nothing that was written. A line that
could not be written to its end is cut off again.
"""

import asyncio
import contextlib
import os
import stat
import sys
from typing import Any, Self

from instantly_async.cli.exits import CommandError, OutputClosedError, OutputError
from instantly_async.cli.system.polling import until_writable
from instantly_async.outcomes import Failed, Found, NotFound

PIPE_BYTES = 4096
"""A pipe or terminal that is ready takes this much without blocking (PIPE_BUF on Linux)."""

LAST_LINE_S = 1.0
"""How long an interrupted run may take to end a line on a slow pipe (*choice*)."""

_BOM = b"\xef\xbb\xbf"


def line_of(raw: bytes) -> bytes:
    """Return the server's JSON as one line, without loss.

    CR and LF cannot stand inside a JSON string, so they are layout; a byte order mark in
    front is no JSON. Nothing is decoded or encoded.
    """
    raw = raw.removeprefix(_BOM)
    if b"\n" in raw or b"\r" in raw:  # seldom, and looking is much cheaper
        raw = raw.translate(None, b"\r\n")
    return raw + b"\n"


class LineWriter:
    """Writes whole lines to an open file, pipe or terminal.

    ``name`` is what messages call it, ``lines`` counts those written whole.
    """

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name
        self.lines = 0
        self._is_regular = stat.S_ISREG(os.fstat(fd).st_mode)
        self._written = 0
        self._rest = memoryview(b"")

    async def write(self, line: bytes) -> None:
        """Write one line, whole or not at all.

        Raises:
            OutputError: the disk is full, or writing failed otherwise.
            OutputClosedError: the reader of the pipe is gone.
        """
        try:
            if self._is_regular:
                self._write_to_file(line)
            else:
                await self._write_to_pipe(line)
        except BrokenPipeError:
            raise OutputClosedError from None
        except OSError as error:
            raise OutputError(
                f"Writing to {self.name} failed: {error.strerror}; it ends with the last whole "
                "line."
            ) from None
        self.lines += 1

    def _write_to_file(self, line: bytes) -> None:
        try:
            while self._written < len(line):
                rest = line[self._written :] if self._written else line
                self._written += os.write(self.fd, rest)
            self._written = 0
        except BaseException:
            self.cut_off()
            raise

    def cut_off(self) -> None:
        """Take back what is there of an unfinished line, if nobody else has written after it."""
        if not self._is_regular:
            return
        written, self._written = self._written, 0
        end = os.lseek(self.fd, 0, os.SEEK_CUR)
        if written and os.fstat(self.fd).st_size == end:
            os.ftruncate(self.fd, end - written)
            os.lseek(self.fd, end - written, os.SEEK_SET)

    async def _write_to_pipe(self, line: bytes) -> None:
        self._rest = memoryview(line)
        try:
            await self._drain()
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_LINE_S):
                    await self._drain()
            raise

    async def _drain(self) -> None:
        while self._rest:
            await until_writable(self.fd)
            self._rest = self._rest[os.write(self.fd, self._rest[:PIPE_BYTES]) :]


class Output:
    """Where a run's outcomes go: this one drops them. Closed by leaving its block.

    ``finished`` says that there is nothing more to fetch. ``failures`` counts the ids that
    earlier runs have failed to get, ``remark`` is what the user should know about those runs.
    """

    finished = False
    failures = 0
    remark: str | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether a later run may go on with what was written."""
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close what is open."""

    def recording(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Take outcomes within the block; at its end they are safe."""
        return contextlib.nullcontext()

    async def write_lead(self, outcome: Found[Any], line: bytes) -> None:
        """Write a lead's line, whole or not at all.

        Raises:
            OutputError: it cannot be written.
            OutputClosedError: the reader of the pipe is gone.
        """

    async def write_failure(self, outcome: NotFound | Failed) -> None:
        """Record an id that has no lead, if this is the place for it.

        Raises:
            OutputError: it cannot be written.
        """

    def make_whole(self) -> None:
        """Take back an unfinished line, because the process is about to end."""


class Stdout(Output):
    """Leads to stdout, which is no journal: failures are only named.

    Raises:
        CommandError: stdout is closed.
    """

    def __init__(self) -> None:
        if sys.stdout is None:
            raise CommandError("stdout is closed; name a file with -o.")
        self._writer = LineWriter(1, "stdout")

    async def write_lead(self, _: Found[Any], line: bytes) -> None:
        """Write a lead's line."""
        await self._writer.write(line)

    def make_whole(self) -> None:
        """Take back an unfinished line, if stdout is a file."""
        self._writer.cut_off()
