"""The output: one lead, one line, one write. What was written stays whole.

No buffering anywhere, so that a killed run loses nothing that was written. A line that
could not be written to its end is cut off again. This is the place for what ``--resume``
will need: locking, truncating a torn tail, reading back which ids are done.
"""

import asyncio
import contextlib
import os
import stat
import sys
from pathlib import Path
from typing import Self

from .exits import CommandError, OutputClosedError, OutputError
from .polling import until_writable
from .sources import STDIO

PIPE_BYTES = 4096
"""A pipe or terminal that is ready takes this much without blocking (PIPE_BUF on Linux)."""

LAST_LINE_S = 1.0
"""How long an interrupted run may take to end a line on a slow pipe (*choice*)."""

_LINE_ENDS = b"\r\n"
_BOM = b"\xef\xbb\xbf"


def line_of(raw: bytes) -> bytes:
    """Return the server's JSON as one line, without loss.

    CR and LF cannot stand inside a JSON string, so they are layout; a byte order mark in
    front is no JSON. Nothing is decoded or encoded.
    """
    return raw.removeprefix(_BOM).translate(None, _LINE_ENDS) + b"\n"


class Journal:
    """Writes lines to a file of its own, or to stdout. Make it with ``open_journal``.

    ``lines`` counts those written whole, ``name`` is what messages call it.
    """

    def __init__(self, fd: int, path: str | None) -> None:
        self._fd = fd
        self._path = path
        self._is_regular = stat.S_ISREG(os.fstat(fd).st_mode)
        self._rest = memoryview(b"")
        self.name = path or "stdout"
        self.lines = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._path is None:
            return
        os.close(self._fd)
        if exc_info[0] is not None and not self.lines:
            # A run that came to nothing must not be in the way of the next one.
            with contextlib.suppress(OSError):
                Path(self._path).unlink()

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
        written = 0
        try:
            while written < len(line):
                written += os.write(self._fd, line[written:] if written else line)
        except BaseException:
            self._cut_off(written)
            raise

    def _cut_off(self, written: int) -> None:
        """Take back the last bytes, if nobody else has written after them."""
        end = os.lseek(self._fd, 0, os.SEEK_CUR)
        if written and os.fstat(self._fd).st_size == end:
            os.ftruncate(self._fd, end - written)
            os.lseek(self._fd, end - written, os.SEEK_SET)

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
            await until_writable(self._fd)
            self._rest = self._rest[os.write(self._fd, self._rest[:PIPE_BYTES]) :]


def open_journal(path: str) -> Journal:
    """Create the output file (mode 0600, never over another), ``-`` for stdout.

    Raises:
        CommandError: it cannot be created.
    """
    if path == STDIO:
        if sys.stdout is None:
            raise CommandError("stdout is closed; name a file with -o.")
        return Journal(1, None)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        return Journal(os.open(path, flags, 0o600), path)
    except FileExistsError:
        raise CommandError(f"{path} exists already; choose another name or remove it.") from None
    except FileNotFoundError:
        raise CommandError(f"There is no folder for {path}; make it, or choose another.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"{path} cannot be made: {reason}; choose another name.") from None
