"""``Syncer``: makes written lines durable, in a thread, while more are written."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable

from instantly_async.cli.exits import OutputError
from instantly_async.cli.system import reason_of

SYNC_S = 1.0
"""Seconds after which a written line is made durable (*choice*). A number of lines would mean many
syncs a second by list, which cost more CPU than the writes."""


class Syncer:
    """Calls ``sync`` a second after a line was written, and at the end.

    It has its own thread, because a call in an executor costs more than writing ten leads. Only
    the caller changes ``_written``, and only the thread ``_synced``. A failed ``sync`` is never
    repeated: the kernel reports a lost write once, so the next call would succeed.
    """

    def __init__(self, sync: Callable[[], None], name: str) -> None:
        self._sync = sync
        self._name = name
        self._written = 0
        self._synced = 0
        self._some = threading.Event()
        self._ending = threading.Event()
        self._error: OutputError | None = None

    def on_line(self) -> None:
        """Note that a line has been written.

        Raises:
            OutputError: earlier lines may be lost.
        """
        self._written += 1
        if not self._some.is_set():
            self._some.set()
        if self._error is not None:
            raise self._error

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sync until the end of the block, and then until all lines are durable.

        Raises:
            OutputError: some may be lost; or no thread can be started.
        """
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def work() -> None:
            try:
                self._work()
            except BaseException as error:  # noqa: BLE001 - a thread that dies unseen syncs nothing
                self._error = self._lost(error)
            finally:
                loop.call_soon_threadsafe(ended.set_result, None)

        thread = threading.Thread(target=work, name="sync", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # too many threads, as in a small container
            raise OutputError(
                f"{self._name} cannot be made durable: {error}; allow more threads or processes."
            ) from None
        try:
            yield
        finally:
            self._ending.set()
            self._some.set()
            await self._await_end(ended)

    @property
    def has_failed(self) -> bool:
        """Whether lines may be lost."""
        return self._error is not None

    async def _await_end(self, ended: "asyncio.Future[None]") -> None:
        """Wait for the thread even when cancelled: its error must not be lost."""
        cancelled = None
        while not ended.done():
            try:
                await asyncio.shield(ended)
            except asyncio.CancelledError as error:
                cancelled = error
        if self._error is not None:
            raise self._error
        if cancelled is not None:
            raise cancelled

    def _work(self) -> None:
        while not (self._ending.is_set() and self._synced == self._written):
            self._some.wait()
            if not self._ending.wait(SYNC_S):
                self._some.clear()
            self._sync_once()

    def _sync_once(self) -> None:
        written = self._written  # after clearing the event: later lines set it again
        if written == self._synced:
            return
        self._sync()
        self._synced = written

    def _lost(self, error: BaseException) -> OutputError:
        reason = reason_of(error) if isinstance(error, OSError) else repr(error)
        return OutputError(
            f"{self._name} could not be made durable: {reason}; check the disk, and fetch into "
            "another file."
        )
