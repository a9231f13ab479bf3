"""Sources of ids: a file, a pipe, a terminal. Reads lazily and never blocks the event loop.

Regular files are read directly; pipes and terminals are polled. Must not know how lines are parsed.
"""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from functools import partial
from typing import NamedTuple, Protocol, Self

from instantly_async.cli.exits import InputError
from instantly_async.cli.known import DONE, KnownIds
from instantly_async.cli.records import LineId, Noun
from instantly_async.cli.system import STDIO, is_at, open_to_read, reason_of, until_readable

from .formats import InputFormat
from .reader import IdReader
from .sought import SOUGHT
from .understood import Understood

CHUNK_BYTES = 64 * 1024
"""Bytes that are read at once (*choice*: the size of a Linux pipe)."""


class IdSource(Protocol):
    """Where the ids of a run come from.

    ``ids()`` is passed to ``stream_leads``. ``error`` is why it ended early: it is reported
    after the leads that were already requested. ``total``: how many ids it will yield; ``whole``:
    how many it would yield without ``--limit``; ``None``: unknown.
    """

    error: InputError | None
    total: int | None

    @property
    def whole(self) -> int | None:
        """How many ids have to be fetched, in this run and later ones; ``None``: unknown."""

    def ids(self) -> AsyncIterator[str]:
        """Yield the ids as they are needed."""

    def stop(self) -> None:
        """Yield no more."""

    def has_reported(self, lead_id: object) -> bool:
        """Whether this is an invalid id that the user has already been told about."""

    @property
    def remark(self) -> str | None:
        """A sentence about the input once it has been read; ``None``: there is nothing to say."""

    @property
    def duplicates(self) -> int:
        """Ids skipped because they occurred before."""

    @property
    def done(self) -> int:
        """Ids skipped because they are done, so far; all of them if ``total`` is known."""


class GivenIds:
    """A collection of ids; those that are ``known`` to be done are skipped."""

    error: InputError | None = None
    remark: str | None = None
    duplicates = 0

    def __init__(self, ids: Collection[str], known: KnownIds | None = None) -> None:
        self._ids = ids
        self._known = known or KnownIds()
        self._stopped = False
        self.done = 0
        self.total: int | None = len(ids)

    async def ids(self) -> AsyncIterator[str]:
        self._known.begin()
        to_fetch = [each for each in self._ids if self._known.judge(each) is not DONE]
        self.total = len(to_fetch)
        self.done = len(self._ids) - self.total
        for lead_id in to_fetch:
            if self._stopped:
                return
            yield lead_id

    @property
    def whole(self) -> int | None:
        return self.total

    def stop(self) -> None:
        self._stopped = True

    def has_reported(self, _: object) -> bool:
        """Return ``False``: these ids are not checked before the run."""
        return False


class Survey(NamedTuple):
    """What an input holds: ids ``to_fetch``, ``invalid`` ones, and those that are skipped.

    ``later`` are the ids that ``--limit`` leaves for later runs. ``understood``: how it was read.
    """

    to_fetch: int
    invalid: int
    duplicates: int
    done: int
    understood: Understood
    later: int = 0


