"""The journal: an output file that says by itself what is done, so that a run can go on.

Leads stand in one file, ids that finally failed in another beside it; nothing else is
kept, so nothing can disagree. A run that is killed leaves whole lines and at most one torn
tail; the next one cuts it off, reads which ids are done, and fetches the others.
"""

import contextlib
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from instantly_async.cli.exits import CommandError, OutputError
from instantly_async.cli.input.formats import LineId
from instantly_async.cli.known import KnownIds, number_of, storable
from instantly_async.cli.system.files import create, lock, sync_folder
from instantly_async.errors import TransientError
from instantly_async.outcomes import Failed, Found, NotFound

from .lines import LineWriter, Output
from .recovery import Recovery, Resume, cut_torn_line, mend
from .syncer import Syncer


class ErrorLine(msgspec.Struct, omit_defaults=True):
    """A line of the errors file; ``id`` makes it valid input. ``line``: that of the input."""

    id: str
    error: str
    message: str
    attempts: int
    line: int | None = None


def error_line(outcome: NotFound | Failed) -> bytes | None:
    """Return the line that records a final failure; ``None``: another run may have more luck."""
    if isinstance(outcome, NotFound):
        error, message = "NotFoundError", "not found"
    elif isinstance(outcome.error, TransientError):
        return None
    else:
        error, message = type(outcome.error).__name__, str(outcome.error.args[0])
    lead_id = outcome.lead_id
    line = ErrorLine(
        id=storable(str(lead_id)),
        error=error,
        message=message,
        attempts=outcome.attempts,
        line=lead_id.line if isinstance(lead_id, LineId) else None,
    )
    return msgspec.json.encode(line) + b"\n"


class Journal(Output):
    """Records outcomes in an output file and its errors file. Make it with ``open_journal``.

    ``recovery`` tells what earlier runs have recorded. An output that is new, empty and not
    ``finished`` is removed at the end.
    """

    def __init__(
        self,
        leads: LineWriter,
        errors: LineWriter | None,
        errors_path: str,
        recovery: Recovery,
        *,
        is_new: bool,
    ) -> None:
        self.name = leads.name
        self.recovery = recovery
        self.failures = recovery.failures
        self.remark = "\n".join(recovery.describe()) or None
        self._leads = leads
        self._errors = errors
        self._errors_path = errors_path
        self._is_new = is_new
        self._has_new_names = is_new
        self._syncer = Syncer(self._sync, leads.name)

    def __exit__(self, *exc_info: object) -> None:
        """Close the files; drop errors that are settled by now."""
        try:
            if self.recovery.retried and self._errors is not None:
                # If that fails, the next run does it.
                with contextlib.suppress(OSError, CommandError):
                    self._drop_settled(self._errors)
        finally:
            self._close()

    def _drop_settled(self, errors: LineWriter) -> None:
        again = Recovery(self.recovery.known, Resume(retry_errors=True))
        errors.fd = mend(errors.name, errors.fd, again.read_errors(errors.fd, errors.name))

    def _close(self) -> None:
        is_empty = not self._leads.lines and self._errors is None
        if self._is_new and is_empty and not self.finished:
            # A run that came to nothing must not be in the way of the next one.
            _remove(self._leads.fd, self.name)
        os.close(self._leads.fd)
        if self._errors is not None:
            os.close(self._errors.fd)

    @contextlib.asynccontextmanager
    async def recording(self) -> AsyncIterator[None]:
        """Make what is recorded within the block durable, all of it at its end.

        Raises:
            OutputError: the disk says that it has lost something.
        """
        async with self._syncer.running():
            yield
        if not _is_at(self._leads.fd, self.name):
            raise OutputError(
                f"{self.name} was moved or removed while it was written; look for it, or fetch "
                "again."
            )

    @property
    def is_trusted(self) -> bool:
        """Whether what is in the file is on disk, as far as anybody knows."""
        return not self._syncer.has_failed

    async def write_lead(self, outcome: Found[Any], line: bytes) -> None:
        """Write a lead's line.

        Raises:
            OutputError: it cannot be written, or an earlier one could not be made durable.
        """
        await self._leads.write(line)
        self._syncer.on_line()
        if self.recovery.retried:
            number = number_of(str(outcome.lead_id))
            if number is not None and number in self.recovery.retried:
                self.recovery.known.add_done(number)

    async def write_failure(self, outcome: NotFound | Failed) -> None:
        """Record an id whose failure is final; do nothing about the others.

        Raises:
            OutputError: as above.
        """
        line = error_line(outcome)
        if line is None:
            return
        if self._errors is None:
            self._errors = LineWriter(self._create_errors(), self._errors_path)
            self._has_new_names = True
        await self._errors.write(line)
        self._syncer.on_line()

    def _create_errors(self) -> int:
        try:
            return create(self._errors_path)
        except CommandError as error:
            raise OutputError(str(error)) from None

    def make_whole(self) -> None:
        """Take back an unfinished line, because the process is about to end."""
        for writer in (self._leads, self._errors):
            if writer is not None:
                cut_torn_line(writer.fd)

    def _sync(self) -> None:
        """Make everything durable. Runs in a thread."""
        if self._has_new_names:
            self._has_new_names = False
            sync_folder(self.name)
        os.fdatasync(self._leads.fd)
        if self._errors is not None:
            os.fdatasync(self._errors.fd)


