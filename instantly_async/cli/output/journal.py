"""The journal: an output file that shows which ids are done, so that a run can be resumed.

Leads are in one file, and entries that finally failed in a second one next to it. There is no other
state that could contradict them, except what they answer to (``QueryFile``), which never changes. A
killed run leaves whole lines and at most one torn line at the end; the next run removes that, reads
what is done, and fetches the rest.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from instantly_async.cli.exits import CommandError, OutputError
from instantly_async.cli.system import (
    create,
    is_at,
    remove,
    sync,
)
from instantly_async.cli.terminal import visible
from instantly_async.outcomes import Failed, Found, NotFound

from .error_lines import error_line
from .lines import LineWriter, Output
from .query import QueryFile
from .recovery import Recovery, Resume, cut_torn_line, heal, repair
from .replaced import Replaced
from .reserve import Reserve
from .syncer import Syncer


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
        *,
        query_file: QueryFile,
        reserve: Reserve,
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
        self._query_file = query_file
        self._is_new = is_new
        self._replaced = replaced
        self._has_new_names = is_new
        self._reserve = reserve
        self._syncer = Syncer(self._sync, leads.name)

    def __exit__(self, *exc_info: object) -> None:
        """Close the files; drop the errors of ids that were found since, and lines in gaps."""
        try:
            # If it fails, the next run does it.
            if self.recovery.retried and self._errors is not None:
                with contextlib.suppress(OSError, CommandError):
                    self._drop_settled(self._errors)
            if self.recovery.is_to_be_healed and self.is_complete:
                with contextlib.suppress(OSError, CommandError):
                    self._leads.fd = heal(self._leads.fd, self.name)
        finally:
            self._close()

    def _drop_settled(self, errors: LineWriter) -> None:
        again = Recovery(self.recovery.past, Resume(retry_errors=True))
        errors.fd = repair(errors.name, errors.fd, again.read_errors(errors.fd, errors.name))

    def _close(self) -> None:
        is_empty = not self._leads.lines and self._errors is None
        if self._replaced is not None and self.finished:
            self._replace()
        if self._replaced is not None:
            self._replaced.stay()
        elif self._is_new and is_empty and not self.finished:
            self._remove()
        self._leads.close()
        self._reserve.close()
        if self._errors is not None:
            self._errors.close()

    def _remove(self) -> None:
        """Remove an output without results, because it must not block the next run."""
        if is_at(self._leads.fd, self.name):
            with contextlib.suppress(OSError):
                self._query_file.remove()  # first, because it means nothing alone
        remove(self._leads.fd, self.name)

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

    async def write_lead(self, _: Found[Any], line: bytes) -> None:
        """Write a lead's line.

        Raises:
            OutputError: it cannot be written, or an earlier one could not be made durable.
        """
        await self._leads.write(line)
        self._replace()
        self._syncer.on_line()

    def on_settled(self, entry: object) -> None:
        if self.recovery.retried:
            number = self.recovery.past.number_of(entry)
            if number is not None and number in self.recovery.retried:
                self.recovery.past.add_done(number)

    async def write_failure(self, outcome: NotFound | Failed) -> None:
        """Record an entry whose failure is final, and no others.

        Raises:
            OutputError: as above.
        """
        line = error_line(outcome, self.recovery.past.key)
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
            with self._reserve.lent():  # for the query
                self._replaced.give_way(self._query_file)
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
