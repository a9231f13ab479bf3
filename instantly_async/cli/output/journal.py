"""The journal: an output file that shows which ids are done, so that a run can be resumed.

Leads are in one file, and ids that finally failed in a second one next to it. There is no other
state that could contradict them. A killed run leaves whole lines and at most one torn line at the
end; the next run removes that, reads which ids are done, and fetches the others.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from instantly_async.cli.exits import CommandError, OutputError
from instantly_async.cli.known import KnownIds
from instantly_async.cli.records import number_of
from instantly_async.cli.system import (
    create,
    is_at,
    lock,
    make_private,
    open_existing,
    reason_of,
    remove,
    require_no_link,
    sync,
)
from instantly_async.cli.terminal import visible
from instantly_async.outcomes import Failed, Found, NotFound

from .error_lines import error_line
from .lines import LineWriter, Output
from .recovery import Readback, Recovery, Resume, cut_torn_line, repair
from .replaced import Replaced
from .reserve import Reserve
from .syncer import Syncer

ADD_RESUME = "add --resume to continue it, --force to replace it, or choose another name"
"""The remedy if the output exists."""


class Journal(Output):
    """Records outcomes in an output file and its errors file. Made by ``open_journal``.

    ``recovery`` holds what earlier runs have recorded. An output that is new, empty and not
    ``finished`` is removed at the end; ``replaced`` files of an earlier run then stay.
    """

    def __init__(
        self,
        leads: LineWriter,
        errors: LineWriter | None,
        errors_path: str,
        recovery: Recovery,
        reserve: Reserve,
        *,
        is_new: bool,
        replaced: Replaced | None = None,
    ) -> None:
        self.name = leads.name
        self.recovery = recovery
        self.leads_before = recovery.leads
        self.failures = recovery.failures
        self.errors_before = recovery.errors
        self.remark = "\n".join(map(visible, recovery.describe())) or None
        self._leads = leads
        self._errors = errors
        self._errors_path = errors_path
        self._is_new = is_new
        self._replaced = replaced
        self._has_new_names = is_new
        self._reserve = reserve
        self._syncer = Syncer(self._sync, leads.name)

    def __exit__(self, *exc_info: object) -> None:
        """Close the files; drop the errors of ids that were found since."""
        try:
            if self.recovery.retried and self._errors is not None:
                # If it fails, the next run does it.
                with contextlib.suppress(OSError, CommandError):
                    self._drop_settled(self._errors)
        finally:
            self._close()

    def _drop_settled(self, errors: LineWriter) -> None:
        again = Recovery(self.recovery.known, Resume(retry_errors=True))
        errors.fd = repair(errors.name, errors.fd, again.read_errors(errors.fd, errors.name))

    def _close(self) -> None:
        is_empty = not self._leads.lines and self._errors is None
        if self._replaced is not None and self.finished:
            self._replace()
        if self._replaced is not None:
            self._replaced.stay()
        elif self._is_new and is_empty and not self.finished:
            # A run without results must not block the next one.
            remove(self._leads.fd, self.name)
        self._leads.close()
        self._reserve.close()
        if self._errors is not None:
            self._errors.close()

    @contextlib.asynccontextmanager
    async def recording(self) -> AsyncIterator[None]:
        """Make all that is recorded within the block durable, at the latest at its end.

        Raises:
            OutputError: the disk reports lost writes.
        """
        async with self._syncer.running():
            yield
        if self._replaced is None and not is_at(self._leads.fd, self.name):
            raise OutputError(
                f"{self.name} was moved or removed while it was written; look for it, or fetch "
                "again."
            )

    @property
    def is_trusted(self) -> bool:
        """Whether the file's content is on disk, as far as the system has reported."""
        return not self._syncer.has_failed and self._replaced is None

    async def write_lead(self, outcome: Found[Any], line: bytes) -> None:
        """Write a lead's line.

        Raises:
            OutputError: it cannot be written, or an earlier one could not be made durable.
        """
        await self._leads.write(line)
        self._replace()
        self._syncer.on_line()
        if self.recovery.retried:
            number = number_of(str(outcome.lead_id))
            if number is not None and number in self.recovery.retried:
                self.recovery.known.add_done(number)

    async def write_failure(self, outcome: NotFound | Failed) -> None:
        """Record an id whose failure is final, and no others.

        Raises:
            OutputError: as above.
        """
        line = error_line(outcome)
        if line is None:
            return
        self._replace()
        if self._errors is None:
            self._errors = LineWriter(self._create_errors(), self._errors_path)
            self._has_new_names = True
        await self._errors.write(line)
        self._syncer.on_line()

    def _replace(self) -> None:
        """Replace the files of the earlier run, if that is still to be done."""
        if self._replaced is not None:
            self._replaced.give_way()
            self._replaced = None

    def _create_errors(self) -> int:
        try:
            self._reserve.release()
            return create(self._errors_path)
        except CommandError as error:
            raise OutputError(str(error)) from None

    def make_whole(self) -> None:
        for writer in (self._leads, self._errors):
            if writer is not None:
                cut_torn_line(writer.fd)

    def _sync(self) -> None:
        """Make everything durable. Runs in a thread."""
        if self._has_new_names:
            self._has_new_names = False
            self._reserve.sync_folder()
        sync(self._leads.fd)
        if self._errors is not None:
            sync(self._errors.fd)