class Quota:
    """Counts the valid ids that a run takes; ``limit=None``: it may take all."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self.used = 0
        self.is_used_up = limit == 0

    def use(self, lead_id: LineId) -> None:
        """Count an id, unless it is invalid: for that one no request is sent."""
        self.used += lead_id.number is not None
        self.is_used_up = self._limit is not None and self.used >= self._limit


class FileOfIds:
    """The ids of a file, a pipe or a terminal. Implements ``IdSource``.

    ``allow_empty``: an input without ids is no error. At most ``limit`` valid ids are yielded, and
    nothing is read after the last one; ``None``: all.
    """

    total: int | None = None

    def __init__(
        self,
        fd: int,
        make_reader: Callable[[], IdReader],
        name: str,
        *,
        allow_empty: bool = False,
        limit: int | None = None,
    ) -> None:
        self._fd = fd
        self._name = name
        self._make_reader = make_reader
        self._reader = make_reader()
        self._reading: asyncio.Future[None] | None = None
        self._stopped = False
        self._allow_empty = allow_empty
        self._limit = limit
        self._whole: int | None = None
        self._surveyed_done = 0
        self._surveyed_lines = 0
        self.is_regular = stat.S_ISREG(os.fstat(fd).st_mode)
        self.is_terminal = os.isatty(fd)
        self.error: InputError | None = None

    async def ids(self) -> AsyncIterator[LineId]:
        """Yield the ids as they are needed; read one chunk ahead at most."""
        if self.total == 0:
            return
        self._reader = self._make_reader()
        quota = Quota(self._limit)
        try:
            while not self._reader.has_ended:
                chunk = await self._read()
                if self._stopped:
                    return
                for piece in self._reader.in_pieces(chunk):
                    for lead_id in piece:
                        if self._stopped:
                            return
                        quota.use(lead_id)
                        yield lead_id
                        if quota.is_used_up:
                            return
                    await asyncio.sleep(0)  # ids that are skipped must not hold up the event loop
                    if self._stopped:
                        return
            self._require_all()
        except InputError as error:
            self.error = error

    def _require_all(self) -> None:
        if self._stopped:
            return
        if self.total is not None and self._reader.yielded < self.total:
            raise InputError(
                f"{self._name} changed while it was read; repeat the command with --resume."
            )
        self._whole = self._reader.yielded
        self._require_ids(self._reader)

    def _require_ids(self, reader: IdReader) -> None:
        if reader.is_empty and not self._allow_empty:
            raise InputError(
                f"There are no {self._nouns} in {self._name}; check it, or add --allow-empty if a "
                "job may have nothing to do."
            )

    async def _read(self) -> bytes:
        if not self.is_regular:
            self._reading = asyncio.ensure_future(until_readable(self._fd))
            try:
                await self._reading
            except asyncio.CancelledError:
                if not self._stopped:
                    raise
            except OSError as error:
                raise self._unreadable(error) from None
        return b"" if self._stopped else self._read_now()

    def _read_now(self) -> bytes:
        try:
            return os.read(self._fd, CHUNK_BYTES)
        except OSError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(
            f"Reading {self._name} failed: {reason_of(error)}; check the file, then try again."
        )

    def stop(self) -> None:
        """Yield no more, and stop waiting for a pipe."""
        self._stopped = True
        if self._reading is not None:
            self._reading.cancel()

    def has_reported(self, lead_id: object) -> bool:
        """Whether ``survey`` has reported this id as invalid."""
        if not isinstance(lead_id, LineId) or lead_id.line > self._surveyed_lines:
            return False
        return lead_id.number is None

    @property
    def remark(self) -> str | None:
        """That the input is empty, which is allowed, or that some entries are skipped."""
        if self.error is not None:
            return None
        if lacking := self._reader.lacking:
            noun = self._reader.understood.noun
            entries = "1 entry" if lacking == 1 else f"{lacking:,} entries"
            return f"Skipped {entries} of {self._name} without an {noun}."
        if not self._reader.is_empty:
            return None
        return f"There are no {self._nouns} in {self._name}."

    @property
    def _nouns(self) -> str:
        return f"{self._reader.understood.noun}s"

    @property
    def whole(self) -> int | None:
        return self._whole

    @property
    def duplicates(self) -> int:
        return self._reader.duplicates

    @property
    def done(self) -> int:
        return max(self._surveyed_done, self._reader.done)

    def survey(self, on_invalid: Callable[[LineId], None]) -> Survey:
        """Read the whole input before the run; ``on_invalid`` gets each id that is not a UUID.

        Afterwards ``total`` is known, and a regular file is read again from its beginning; a pipe
        is used up.

        Raises:
            InputError: something in the input is wrong.
        """
        reader = self._reader = self._make_reader()
        quota = Quota(self._limit)
        invalid = taken = 0
        offset = os.lseek(self._fd, 0, os.SEEK_CUR) if self.is_regular else 0
        for lead_id in self._all_of(reader):
            if not quota.is_used_up:
                quota.use(lead_id)
                taken += 1
            if lead_id.number is None:
                invalid += 1
                on_invalid(lead_id)
        self._require_ids(reader)
        if self.is_regular:
            os.lseek(self._fd, offset, os.SEEK_SET)
            self._surveyed_lines = reader.lines
        self.total, self._whole, self._surveyed_done = taken, reader.yielded, reader.done
        later = reader.yielded - invalid - quota.used
        return Survey(quota.used, invalid, reader.duplicates, reader.done, reader.understood, later)

    def _all_of(self, reader: IdReader) -> Iterator[LineId]:
        while chunk := self._read_now():
            yield from reader.feed(chunk)
        yield from reader.finish()

    def is_file(self, path: str) -> bool:
        return self.is_regular and is_at(self._fd, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._fd > 0:  # stdin is not ours to close
            os.close(self._fd)


def open_source(
    path: str,
    form: InputFormat | None,
    column: str | None,
    known: KnownIds | None = None,
    *,
    by: Noun = "id",
    allow_empty: bool = False,
    limit: int | None = None,
) -> FileOfIds:
    """Open a file of ids or emails; ``-`` is stdin. The other options are those of ``FileOfIds``.

    Raises:
        InputError: it cannot be opened, or the options contradict each other.
    """
    name = "stdin" if path == STDIO else path
    make_reader = partial(IdReader, form, name, column, known or KnownIds(), SOUGHT[by])
    make_reader()  # raises if the options do not fit
    if path == STDIO and sys.stdin is None:
        raise InputError(f"stdin is closed; name a file with {by}s.")
    fd = 0 if path == STDIO else open_to_read(path, holding=f"{by}s")
    return FileOfIds(fd, make_reader, name, allow_empty=allow_empty, limit=limit)
