"""``Replaced``: files of an earlier run, which a new run replaces (``--force``).

The new output has a temporary name until something is recorded in it. So a run that gets nowhere,
for example because of a wrong key, changes nothing, and there is nothing to put back.
"""

import contextlib
import os
from pathlib import Path

from instantly_async.cli.exits import CommandError, OutputError
from instantly_async.cli.system import (
    create_beside,
    lock,
    open_existing,
    reason_of,
    sync_folder,
)

from .query import QueryFile


class Replaced:
    """The files at these paths, locked against other runs.

    Raises:
        CommandError: one of them may not be replaced, or another run is writing them.
    """

    def __init__(self, path: str, errors_path: str) -> None:
        self._path, self._errors_path = path, errors_path
        self._temporary: Path | None = None
        with contextlib.ExitStack() as opened:
            for each in (path, errors_path):
                fd = open_existing(each, os.O_RDWR)
                if fd is not None:
                    opened.callback(os.close, fd)
                    lock(fd, each)
            self._opened = opened.pop_all()

    def create(self) -> int:
        """Create the new output, locked; return its descriptor.

        Raises:
            CommandError: it cannot be created.
        """
        fd, self._temporary = create_beside(self._path)
        return fd

    def give_way(self, query_file: QueryFile) -> None:
        """Give the new output its name, and its query before that. The old files are gone.

        At no time, and after no power failure, are leads beside the query of others: if it
        changes, the old leads go first.

        Raises:
            OutputError: the folder cannot be changed.
        """
        assert self._temporary is not None
        try:
            # First, because old failures beside new leads would count as new ones.
            Path(self._errors_path).unlink(missing_ok=True)
            if not query_file.is_current:
                query_file.put(self._drop_leads)
            self._temporary.replace(self._path)
        except OSError as error:
            raise OutputError(
                f"{self._path} cannot be replaced: {reason_of(error)}; choose another output."
            ) from None
        except CommandError as error:
            raise OutputError(str(error)) from None
        self._opened.close()

    def _drop_leads(self) -> None:
        Path(self._path).unlink(missing_ok=True)
        sync_folder(self._path)

    def stay(self) -> None:
        """Remove the new output. The old files are as they were."""
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                self._temporary.unlink()
        self._opened.close()
