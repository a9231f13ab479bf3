"""``Reserve``: descriptors that are kept free for the journal."""

import contextlib
import os
from collections.abc import Iterator

from instantly_async.cli.system import open_folder, sync_open_folder


class Reserve:
    """Descriptors that a journal needs later, when connections may have taken all others.

    One is of its folder; the other is free for the errors file.
    """

    def __init__(self, path: str, leads: int) -> None:
        self._folder = open_folder(path)
        self._leads = leads
        self._spare: int | None = os.dup(leads)

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Have one descriptor free within the block."""
        self.release()
        try:
            yield
        finally:
            self._spare = os.dup(self._leads)

    def release(self) -> None:
        """Have one descriptor free for what is opened next."""
        if self._spare is not None:
            os.close(self._spare)
        self._spare = None

    def sync_folder(self) -> None:
        """Put the names in the folder on the disk.

        Raises:
            OSError: one may be lost.
        """
        if self._folder is not None:
            sync_open_folder(self._folder)

    def close(self) -> None:
        self.release()
        if self._folder is not None:
            os.close(self._folder)
