"""``first_of``: waits for several endpoints at once."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from instantly_async.errors import ServiceUnavailableError


async def first_of(*waits: Coroutine[Any, Any, None]) -> None:
    """Wait until one of them ends well, and cancel the others.

    Raises:
        ServiceUnavailableError: all of them have raised it.
    """
    waiting = {asyncio.ensure_future(wait) for wait in waits}
    outage = ServiceUnavailableError()
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            errors = [task.exception() for task in done]
            if None in errors:
                return
            for error in errors:
                assert error is not None
                if not isinstance(error, ServiceUnavailableError):
                    raise error
                outage = error
    finally:
        for task in waiting:
            task.cancel()
        if waiting:
            await asyncio.wait(waiting)
    raise outage.with_traceback(None)
