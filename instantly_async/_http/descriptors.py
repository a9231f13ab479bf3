"""Whether a connection failed because this side can open no more, and not because of the server."""

import asyncio
import errno
import logging
import os
import socket
from math import inf

import aiohttp

from instantly_async.errors import ServiceUnavailableError

_log = logging.getLogger(__name__)

MOST_SPARED = 4
"""So many connections at most are given up, so that others can open something (*choice*)."""

PATIENCE_S = 5.0
"""How long to wait for the descriptor of a first connection, in seconds (*choice*)."""

_TRY_S = 0.1  # seconds between two attempts to get it

FEW_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
"""This process, or the whole system, has as many open files as it may have (``ulimit -n``)."""

_SHORT = FEW_DESCRIPTORS | {errno.ENOBUFS, errno.EADDRNOTAVAIL}  # buffers, local ports


def shortage_in(error: Exception) -> int | None:
    """Return the system's number of what this side is short of; ``None``: it is not.

    Where several addresses failed, aiohttp leaves the number out, and name resolution without
    descriptors fails like one without a network. So it is asked whether any descriptor is left.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number in _SHORT and not isinstance(error, aiohttp.ClientConnectorDNSError):
        return number
    if isinstance(error, aiohttp.ClientConnectorError):
        return _lack_of_descriptors()
    return None


def _lack_of_descriptors() -> int | None:
    """Return why no more descriptors can be opened; ``None``: they can."""
    try:
        pair = socket.socketpair()
    except OSError as error:
        return error.errno if error.errno in FEW_DESCRIPTORS else None
    for each in pair:
        each.close()
    return None


class Shortage:
    """What a pool has learned about the descriptors of this process. ``is_known``: they are few."""

    def __init__(self) -> None:
        self.is_known = False
        self._since = self._tried_at = -inf

    def lower(self, connections: int) -> int:
        """Return how many connections there may be, if no more than these can be opened."""
        if not self.is_known:
            self.is_known = True
            _log.warning(
                "Too few file descriptors for as many connections as wanted; fewer are used. "
                "Raise the limit of open files (ulimit -n).",
                extra={"connections": connections},
            )
        return connections - min(MOST_SPARED, connections // 3)

    async def wait(self, number: int) -> None:
        """Wait a moment: others may close something. ``number`` is the error's.

        Raises:
            ServiceUnavailableError: it was called again and again for ``PATIENCE_S``.
        """
        now = asyncio.get_running_loop().time()
        if now > self._tried_at + 10 * _TRY_S:
            self._since = now
        self._tried_at = now
        if now >= self._since + PATIENCE_S:
            raise ServiceUnavailableError(
                f"No connection can be opened ({os.strerror(number)}); raise the limit of open "
                "files with ulimit -n, or close some."
            )
        await asyncio.sleep(_TRY_S)
