"""Where ids come from: a file, a pipe, a terminal. Reads lazily and never blocks the loop.

Regular files are read in place, whatever else has to be waited for is polled. Knows
nothing about lines.
"""

import os
import stat
import sys
from collections.abc import AsyncIterator, Collection
from typing import Protocol, Self

from .exits import InputError
from .inputs import InputFormat, LineId, format_of
from .polling import until_readable
from .reader import IdReader

STDIO = "-"
"""Names stdin or stdout in place of a file."""

CHUNK_BYTES = 64 * 1024
"""Read at once (*choice*; what a Linux pipe holds)."""


class IdSource(Protocol):
    """Where the ids of a run come from.

    ``ids()`` is passed to ``stream_leads``. ``error`` is what ended it early, so that leads
    already asked for are finished before it is reported.
    """

    error: InputError | None

    def ids(self) -> AsyncIterator[str]:
        """Yield the ids as they are needed."""

    def count(self) -> None:
        """Make ``total`` known, if that is cheap."""

    @property
    def total(self) -> int | None:
        """How many ids there will be at most, exact at the end; ``None``: nobody knows."""

    @property
    def duplicates(self) -> int:
        """Ids left out because they came before."""


class GivenIds:
    """Ids that are known already."""

    error: InputError | None = None
    duplicates = 0

    def __init__(self, ids: Collection[str]) -> None:
        self._ids = ids
        self.total = len(ids)

    async def ids(self) -> AsyncIterator[str]:
        """Yield them."""
        for lead_id in self._ids:
            yield lead_id

    def count(self) -> None:
        """Do nothing: ``total`` is known."""


class FileOfIds:
    """The ids of a file, a pipe or a terminal. Implements ``IdSource``."""

    def __init__(self, fd: int, reader: IdReader, name: str) -> None:
        self._fd = fd
        self._name = name
        self._is_regular = stat.S_ISREG(os.fstat(fd).st_mode)
        self._line_count: int | None = None
        self._reader = reader
        self.error: InputError | None = None

    async def ids(self) -> AsyncIterator[LineId]:
        """Yield the ids as they are needed; read one chunk ahead at most."""
        try:
            while chunk := await self._read():
                for lead_id in self._reader.feed(chunk):
                    yield lead_id
            for lead_id in self._reader.finish():
                yield lead_id
        except InputError as error:
            self.error = error

    async def _read(self) -> bytes:
        try:
            if not self._is_regular:
                await until_readable(self._fd)
            return os.read(self._fd, CHUNK_BYTES)
        except OSError as error:
            raise InputError(f"{self._name} cannot be read on: {error.strerror}.") from None

    @property
    def duplicates(self) -> int:
        """Ids left out because they came before."""
        return self._reader.duplicates

    def count(self) -> None:
        """Count the lines of a regular file, so that ``total`` is known."""
        if not self._is_regular:
            return
        count, offset, last = 0, os.lseek(self._fd, 0, os.SEEK_CUR), b"\n"
        while chunk := os.pread(self._fd, 16 * CHUNK_BYTES, offset):
            count += chunk.count(b"\n")
            offset += len(chunk)
            last = chunk
        self._line_count = count + (not last.endswith(b"\n"))

    @property
    def total(self) -> int | None:
        """As in ``IdSource``."""
        if self._line_count is None:
            return None
        return max(0, self._line_count - self._reader.lines) + self._reader.yielded

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._fd > 0:  # stdin is not ours
            os.close(self._fd)


def open_source(path: str, form: InputFormat | None, column: str | None) -> FileOfIds:
    """Open the file of ids, ``-`` for stdin.

    Raises:
        InputError: it cannot be opened, or the options do not fit together.
    """
    name = "stdin" if path == STDIO else path
    reader = IdReader(
        form or ("csv" if column and path == STDIO else format_of(path)), name, column
    )
    if path == STDIO:
        if sys.stdin is None:
            raise InputError("stdin is closed; name a file with ids.")
        return FileOfIds(0, reader, name)
    return FileOfIds(_open(path), reader, name)


def _open(path: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise InputError(f"There is no file {path}; check the name.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be opened: {reason}; choose another file.") from None
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise InputError(f"{path} is a folder; name a file with ids.")
    return fd