def open_journal(
    path: str, errors_path: str, known: KnownIds, resume: Resume | None = None
) -> Journal:
    """Create the output file, or resume one; ``known`` learns which ids are done.

    Raises:
        CommandError: it cannot be created, exists though ``resume`` is ``None``, is used by
            another run, or is not a journal.
        OutputError: it cannot be read back and repaired.
    """
    if resume is None:
        _require_nothing_there(path, errors_path)
    recovery = Recovery(known, resume or Resume())
    if resume is not None and resume.force:
        return _open_in_place(path, errors_path, recovery)
    with contextlib.ExitStack() as on_error:
        leads, is_new = _open_locked(path, may_exist=resume is not None)
        on_error.callback(leads.close)
        # Removed before it is closed, because the lock ends then.
        if is_new:
            on_error.callback(lambda: remove(leads.fd, path))
        _take_over(leads, recovery, recovery.read_leads)
        if not is_new:
            with _readable(path):
                sync(leads.fd)  # a run that was killed may not have done it
        errors = _open_errors(errors_path)
        if errors is not None:
            on_error.callback(errors.close)
            _take_over(errors, recovery, recovery.read_errors)
        reserve = Reserve(path, leads.fd)
        on_error.pop_all()
    return Journal(leads, errors, errors_path, recovery, reserve, is_new=is_new)


def _open_in_place(path: str, errors_path: str, recovery: Recovery) -> Journal:
    """Create an output that will replace the one that exists, if there is one."""
    with contextlib.ExitStack() as on_error:
        replaced = Replaced(path, errors_path)
        on_error.callback(replaced.stay)
        leads = LineWriter(replaced.create(), path)
        on_error.callback(leads.close)
        reserve = Reserve(path, leads.fd)
        on_error.pop_all()
    return Journal(leads, None, errors_path, recovery, reserve, is_new=True, replaced=replaced)


def read_journal(
    path: str, errors_path: str, known: KnownIds, resume: Resume | None = None
) -> Recovery:
    """Read an output as ``open_journal`` does, but change nothing.

    Raises:
        CommandError: as there.
    """
    if resume is None:
        _require_nothing_there(path, errors_path)
    recovery = Recovery(known, resume or Resume())
    if resume is not None and resume.force:
        Replaced(path, errors_path).stay()
        return recovery
    fd = open_existing(path, os.O_RDONLY)
    if fd is not None:
        with _closing(fd), _readable(path):
            lock(fd, path, shared=True)
            recovery.read_leads(fd, path)
    fd = open_existing(errors_path, os.O_RDONLY)
    if fd is not None:
        with _closing(fd), _readable(errors_path):
            recovery.read_errors(fd, errors_path)
    return recovery


def _open_locked(path: str, *, may_exist: bool) -> tuple[LineWriter, bool]:
    """Open the output, or create it; return whether it is new.

    If another run has locked it meanwhile it belongs to that run, even if it was created here.
    """
    fd = open_existing(path, os.O_RDWR | os.O_APPEND) if may_exist else None
    is_new = fd is None
    if fd is None:
        fd = create(path)
    leads = LineWriter(fd, path)
    with contextlib.ExitStack() as on_error:
        on_error.callback(leads.close)
        lock(fd, path)
        if not is_at(fd, path):
            raise CommandError(f"{path} was changed by another run; start again.")
        on_error.pop_all()
    return leads, is_new


def _take_over(
    writer: LineWriter, recovery: Recovery, read: Callable[[int, str], Readback]
) -> None:
    """Read what earlier runs have written; then make the file whole and private."""
    with _readable(writer.name):
        found = read(writer.fd, writer.name)
        if make_private(writer.fd):
            recovery.remark(f"Others could read {writer.name}; only you can now (mode 0600).")
        writer.fd = repair(writer.name, writer.fd, found)


def _open_errors(path: str) -> LineWriter | None:
    fd = open_existing(path, os.O_RDWR | os.O_APPEND)
    if fd is not None:
        return LineWriter(fd, path)
    if os.path.lexists(path) or not os.access(Path(path).parent, os.W_OK):
        raise CommandError(f"{path} could not be created when needed; choose another output.")
    return None


@contextlib.contextmanager
def _closing(fd: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def _readable(path: str) -> Iterator[None]:
    """Turn a system error into a sentence."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path} cannot be read back and repaired: {reason_of(error)}; choose another output."
        ) from None


def _require_nothing_there(path: str, errors_path: str) -> None:
    require_no_link(path)
    if os.path.lexists(path):
        raise CommandError(f"{path} exists already; {ADD_RESUME}.")
    if os.path.lexists(errors_path):
        raise CommandError(
            f"{errors_path} is left from an earlier run; add --resume to continue it, or remove "
            "that file."
        )
