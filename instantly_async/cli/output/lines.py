"""Outputs of lines: one lead, one line, one write. Every written line is whole.

Nothing is buffered, so a killed run loses nothing that was written. A line that could not be
written completely is removed again.
"""

import asyncio
import contextlib
import os
import stat
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

from instantly_async.cli.exits import CommandError, OutputClosedError, OutputError
from instantly_async.cli.system import reason_of, until_writable
from instantly_async.outcomes import Failed, Found, NotFound

PIPE_BYTES = 4096
"""A pipe or terminal that is ready takes this much without blocking (PIPE_BUF on Linux)."""

LAST_LINE_S = 1.0
"""How long an interrupted run may take to end a line on a slow pipe (*choice*)."""


class LineWriter:
    """Writes whole lines to an open file, pipe or terminal.

    ``name`` is used in messages; ``lines`` counts the lines that were written completely.
    """

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name
        self.lines = 0
        self._is_regular = stat.S_ISREG(os.fstat(fd).st_mode)
        self._written = 0
        self._rest = memoryview(b"")

    def close(self) -> None:
        os.close(self.fd)

    async def write(self, line: bytes) -> None:
        """Write one line, whole or not at all.

        Raises:
            OutputError: the disk is full, or writing failed otherwise.
            OutputClosedError: the reader of the pipe has gone.
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
                f"Writing to {self.name} failed: {reason_of(error)}; it ends with the last whole "
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
        """Remove an unfinished line, unless another process has written after it."""
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
    """Where the outcomes of a run go. This one drops them. Leaving its block closes it.

    ``finished``: the run has ended as it should; ``is_complete``: and nothing is left to fetch.
    ``leads_before`` counts the leads of earlier runs,
    ``failures`` the ids that failed in them, and ``errors_before`` the same by the error's class;
    ``remark`` is what the user should know about those runs.
    """

    finished = False
    is_complete = False
    leads_before = 0
    failures = 0
    errors_before: Mapping[str, int] = MappingProxyType({})
    remark: str | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether a later run can resume this output."""
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close what is open."""

    def recording(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Accept outcomes within the block; at its end they are on disk."""
        return contextlib.nullcontext()

    async def write_lead(self, outcome: Found[Any], line: bytes) -> None:
        """Write a lead's line, whole or not at all.

        Raises:
            OutputError: it cannot be written.
            OutputClosedError: the reader of the pipe has gone.
        """

    async def write_failure(self, outcome: NotFound | Failed) -> None:
        """Record an id that has no lead, if this output records them.

        Raises:
            OutputError: it cannot be written.
        """

    def on_settled(self, entry: object) -> None:
        """Note that all leads of an id, an email, or an item of a listing are written."""

    def make_whole(self) -> None:
        """Remove an unfinished line, because the process is about to end."""


class Stdout(Output):
    """Writes leads to stdout. Stdout cannot be resumed, so failures are reported but not recorded.

    Raises:
        CommandError: stdout is closed.
    """

    def __init__(self) -> None:
        if sys.stdout is None:
            raise CommandError("stdout is closed; name a file with -o.")
        self._writer = LineWriter(1, "stdout")

    async def write_lead(self, _: Found[Any], line: bytes) -> None:
        await self._writer.write(line)

    def make_whole(self) -> None:
        """Remove an unfinished line, if stdout is a file."""
        self._writer.cut_off()
