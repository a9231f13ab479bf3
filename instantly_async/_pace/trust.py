"""``Trust``: whether this is the API, whether it has accepted the key, and what follows if not.

A verdict about the whole run can be wrong: a server that does not know the key yet, a firewall
that takes one request for an attack. If it contradicts what was seen before, it is asked for once
more, while everything else waits. If nothing was seen before, it is probably right.
"""

import asyncio
import contextlib
from collections.abc import Iterator

STRANGE_ANSWERS = 10
"""So many answers that are not the API's, and no other, show that this server is not the API
(*choice*). If something in between answers four of ten requests, it ends one run in 10,000."""


class Trust:
    """What is known of the server, and of the key of one workspace.

    ``is_recognized``: the server has answered as the API does. ``strange``: how often something
    else has answered. ``is_proven``: the API has accepted the key, and has not refused it twice
    since. ``is_asking``: it has been refused, and somebody asks once more.
    """

    def __init__(self) -> None:
        self.is_recognized = False
        self.strange = 0
        self.is_proven = False
        self.is_asking = False
        self._settled = asyncio.Event()

    @property
    def is_other_server(self) -> bool:
        """Whether all that has answered so far is not the API."""
        return not self.is_recognized and self.strange >= STRANGE_ANSWERS

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
