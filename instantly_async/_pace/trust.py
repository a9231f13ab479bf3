"""``Trust``: whether the API has accepted the key, and what follows if it then refuses it.

A verdict about the whole run can be wrong: a server that does not know the key yet, a firewall
that takes one request for an attack. If it contradicts what was seen before, it is asked for once
more, while everything else waits. If nothing was seen before, it is probably right.
"""

import asyncio
import contextlib
from collections.abc import Iterator


class Trust:
    """What is known of the key of one workspace.

    ``is_proven``: the API has accepted it, and has not refused it twice since. ``is_asking``: it
    has been refused, and somebody asks once more.
    """

    def __init__(self) -> None:
        self.is_proven = False
        self.is_asking = False
        self._settled = asyncio.Event()

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Let all others wait while this caller asks."""
        self.is_asking = True
        self._settled.clear()
        try:
            yield
        finally:
            self.is_asking = False
            self._settled.set()

    async def settled(self) -> None:
        """Wait while somebody asks."""
        if self.is_asking:
            await self._settled.wait()
