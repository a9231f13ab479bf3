"""``Syncer``: makes written lines durable, in a thread, while others are written."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from .exits import OutputError

SYNC_LINES = 100
"""Lines after which they are made durable (*choice*: a second at the allowed rate)."""

SYNC_S = 1.0
"""Seconds after which a written line is made durable at the latest (*choice*)."""


class Syncer:
    """Calls ``sync`` a second after a line was written, or after 100 lines, and at the end.

    A ``sync`` that fails is never repeated: the kernel tells once that it has lost something,
    and the next call would succeed.
    """

    def __init__(self, sync: Callable[[], None], name: str) -> None:
        self._sync = sync
        self._name = name
        self._lines = 0
        self._some = asyncio.Event()
        self._many = asyncio.Event()
        self._ending = False
        self._error: OutputError | None = None

    def on_line(self) -> None:
        """Note that a line was written.

        Raises:
            OutputError: lines before it may be lost.
        """
        if self._error is not None:
            raise self._error
        self._lines += 1
        if self._lines == 1:
            self._some.set()
        elif self._lines == SYNC_LINES:
            self._many.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until the end of the block, and then until all is durable.

        Raises:
            OutputError: it is not.
        """
        syncing = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._ending = True
            self._some.set()
            self._many.set()
            await syncing
            if self._error is not None:
                raise self._error

    async def _run(self) -> None:
        while not self._ending or self._lines:
            await self._some.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SYNC_S):
                    await self._many.wait()
            await self._sync_once()
            if self._error is not None:
                return

    async def _sync_once(self) -> None:
        if not self._ending:
            self._some.clear()
            self._many.clear()
        if not self._lines:
            return
        self._lines = 0
        try:
            await asyncio.to_thread(self._sync)
        except OSError as error:
            self._error = OutputError(
                f"{self._name} could not be made durable: {error.strerror}; look after the disk, "
                "and fetch into another file."
            )