def open_journal(
    path: str, errors_path: str, known: KnownIds, resume: Resume | None = None
) -> Journal:
    """Make the output file, or go on with one; ``known`` learns which ids are done.

    Raises:
        CommandError: it cannot be made, exists though ``resume`` is ``None``, is used by another
            run, or is no journal.
        OutputError: it cannot be read back or mended.
    """
    if resume is None:
        _require_nothing_there(path, errors_path)
    fd, is_new = _open_locked(path, may_exist=resume is not None)
    errors_fd = None
    recovery = Recovery(known, resume or Resume())
    try:
        fd = mend(path, fd, recovery.read_leads(fd, path))
        if not is_new:
            os.fdatasync(fd)  # a run that was killed may not have come to it
        errors_fd = _open_errors(errors_path)
        if errors_fd is not None:
            found = recovery.read_errors(errors_fd, errors_path)
            errors_fd = mend(errors_path, errors_fd, found)
    except BaseException as error:
        if is_new:
            _remove(fd, path)
        for each in (fd, errors_fd):
            if each is not None:
                os.close(each)
        if isinstance(error, OSError):
            raise _unreadable(path, error) from None
        raise
    errors = None if errors_fd is None else LineWriter(errors_fd, errors_path)
    return Journal(LineWriter(fd, path), errors, errors_path, recovery, is_new=is_new)


def _open_locked(path: str, *, may_exist: bool) -> tuple[int, bool]:
    """Open the output, or make it; say whether it is new.

    What another run has locked in between is that run's, even if it was made here.
    """
    fd = _open_existing(path, os.O_RDWR | os.O_APPEND) if may_exist else None
    is_new = fd is None
    if fd is None:
        fd = create(path)
    try:
        lock(fd, path)
        _require_at(fd, path)
    except BaseException:
        os.close(fd)
        raise
    return fd, is_new


def _open_errors(path: str) -> int | None:
    fd = _open_existing(path, os.O_RDWR | os.O_APPEND)
    if fd is None and (os.path.lexists(path) or not os.access(Path(path).parent, os.W_OK)):
        raise CommandError(f"{path} could not be made when it is needed; choose another output.")
    return fd


def _unreadable(path: str, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be read back and mended: {error.strerror}; choose another output."
    )


def read_journal(
    path: str, errors_path: str, known: KnownIds, resume: Resume | None = None
) -> Recovery:
    """Do as ``open_journal`` does, but change nothing.

    Raises:
        CommandError: as there.
    """
    if resume is None:
        _require_nothing_there(path, errors_path)
    recovery = Recovery(known, resume or Resume())
    try:
        for name, read, locked in (
            (path, recovery.read_leads, True),
            (errors_path, recovery.read_errors, False),
        ):
            fd = _open_existing(name, os.O_RDONLY)
            if fd is not None:
                with open(fd, "rb", buffering=0):  # noqa: PTH123 - a descriptor, to be closed
                    if locked:
                        lock(fd, name, shared=True)
                    read(fd, name)
    except OSError as error:
        raise _unreadable(path, error) from None
    return recovery


def _require_nothing_there(path: str, errors_path: str) -> None:
    if os.path.lexists(path):
        raise CommandError(
            f"{path} exists already; add --resume to go on with it, or choose another name."
        )
    if os.path.lexists(errors_path):
        raise CommandError(
            f"{errors_path} is left from an earlier run; add --resume to go on with it, or remove "
            "it."
        )


def _open_existing(path: str, flags: int) -> int | None:
    """Open a regular file; ``None`` when there is none."""
    try:
        fd = os.open(path, flags | os.O_NONBLOCK)  # a named pipe would wait for its reader
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"{path} cannot be opened: {reason}; choose another name.") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise CommandError(f"{path} is no regular file; choose another name.")
    return fd


def _is_at(fd: int, path: str) -> bool:
    """Whether the open file still has its name."""
    try:
        return os.path.samestat(os.fstat(fd), Path(path).stat())
    except OSError:
        return False


def _require_at(fd: int, path: str) -> None:
    if not _is_at(fd, path):
        raise CommandError(f"{path} was changed by another run; start again.")


def _remove(fd: int, path: str) -> None:
    """Remove an open, locked file, unless its name is somebody else's by now."""
    if _is_at(fd, path):
        with contextlib.suppress(OSError):
            Path(path).unlink()
