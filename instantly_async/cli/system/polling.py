"""Waiting for files that can block (pipes, terminals), without a thread or a blocked event loop.

A signal cannot end a thread that is stuck in ``read`` or ``write``. A blocked event loop would
miss the deadlines of the requests in flight.
"""

import asyncio


async def until_readable(fd: int) -> None:
    """Return when reading would not block: there is data, or the end."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    try:
        loop.add_reader(fd, _wake, ready)
    except PermissionError:  # such as /dev/null: never blocks
        return
    try:
        await ready
    finally:
        loop.remove_reader(fd)


async def until_writable(fd: int) -> None:
    """Return when writing ``PIPE_BUF`` bytes would not block, or fail at once."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    try:
        loop.add_writer(fd, _wake, ready)
    except PermissionError:  # such as /dev/null: never blocks
        return
    try:
        await ready
    finally:
        loop.remove_writer(fd)


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
